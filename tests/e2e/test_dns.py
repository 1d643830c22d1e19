"""Names under `.pulse` as programs of two machines ask for them: nodes, services, records, and who is hidden.

Invariant: the tests run in their order; a is CA and scribe, b announces a service.
"""

import socket
from collections.abc import Iterator

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.reversename
import pytest

from pulse.calls.dns import DnsCalls
from pulse.client import connect
from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from pulse.lab.namespaces import inside
from pulse.schemas.dns import RecordRequest
from tests.e2e.mesh import PATIENCE, Mesh, Node, bring_up_mesh
from tests.namespace import require_root

SERVER, PORT = "127.0.0.1", 5353
ANNOUNCED = "[[dns.service]]\nname = 'postgres'\nport = 5432\npriority = 10\n"


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    require_root()
    with Lab() as lab:
        lab["b"].data.mkdir(mode=0o700, parents=True)
        (lab["b"].data / "config.toml").write_text(ANNOUNCED)
        made = bring_up_mesh(lab, {"b": "a"}, "--dns")
        yield made
        assert made.errors == []


def asked(at: Node, name: str, kind: str = "A", *, tcp: bool = False) -> dns.message.Message:
    """What a program on that machine is answered."""
    query = dns.message.make_query(name, kind)
    with inside(at.host.namespace):
        return (dns.query.tcp if tcp else dns.query.udp)(query, SERVER, PATIENCE, PORT)


def said(at: Node, name: str, kind: str = "A") -> list[str]:
    """The data of the answer, or its code if there is none."""
    answer = asked(at, name, kind)
    found = [str(data) for each in answer.answer for data in each]
    return found or [dns.rcode.to_text(answer.rcode())]


def wait_said(at: Node, name: str, kind: str, *wanted: str) -> None:
    what = f"{at.host.name} says {', '.join(wanted)} of {name}"
    wait_until(lambda: said(at, name, kind) == [*wanted], what, PATIENCE)


def test_names_lead_to_nodes_and_addresses_back(mesh: Mesh) -> None:
    a, b = mesh["a"], mesh["b"]
    there = a.status().node
    for name in ("a.pulse", "postgres.a.pulse", f"{there.id[:12]}.pulse", "A.PULSE"):
        assert said(b, name) == [there.v4]
        assert said(b, name, "AAAA") == [there.v6]
    for address in (there.v4, there.v6):
        assert said(b, dns.reversename.from_address(address).to_text(), "PTR") == ["a.pulse."]
    assert said(b, "b.pulse") == [b.v4], "itself"
    assert said(b, "nobody.pulse") == ["NXDOMAIN"]
    assert said(b, "a.pulse", "TXT") == ["NOERROR"]
    assert b.pings(said(b, "web.a.pulse")[0]).code == 0


def test_services_that_nodes_announce_are_found(mesh: Mesh) -> None:
    for at in (mesh["a"], mesh["b"]):
        wait_said(at, "_postgres._tcp.b.pulse", "SRV", "10 0 5432 b.pulse.")
        assert said(at, "_postgres._tcp.pulse", "SRV") == ["10 0 5432 b.pulse."]


def test_records_typed_anywhere_are_answered_everywhere(mesh: Mesh) -> None:
    a, b = mesh["a"], mesh["b"]
    refused = b.tries("dns", "add", "www", "CNAME", "a.pulse")
    assert (refused.code, "pulse ca grant" in refused.stderr) == (3, True)
    a.host.pulse("ca", "grant", "b", "operator")
    wait_until(lambda: b.status().node.roles == ["operator"], "b operates", PATIENCE)

    done = b.host.pulse("dns", "add", "www", "CNAME", "a.pulse")
    assert done.stdout.startswith("added www.pulse CNAME a.pulse, ttl 60 s")
    assert said(b, "www.pulse") == ["a.pulse.", a.v4], "whoever looks next sees it"
    wait_said(a, "www.pulse", "A", "a.pulse.", a.v4)
    with connect(a.host.data) as client:
        calls = DnsCalls(client)
        calls.add(RecordRequest("pg.b.pulse", "A", "192.168.7.2"))
        calls.add(RecordRequest("b.pulse", "TXT", "rack 4"))
    wait_said(b, "pg.b.pulse", "A", "192.168.7.2")
    wait_said(b, "b.pulse", "TXT", '"rack 4"')
    assert said(b, "b.pulse") == [b.v4]

    a.host.pulse("dns", "remove", "www", "CNAME")
    wait_said(b, "www.pulse", "A", "NXDOMAIN")


def test_what_is_too_long_comes_over_tcp(mesh: Mesh) -> None:
    a = mesh["a"]
    with connect(a.host.data) as client:
        for number in range(6):
            DnsCalls(client).add(RecordRequest("long.pulse", "TXT", f"{number}" + "x" * 250))
    cut = asked(a, "long.pulse", "TXT")
    assert (bool(cut.flags & dns.flags.TC), cut.answer) == (True, [])
    assert len(asked(a, "long.pulse", "TXT", tcp=True).answer[0]) == 6


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("example.com", "A", "REFUSED"),
        ("1.1.168.192.in-addr.arpa", "PTR", "REFUSED"),
        ("pulse", "AXFR", "REFUSED"),
        ("version.bind", "TXT", "REFUSED"),
    ],
)
def test_what_is_no_question_of_ours_is_refused(mesh: Mesh, name: str, kind: str, code: str) -> None:
    query = dns.message.make_query(name, kind)
    with inside(mesh["b"].host.namespace):
        answer = dns.query.tcp(query, SERVER, PATIENCE, PORT)
    assert (dns.rcode.to_text(answer.rcode()), answer.answer) == (code, [])


def test_garbage_does_no_harm(mesh: Mesh) -> None:
    b = mesh["b"]
    with inside(b.host.namespace), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.connect((SERVER, PORT))
        for garbage in (b"", b"\x80" * 40, b"x" * 3000):
            client.send(garbage)
        loop = b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01"
        client.send(loop)
        codes: list[tuple[int, str]] = []
        while not codes or codes[-1][0] != 7:
            answer = dns.message.from_wire(client.recv(4096))
            codes.append((answer.id, dns.rcode.to_text(answer.rcode())))
    assert codes[-1] == (7, "FORMERR")
    assert said(b, "b.pulse") == [b.v4]
    assert said(b, "b.pulse", "ANY") == ['"RFC8482" ""']


def test_a_node_that_rules_let_nobody_reach_has_no_name(mesh: Mesh) -> None:
    a, b = mesh["a"], mesh["b"]
    reverse = dns.reversename.from_address(b.v4).to_text()
    for name in ("a", "b"):
        a.host.pulse("name", name, name)
    a.host.pulse("acl", "add", "--from", "b", "--to", "a", "--ports", "22")
    for name, kind in (("b.pulse", "A"), ("x.b.pulse", "AAAA"), (reverse, "PTR"), ("_postgres._tcp.pulse", "SRV")):
        wait_said(a, name, kind, "NXDOMAIN")
    assert said(a, "a.pulse") == [a.v4]
    wait_until(lambda: b.config == a.config, "b has the rule", PATIENCE)
    assert said(b, "a.pulse") == [a.v4]
    assert said(b, "b.pulse") == [b.v4]

    a.host.pulse("acl", "remove", "1")
    wait_said(a, "b.pulse", "A", b.v4)
