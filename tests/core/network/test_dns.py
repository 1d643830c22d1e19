"""DNS in bytes, against dnspython: what is answered, what is refused, and that no bytes do any harm."""

import struct
from collections.abc import Sequence

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.network.directory import Directory
from pulse.core.network.dns import NEGATIVE_TTL, PLAIN_LIMIT, QUERY_LIMIT, TCP_LIMIT, UDP_LIMIT, answered, modest
from pulse.core.network.zones import ZoneRecord
from tests.core.network.test_directory import DB, HIDDEN, ME, POSTGRES, VM, host, known

TEXTS = [ZoneRecord("long.pulse", "TXT", f"{number:03} " + "x" * 240) for number in range(20)]
ZONE = known(
    ZoneRecord("www.pulse", "CNAME", "web.pulse", 30),
    ZoneRecord("web.pulse", "CNAME", "vm-01.pulse"),
    ZoneRecord("gone.pulse", "CNAME", "nobody.pulse"),
    ZoneRecord("outside.pulse", "CNAME", "example.com"),
    ZoneRecord("note.pulse", "TXT", "grüße"),
    ZoneRecord("lan.pulse", "A", "192.168.7.2", 300),
    ZoneRecord("lan.pulse", "A", "192.168.7.3", 300),
    *TEXTS,
)


def asked(
    name: str, kind: str = "A", *, of: Directory = ZONE, tcp: bool = False, **options: object
) -> dns.message.Message:
    """The answer, as dnspython reads it."""
    query = dns.message.make_query(name, kind, **options)  # type: ignore[arg-type]
    data = answered(of, query.to_wire(), tcp=tcp)
    assert data is not None
    answer = dns.message.from_wire(data)
    assert query.is_response(answer)
    assert not answer.flags & dns.flags.RA
    return answer


def lines(section: Sequence[object]) -> list[str]:
    return [line for each in section for line in str(each).splitlines()]


def said(*question: str, **options: object) -> list[str]:
    return lines(asked(*question, **options).answer)  # type: ignore[arg-type]


def code(answer: dns.message.Message) -> str:
    return dns.rcode.to_text(answer.rcode())


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (("vm-01.pulse", "A"), ["vm-01.pulse. 60 IN A 10.100.0.2"]),
        (("vm-01.pulse", "AAAA"), ["vm-01.pulse. 60 IN AAAA fd12:3456:789a::2"]),
        (("x.y.vm-01.pulse", "A"), ["x.y.vm-01.pulse. 60 IN A 10.100.0.2"]),
        ((f"{VM.node[:8]}.pulse", "A"), [f"{VM.node[:8]}.pulse. 60 IN A 10.100.0.2"]),
        (("2.0.100.10.in-addr.arpa", "PTR"), ["2.0.100.10.in-addr.arpa. 60 IN PTR vm-01.pulse."]),
        ((DB.v6.reverse_pointer, "PTR"), [f"{DB.v6.reverse_pointer}. 60 IN PTR db.pulse."]),
        (("_postgres._tcp.db.pulse", "SRV"), ["_postgres._tcp.db.pulse. 60 IN SRV 0 0 5432 db.pulse."]),
        (("_postgres._tcp.pulse", "SRV"), ["_postgres._tcp.pulse. 60 IN SRV 0 0 5432 db.pulse."]),
        (("note.pulse", "TXT"), ['note.pulse. 60 IN TXT "gr\\195\\188\\195\\159e"']),
        (("lan.pulse", "A"), ["lan.pulse. 300 IN A 192.168.7.2", "lan.pulse. 300 IN A 192.168.7.3"]),
        (("www.pulse", "CNAME"), ["www.pulse. 30 IN CNAME web.pulse."]),
        (
            ("www.pulse", "A"),
            [
                "www.pulse. 30 IN CNAME web.pulse.",
                "web.pulse. 60 IN CNAME vm-01.pulse.",
                "vm-01.pulse. 60 IN A 10.100.0.2",
            ],
        ),
        (("outside.pulse", "A"), ["outside.pulse. 60 IN CNAME example.com."]),
        (("pulse", "NS"), ["pulse. 60 IN NS me.pulse."]),
        (("pulse", "SOA"), [f"pulse. 10 IN SOA me.pulse. hostmaster.pulse. 7 3600 600 86400 {NEGATIVE_TTL}"]),
        (
            ("100.10.in-addr.arpa", "SOA"),
            [f"100.10.in-addr.arpa. 10 IN SOA me.pulse. hostmaster.pulse. 7 3600 600 86400 {NEGATIVE_TTL}"],
        ),
    ],
)
def test_a_question_is_answered(question: tuple[str, str], answer: list[str]) -> None:
    found = asked(*question)
    assert lines(found.answer) == answer
    assert (code(found), bool(found.flags & dns.flags.AA)) == ("NOERROR", True)


@pytest.mark.parametrize(
    ("name", "kind", "said", "apex"),
    [
        ("nobody.pulse", "A", "NXDOMAIN", "pulse."),
        ("secret.pulse", "A", "NXDOMAIN", "pulse."),
        (HIDDEN.v6.reverse_pointer, "PTR", "NXDOMAIN", "a.9.8.7.6.5.4.3.2.1.d.f.ip6.arpa."),
        ("9.0.100.10.in-addr.arpa", "PTR", "NXDOMAIN", "100.10.in-addr.arpa."),
        ("vm-01.pulse", "TXT", "NOERROR", "pulse."),
        ("vm-01.pulse", "MX", "NOERROR", "pulse."),
        ("2.0.100.10.in-addr.arpa", "A", "NOERROR", "100.10.in-addr.arpa."),
        ("pulse", "A", "NOERROR", "pulse."),
        ("_tcp.db.pulse", "SRV", "NOERROR", "pulse."),
        ("gone.pulse", "A", "NXDOMAIN", "pulse."),
        ("www.pulse", "TXT", "NOERROR", "pulse."),
    ],
)
def test_no_such_name_is_told_from_nothing_of_that_type(name: str, kind: str, said: str, apex: str) -> None:
    found = asked(name, kind)
    assert code(found) == said
    assert [(str(each.name), each.ttl) for each in found.authority] == [(apex, NEGATIVE_TTL)]


@pytest.mark.parametrize(
    ("name", "kind", "wanted"),
    [
        ("example.com", "A", "REFUSED"),
        (".", "NS", "REFUSED"),
        ("10.in-addr.arpa", "PTR", "REFUSED"),
        ("1.168.192.in-addr.arpa", "PTR", "REFUSED"),
        ("pulse", "AXFR", "REFUSED"),
        ("pulse", "IXFR", "REFUSED"),
        ("vm-01.pulse", "TKEY", "REFUSED"),
        ("vm-01.pulse", "OPT", "FORMERR"),
    ],
)
def test_what_is_not_ours_is_refused(name: str, kind: str, wanted: str) -> None:
    found = asked(name, kind, tcp=True)
    assert (code(found), bool(found.flags & dns.flags.AA), found.answer) == (wanted, False, [])


def test_another_class_is_refused() -> None:
    assert code(asked("version.bind", "TXT", rdclass="CH")) == "REFUSED"
    assert code(asked("vm-01.pulse", "A", rdclass="ANY")) == "REFUSED"


def test_who_asks_for_all_there_is_is_told_little() -> None:
    """RFC 8482: so that nobody can have a small question answered at length, to somebody else."""
    assert said("long.pulse", "ANY") == ['long.pulse. 60 IN HINFO "RFC8482" ""']
    assert code(asked("nobody.pulse", "ANY")) == "NXDOMAIN"


def test_the_case_of_a_question_comes_back() -> None:
    assert said("vM-01.PuLsE", "A") == ["vM-01.PuLsE. 60 IN A 10.100.0.2"]
    assert str(asked("vM-01.PuLsE", "A").question[0].name) == "vM-01.PuLsE."


def test_the_addresses_of_services_stand_beside_them_while_there_is_room() -> None:
    assert lines(asked("_http._tcp.pulse", "SRV").additional) == [
        "db.pulse. 60 IN A 10.100.0.3",
        "db.pulse. 60 IN AAAA fd12:3456:789a::3",
    ]
    few = known(hosts=[ME, *(host(f"n{'x' * 40}{number}", number, POSTGRES) for number in range(2, 10))])
    cut = asked("_postgres._tcp.pulse", "SRV", of=few, use_edns=0, payload=900)
    assert (len(cut.answer[0]), cut.additional, cut.flags & dns.flags.TC) == (8, [], 0)
    many = known(hosts=[ME, *(host(f"n{number}", number, POSTGRES) for number in range(2, 60))])
    assert asked("_postgres._tcp.pulse", "SRV", of=many, tcp=True).additional == []


@pytest.mark.parametrize(("options", "limit"), [({}, PLAIN_LIMIT), ({"use_edns": 0, "payload": 4096}, UDP_LIMIT)])
def test_what_is_too_long_for_a_datagram_says_so_and_is_whole_over_tcp(options: dict[str, object], limit: int) -> None:
    query = dns.message.make_query("long.pulse", "TXT", **options)  # type: ignore[arg-type]
    data = answered(ZONE, query.to_wire())
    assert data is not None
    assert len(data) <= limit
    cut = dns.message.from_wire(data)
    assert (bool(cut.flags & dns.flags.TC), cut.answer) == (True, [])
    whole = answered(ZONE, query.to_wire(), tcp=True)
    assert whole is not None
    assert len(dns.message.from_wire(whole).answer[0]) == len(TEXTS)


def test_edns_is_answered_with_edns() -> None:
    found = asked(
        "vm-01.pulse", "A", use_edns=0, want_dnssec=True, options=[dns.edns.GenericOption("COOKIE", b"cookie12")]
    )
    assert (found.edns, found.payload, bool(found.ednsflags & dns.flags.DO)) == (0, UDP_LIMIT, True)
    assert asked("vm-01.pulse", "A").edns == -1
    assert code(asked("vm-01.pulse", "A", use_edns=1)) == "BADVERS"


def query_bytes(name: str = "vm-01.pulse") -> bytes:
    return dns.message.make_query(name, "A", id=7).to_wire()


def header(number: int = 7, flags: int = 0x0100, counts: Sequence[int] = (1, 0, 0, 0)) -> bytes:
    return struct.pack("!6H", number, flags, *counts)


QUESTION = query_bytes()[12:]
OPT = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        pytest.param(b"", None, id="nothing"),
        pytest.param(header()[:11], None, id="half a header"),
        pytest.param(header(flags=0x8100) + QUESTION, None, id="an answer"),
        pytest.param(header(flags=0x2000) + QUESTION, "NOTIMP", id="a notify"),
        pytest.param(header(flags=0x2800) + QUESTION, "NOTIMP", id="an update"),
        pytest.param(header(counts=(0, 0, 0, 0)), "FORMERR", id="no question"),
        pytest.param(header(counts=(2, 0, 0, 0)) + QUESTION * 2, "FORMERR", id="two questions"),
        pytest.param(header(counts=(1, 1, 0, 0)) + QUESTION, "FORMERR", id="a question with an answer"),
        pytest.param(header() + QUESTION[:-1], "FORMERR", id="a question cut off"),
        pytest.param(header() + QUESTION + b"x", "FORMERR", id="more than there should be"),
        pytest.param(header() + b"\xc0\x0c\x00\x01\x00\x01", "FORMERR", id="a name that is itself"),
        pytest.param(header() + b"\x01a\xc0\x0c\x00\x01\x00\x01", "FORMERR", id="a name that goes round"),
        pytest.param(header() + b"\xc0\xff\x00\x01\x00\x01", "FORMERR", id="a name that is elsewhere"),
        pytest.param(header() + b"\x80" + b"a" * 99, "FORMERR", id="a label of an unknown kind"),
        pytest.param(header() + (b"\x3f" + b"a" * 63) * 4 + b"\x00\x00\x01\x00\x01", "FORMERR", id="too long a name"),
        pytest.param(header() + (b"\x01a" * 127) + b"\x00\x00\x01\x00\x01", "REFUSED", id="the longest name"),
        pytest.param(header() + b"\x02\xff\xfe\x05pulse\x00\x00\x01\x00\x01", "FORMERR", id="no text"),
        pytest.param(header() + b"\x02\xc3\xbc\x05pulse\x00\x00\x01\x00\x01", "REFUSED", id="a name with an umlaut"),
        pytest.param(header() + b"\x0bvm-01.pulse\x00\x00\x01\x00\x01", "REFUSED", id="a dot in a label"),
        pytest.param(header(counts=(1, 0, 0, 2)) + QUESTION + OPT * 2, "FORMERR", id="two EDNS"),
        pytest.param(header(counts=(1, 0, 0, 1)) + QUESTION + OPT[:-1], "FORMERR", id="half an EDNS"),
        pytest.param(header(counts=(1, 0, 0, 1)) + QUESTION + OPT[:-1] + b"\x09", "FORMERR", id="options cut off"),
        pytest.param(header(counts=(1, 0, 0, 1)) + QUESTION + b"\x00\x00\xfa" + OPT[3:], "FORMERR", id="a signature"),
        pytest.param(header() + QUESTION + b"x" * QUERY_LIMIT, "FORMERR", id="far too long"),
    ],
)
def test_what_is_no_question_gets_a_word_or_nothing(data: bytes, wanted: str | None) -> None:
    for tcp in (False, True):
        answer = answered(ZONE, data, tcp=tcp)
        assert (answer and code(dns.message.from_wire(answer))) == wanted
        assert answer is None or answer[:2] == data[:2]


def check(data: bytes, *, tcp: bool) -> None:
    """Whatever was asked, an answer is one, is not too long, and is no bigger than a limit says."""
    answer = answered(ZONE, data, tcp=tcp)
    if answer is None:
        return
    read = dns.message.from_wire(answer)
    assert read.flags & dns.flags.QR
    assert answer[:2] == data[:2]
    assert len(answer) <= (TCP_LIMIT if tcp else UDP_LIMIT)


@given(data=st.binary(max_size=300), tcp=st.booleans())
def test_random_bytes_do_no_harm(data: bytes, tcp: bool) -> None:
    check(data, tcp=tcp)


LABEL = st.sampled_from(
    [b"vm-01", b"db", b"_postgres", b"_tcp", b"www", b"long", b"2", b"100", b"0", b"\x00", b"a" * 63]
)
DOMAIN = st.sampled_from([(b"pulse",), (b"PuLse",), (b"100", b"10", b"in-addr", b"arpa"), (b"ip6", b"arpa"), ()])


@given(
    labels=st.lists(LABEL, max_size=6),
    domain=DOMAIN,
    kind=st.sampled_from([1, 2, 5, 6, 12, 16, 28, 33, 41, 251, 252, 255, 65535]),
    edns=st.sampled_from([b"", OPT]),
    flags=st.integers(0, 0x07FF),
    change=st.none() | st.tuples(st.integers(0, 400), st.integers(0, 255)),
    tcp=st.booleans(),
)
def test_questions_like_real_ones_and_with_a_byte_changed_do_no_harm(
    labels: list[bytes],
    domain: tuple[bytes, ...],
    kind: int,
    edns: bytes,
    flags: int,
    change: tuple[int, int] | None,
    tcp: bool,
) -> None:
    name = b"".join(bytes((len(each),)) + each for each in (*labels, *domain)) + b"\x00"
    counts = (1, 0, 0, 1 if edns else 0)
    data = bytearray(header(flags=flags, counts=counts) + name + struct.pack("!HH", kind, 1) + edns)
    if change is not None and change[0] < len(data):
        data[change[0]] = change[1]
    check(bytes(data), tcp=tcp)


@pytest.mark.parametrize(("name", "kind"), [("vm-01.pulse", "A"), ("vm-01.pulse", "AAAA"), ("nobody.pulse", "A")])
def test_who_cannot_prove_his_address_gets_what_is_short(name: str, kind: str) -> None:
    query = dns.message.make_query(name, kind).to_wire()
    answer = answered(ZONE, query)
    assert answer is not None
    assert modest(query, answer) == answer


def test_nobody_gets_a_long_answer_sent_to_somebody_else() -> None:
    query = dns.message.make_query("long.pulse", "TXT", use_edns=0, payload=4096).to_wire()
    whole = answered(known(*TEXTS[:4]), query)
    assert whole is not None
    assert len(whole) > 900

    cut = modest(query, whole)
    assert len(cut) + 28 <= 3 * (len(query) + 28)
    read = dns.message.from_wire(cut)
    assert dns.message.from_wire(query).is_response(read)
    assert (bool(read.flags & dns.flags.TC), read.answer, read.additional) == (True, [], [])


@given(st.binary(max_size=400))
def test_no_answer_to_any_bytes_is_long(data: bytes) -> None:
    answer = answered(ZONE, data)
    if answer is not None:
        assert len(modest(data, answer)) + 28 <= 3 * (len(data) + 28)
