"""Node records: what goes in comes out, and everything else is refused before anybody reads it."""

from ipaddress import IPv4Address

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.messages import RECORD_LIMIT, ObjectKind
from pulse.core.paths.noderecord import (
    EXIT,
    HUB,
    NUMBER_LIMIT,
    REACHABLE,
    UNMEASURED,
    Adjacency,
    NodeRecord,
    Service,
    as_measured,
    certificate_hash,
    is_candidate,
    read_id,
    read_record,
    sign_record,
    split_ids,
)
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.identity import mesh_v6
from pulse.core.trust.signed import seal
from pulse.errors import ProtocolError, PulseError, Refused
from tests.authority import Ca, key
from tests.core.paths.records import CA, cert, handle, machine, record

ME = cert(1)
SIGNER = key(machine(1))
ADDRESSES = ["203.0.113.7:443", "192.168.1.2:41641", "[2001:db8::1]:443", "100.64.0.9:1"]

u32 = st.integers(0, NUMBER_LIMIT)
neighbours = st.lists(
    st.builds(Adjacency, st.integers(2, 60).map(handle), st.floats(0, 7), st.floats(0, 1)),
    max_size=32,
    unique_by=lambda each: each.handle,
)


def opened(data: bytes, certificate: Certificate = ME) -> NodeRecord:
    return read_record(data).vouched(certificate, CA.network)


def sealed(**changes: object) -> bytes:
    """A record with some fields as an honest node never writes them, signed all the same."""
    fields: dict[str, object] = {
        "certificate": certificate_hash(ME),
        "boot": 1,
        "seq": 1,
        "candidates": [],
        "flags": 0,
        "exits": [],
        "services": [],
        "neighbours": b"",
        "version": "",
        "chain": 0,
    }
    payload = msgspec.msgpack.encode([*(fields | changes).values()])
    return seal(ObjectKind.RECORD, CA.network, payload, SIGNER)


@given(boot=u32, seq=u32, flags=u32, near=neighbours, candidates=st.lists(st.sampled_from(ADDRESSES), max_size=6))
def test_a_record_comes_back_as_it_was_signed(
    boot: int, seq: int, flags: int, near: list[Adjacency], candidates: list[str]
) -> None:
    made = sign_record(SIGNER, ME, boot=boot, seq=seq, flags=flags, neighbours=near, candidates=candidates)
    back = opened(made.data)
    assert back == made
    assert back.numbers == (boot, seq)
    assert (back.flags, back.candidates) == (flags, tuple(candidates))
    for told, meant in zip(back.adjacencies(), near, strict=True):
        assert told.handle == meant.handle
        assert told.rtt == pytest.approx(min(meant.rtt, UNMEASURED), abs=0.000_051)
        assert told.loss == pytest.approx(meant.loss, abs=0.002)


def test_it_says_who_where_and_what() -> None:
    made = sign_record(
        SIGNER,
        ME,
        boot=3,
        seq=7,
        candidates=["203.0.113.7:443"],
        flags=REACHABLE | HUB | EXIT,
        exits=["10.1.0.0/16", "::/0"],
        services=[Service("postgres", 5432, 10)],
        version="0.3.0",
    )
    back = opened(made.data)
    assert (back.node, back.handle, back.certificate) == (ME.node_id, ME.addresses.v4, certificate_hash(ME))
    assert back.exits == ("10.1.0.0/16", "::/0")
    assert back.services == (Service("postgres", 5432, 10),)
    assert back.version == "0.3.0"
    assert read_id(back.id12) == (ME.addresses.v4.packed, (3, 7))


def test_before_it_is_believed_it_says_which_certificate_it_needs() -> None:
    assert read_record(record(2).data).certificate == certificate_hash(cert(2))


def test_a_service_of_an_earlier_release_says_nothing_of_its_priority() -> None:
    assert opened(sealed(services=[["http", 80]])).services == (Service("http", 80, 0),)


def test_fields_of_a_later_release_are_ignored() -> None:
    assert opened(sealed(later=["new", 1])).seq == 1


def test_a_record_of_another_network_is_refused() -> None:
    with pytest.raises(Refused, match="not signed by anyone entitled"):
        read_record(record(1).data).vouched(ME, Ca(network_name="other").network)


def test_a_record_signed_by_another_key_is_refused() -> None:
    forged = seal(ObjectKind.RECORD, CA.network, record(1).data[66:], key("evil"))
    with pytest.raises(Refused, match="not signed by anyone entitled"):
        opened(forged)


def test_a_record_under_another_nodes_certificate_is_refused() -> None:
    with pytest.raises(Refused):
        opened(record(1).data, cert(2))
    theirs = sign_record(key(machine(2)), cert(2), boot=1, seq=1)
    with pytest.raises(Refused, match="another certificate"):
        opened(theirs.data, CA.certificate(machine(2)))


def test_a_relay_that_alters_one_bit_is_found_out() -> None:
    whole = record(1, candidates=ADDRESSES).data
    for at in range(len(whole)):
        with pytest.raises(PulseError):
            opened(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])


@given(st.binary(max_size=300))
def test_random_bytes_are_never_a_record(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        opened(data)
    with pytest.raises(PulseError):
        opened(record(1).data[:66] + data)


@pytest.mark.parametrize(
    "changes",
    [
        {"boot": -1},
        {"boot": 2**32},
        {"boot": 2**63 - 1},
        {"seq": 2**32},
        {"seq": 2**63 - 1},
        {"seq": 1.5},
        {"flags": 2**32},
        {"certificate": bytes(31)},
        {"candidates": ["203.0.113.7:443"] * 7},
        {"candidates": ["203.0.113.7"]},
        {"candidates": ["203.0.113.7:0"]},
        {"candidates": ["203.0.113.7:443\x1b[2J"]},
        {"candidates": ["host.example:443"]},
        {"candidates": ["2" * 65]},
        {"exits": ["10.0.0.0/8"] * 9},
        {"exits": ["10.0.0.1/8"]},
        {"exits": ["10.0.0.0/255.0.0.0"]},
        {"exits": ["all\n"]},
        {"services": [["http", 80]] * 9},
        {"services": [["http", 0]]},
        {"services": [["http", 65536]]},
        {"services": [["http", 80, 65536]]},
        {"services": [["\x1b[31mred", 80]]},
        {"services": [["a" * 64, 80]]},
        {"neighbours": bytes(6)},
        {"neighbours": bytes(7 * 33)},
        {"neighbours": bytes(7 * 2)},
        {"neighbours": ME.addresses.v4.packed + bytes(3)},
        {"version": "1.0\x1b[0m"},
        {"version": "1.0\n"},
        {"version": "1" * 65},
    ],
)
def test_a_value_out_of_bounds_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        opened(sealed(**changes))


def test_a_record_too_long_is_neither_read_nor_made() -> None:
    with pytest.raises(ProtocolError, match="1090 are allowed"):
        opened(record(1).data + bytes(RECORD_LIMIT))
    wordy = [Service("s" * 60, 80)] * 8
    far = [f"2001:db8:{number:x}:ffff:ffff:ffff::/96" for number in range(8)]
    with pytest.raises(ProtocolError, match="1090 are allowed"):
        sign_record(SIGNER, ME, boot=1, seq=1, services=wordy, exits=far, neighbours=[Adjacency(handle(2), 1, 0)] * 32)


@pytest.mark.parametrize("text", ADDRESSES)
def test_where_a_stranger_may_live_is_a_candidate(text: str) -> None:
    assert is_candidate(text, CA.network)


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1:443",
        "0.0.0.0:443",
        "0.1.2.3:443",
        "224.0.0.1:443",
        "255.255.255.255:443",
        "169.254.169.254:80",
        "[::1]:443",
        "[::]:443",
        "[ff02::1]:443",
        "[fe80::1]:443",
        "[fe80::1%eth0]:443",
        "[2001:db8::1%eth0]:443",
        "[::ffff:127.0.0.1]:443",
        "[::ffff:192.0.2.1]:443",
        f"[{mesh_v6(CA.network, ME.node_id)}]:443",
        "[2001:DB8::1]:443",
        "203.0.113.7:0443",
        "203.0.113.007:443",
        "203.0.113.7:443 ",
        "host:443",
        ":443",
        "",
    ],
)
def test_where_nobody_should_be_sent_is_none(text: str) -> None:
    assert not is_candidate(text, CA.network)


def test_what_was_not_measured_counts_as_far_away() -> None:
    assert as_measured(None) == UNMEASURED
    assert as_measured(100.0) == UNMEASURED
    assert as_measured(0.012_34) == 0.0123


def test_ids_are_split_or_refused() -> None:
    assert split_ids(b"a" * 12 + b"b" * 12) == [b"a" * 12, b"b" * 12]
    with pytest.raises(ProtocolError, match="12 each"):
        split_ids(bytes(13))


def test_an_address_of_the_mesh_is_no_handle_of_two_neighbours() -> None:
    twice = [Adjacency(IPv4Address("10.100.0.9"), 0.1, 0.0)] * 2
    with pytest.raises(ProtocolError, match="twice"):
        sign_record(SIGNER, ME, boot=1, seq=1, neighbours=twice)
