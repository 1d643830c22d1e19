"""PCP byte for byte, whatever a router sends, and against a router that speaks it."""

import contextlib
import hashlib
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.paths.portmap import Grant, Mapper, PortRefused
from pulse.errors import LinkError, ProtocolError
from pulse.net.portmap.pcp import PORT, Mapped, Pcp, ask_age, ask_mapping, read_age, read_mapping
from tests.net.portmap.cable import HOME, Cable

OURS = 8443
NONCE = bytes(range(12))
UDP, TCP = socket.IPPROTO_UDP, socket.IPPROTO_TCP

HEAD = "02 81 00 {result} {lease} 000003e8" + 12 * "00"
BODY = NONCE.hex() + "11 000000 20fb 20fc 00000000000000000000ffff cb007107"


def answer(result: str = "00", lease: str = "00001c20", body: str = BODY, head: str = HEAD) -> bytes:
    return bytes.fromhex(head.format(result=result, lease=lease) + body)


AGE = answer(body="", head=HEAD.replace("81", "80"))


def read(data: bytes) -> Mapped:
    return read_mapping(data, NONCE, UDP, OURS)


def secret(words: bytes) -> bytes:
    return hashlib.sha256(b"secret" + words).digest()


def test_questions_are_these_bytes() -> None:
    ours = "00000000000000000000ffff c0a80102"
    assert ask_age(HOME.source) == bytes.fromhex("02 00 0000 00000000" + ours)
    assert ask_mapping(HOME.source, NONCE, UDP, OURS, 443, 7200) == bytes.fromhex(
        "02 01 0000 00001c20" + ours + NONCE.hex() + "11 000000 20fb 01bb 00000000000000000000ffff 00000000"
    )


def test_answers_are_read() -> None:
    assert read_age(AGE) == 1000
    assert read(answer()) == Mapped(1000, IPv4Address("203.0.113.7"), 8444, 7200)


def test_a_server_that_knows_no_announce_tells_its_age_all_the_same() -> None:
    assert read_age(AGE[:3] + b"\4" + AGE[4:]) == 1000


@pytest.mark.parametrize(
    ("result", "reason"),
    [("02", "owner does not allow"), ("08", "no room"), ("0c", "another NAT"), ("4d", "result 77")],
)
def test_a_refusal_says_why_and_for_how_long(result: str, reason: str) -> None:
    with pytest.raises(PortRefused, match=reason) as refusal:
        read(answer(result, lease="00000708"))
    assert refusal.value.wait == 1800


@pytest.mark.parametrize("data", [b"\0\x81\0\1\0\0\0\0", answer("01", body=""), b"\1" + answer()[1:]])
def test_a_router_of_another_version_speaks_no_pcp(data: bytes) -> None:
    with pytest.raises(LinkError, match="speaks no PCP"):
        read(data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "0 bytes"),
        (answer()[:-1], "59 bytes"),
        (answer() + bytes(1044), "1104 bytes"),
        (answer(body=""), "0 bytes for a mapping"),
        (AGE, "another question"),
        (answer()[:1] + b"\1" + answer()[2:], "another question"),
        (answer(body="ff" + BODY[2:]), "another mapping"),
        (answer(body=BODY.replace("11 000000", "06 000000")), "another mapping"),
        (answer(body=BODY.replace("20fb", "20fa")), "another mapping"),
        (answer("02", body="ff" + BODY[2:]), "another mapping"),
        (answer(body=BODY.replace("0000ffff cb007107", "00000000 00000001")), "IPv6 address"),
    ],
)
def test_what_answers_another_question_is_nonsense(data: bytes, said: str) -> None:
    with pytest.raises(ProtocolError, match=said):
        read(data)


@given(st.binary(max_size=80) | st.binary(max_size=72).map(lambda rest: b"\2\x81\0\0" + rest))
def test_no_bytes_of_a_router_raise_anything_but_our_errors(data: bytes) -> None:
    for each in (read_age, read):
        with contextlib.suppress(ProtocolError, LinkError, PortRefused):
            each(data)


@given(flipped=st.integers(0, 8 * 60 - 1))
def test_a_bit_that_flipped_is_another_answer_or_none_but_never_an_accident(flipped: int) -> None:
    data = bytearray(answer())
    data[flipped // 8] ^= 1 << flipped % 8
    with contextlib.suppress(ProtocolError, LinkError, PortRefused):
        assert read(bytes(data)).port in range(65536)


@dataclass
class Box:
    """A router that speaks PCP; a mapping belongs to its nonce."""

    nonces: dict[tuple[int, int], bytes] = field(default_factory=dict)
    wrong_nonce: bool = False
    lease: int | None = None
    outer: str = "203.0.113.7"
    epoch: int = 1000

    def __call__(self, data: bytes) -> Iterator[bytes]:
        _, opcode, _, lease = struct.unpack_from(">BBHI", data)
        result, body = 0, data[24:]
        if body:
            nonce, protocol, inner = struct.unpack_from(">12sB3xH", body)
            if self.nonces.setdefault((protocol, inner), nonce) != nonce:
                result = 2
            elif not lease:
                del self.nonces[protocol, inner]
            outer = IPv4Address(self.outer).packed
            body = (bytes(12) if self.wrong_nonce else nonce) + body[12:32] + outer
        given = lease if self.lease is None else self.lease
        yield struct.pack(">BBxBII12x", 2, 128 + opcode, result, given, self.epoch) + body


async def test_a_router_maps_tells_its_age_and_takes_back(cable: Cable) -> None:
    box, client = Box(), Pcp(OURS, secret)
    with cable.says(PORT, box):
        await client.find(HOME)
        grant = await client.map(HOME, UDP, 443)
        await client.map(HOME, TCP, 443)
        assert grant == Grant(Mapper.PCP, IPv4Address("203.0.113.7"), 443, 7200, 1000)
        assert await client.look(HOME) == (1000, None)

        await client.unmap(HOME, UDP, 443)
        assert set(box.nonces) == {(TCP, OURS)}


async def test_a_node_that_starts_again_still_owns_its_mapping_and_nobody_else_does(cable: Cable) -> None:
    with cable.says(PORT, Box()):
        await Pcp(OURS, secret).map(HOME, UDP, OURS)
        await Pcp(OURS, secret).map(HOME, UDP, OURS)
        with pytest.raises(PortRefused, match="owner does not allow"):
            await Pcp(OURS, lambda words: secret(b"another key" + words)).map(HOME, UDP, OURS)


async def test_every_mapping_has_a_nonce_of_its_own(cable: Cable) -> None:
    box = Box()
    nonces = []
    with cable.says(PORT, box):
        for protocol in (UDP, TCP):
            await Pcp(OURS, secret).map(HOME, protocol, OURS)
            nonces.append(box.nonces[protocol, OURS])
        await Pcp(OURS + 1, secret).map(HOME, UDP, OURS)
        nonces.append(box.nonces[UDP, OURS + 1])
    assert len(set(nonces)) == 3


async def test_an_answer_with_another_nonce_is_none(cable: Cable) -> None:
    with cable.says(PORT, Box(wrong_nonce=True)), pytest.raises(ProtocolError, match="another mapping"):
        await Pcp(OURS, secret).map(HOME, UDP, OURS)
