"""NAT-PMP byte for byte, whatever a router sends, and against a router that speaks it."""

import contextlib
import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.paths.portmap import Grant, Mapper, PortRefused
from pulse.errors import LinkError, ProtocolError
from pulse.net.portmap.natpmp import (
    PORT,
    TCP,
    UDP,
    Mapped,
    NatPmp,
    Outside,
    ask_mapping,
    ask_outside,
    read_mapping,
    read_outside,
)
from tests.net.portmap.cable import HOME, Cable

OURS = 8443
OUTSIDE = bytes.fromhex("0080 0000 000003e8 cb007107")
MAPPED = bytes.fromhex("0081 0000 000003e8 20fb 20fc 00001c20")


def test_questions_are_these_bytes() -> None:
    assert ask_outside() == bytes.fromhex("0000")
    assert ask_mapping(UDP, OURS, 443, 7200) == bytes.fromhex("0001 0000 20fb 01bb 00001c20")
    assert ask_mapping(TCP, OURS, 0, 0) == bytes.fromhex("0002 0000 20fb 0000 00000000")


def test_answers_are_read() -> None:
    assert read_outside(OUTSIDE) == Outside(1000, IPv4Address("203.0.113.7"))
    assert read_mapping(MAPPED, UDP, OURS) == Mapped(1000, 8444, 7200)


@pytest.mark.parametrize(
    ("result", "reason"),
    [(2, "owner does not allow"), (3, "no address outside"), (4, "no room"), (5, "cannot map"), (77, "result 77")],
)
def test_a_refusal_says_why(result: int, reason: str) -> None:
    with pytest.raises(PortRefused, match=reason):
        read_outside(struct.pack(">BBHI", 0, 128, result, 9))


@pytest.mark.parametrize("answer", ["0081 0001 00000000", "0281 0001 00000000 00000000" + 12 * "00"])
def test_a_router_of_another_version_speaks_no_nat_pmp(answer: str) -> None:
    with pytest.raises(LinkError, match="speaks no NAT-PMP"):
        read_mapping(bytes.fromhex(answer), UDP, OURS)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "0 bytes"),
        (MAPPED[:-1], "7 bytes for a mapping"),
        (MAPPED + b"\0", "9 bytes for a mapping"),
        (OUTSIDE, "another question"),
        (bytes.fromhex("0082 0000 000003e8 20fb 20fc 00001c20"), "another question"),
        (bytes.fromhex("0001 0000 000003e8 20fb 20fc 00001c20"), "another question"),
        (bytes.fromhex("0081 0000 000003e8 20fa 20fc 00001c20"), "another port"),
    ],
)
def test_what_answers_another_question_is_nonsense(answer: bytes, said: str) -> None:
    with pytest.raises(ProtocolError, match=said):
        read_mapping(answer, UDP, OURS)


@given(st.binary(max_size=40) | st.binary(max_size=20).map(lambda rest: b"\0\x81\0\0" + rest))
def test_no_bytes_of_a_router_raise_anything_but_our_errors(data: bytes) -> None:
    for read in (read_outside, lambda each: read_mapping(each, UDP, OURS)):
        with contextlib.suppress(ProtocolError, LinkError, PortRefused):
            assert read(data)


class Box:
    """A router that speaks NAT-PMP and remembers what it mapped, by opcode and inner port."""

    def __init__(self) -> None:
        self.mapped: dict[tuple[int, int], int] = {}

    def __call__(self, data: bytes) -> Iterator[bytes]:
        if data == b"\0\0":
            yield OUTSIDE
            return
        _, opcode, _, inner, outer, lease = struct.unpack(">BBHHHI", data)
        if lease:
            self.mapped[opcode, inner] = outer
        else:
            self.mapped.pop((opcode, inner), None)
        yield struct.pack(">BBHIHHI", 0, 128 + opcode, 0, 1000, inner, outer, lease)


async def test_a_router_maps_tells_its_age_and_takes_back(cable: Cable) -> None:
    box, client = Box(), NatPmp(OURS)
    with cable.says(PORT, box):
        await client.find(HOME)
        grant = await client.map(HOME, socket.IPPROTO_UDP, 443)
        await client.map(HOME, socket.IPPROTO_TCP, 443)
        assert grant == Grant(Mapper.NAT_PMP, IPv4Address("203.0.113.7"), 443, 7200, 1000)
        assert box.mapped == {(UDP, OURS): 443, (TCP, OURS): 443}
        assert await client.look(HOME) == (1000, IPv4Address("203.0.113.7"))

        await client.unmap(HOME, socket.IPPROTO_UDP, 443)
        assert box.mapped == {(TCP, OURS): 443}
