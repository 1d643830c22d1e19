"""PCP (RFC 6887): ANNOUNCE, by which a server tells its age, and MAP.

    question  version 2 | opcode | rsv 2 | lease 4 | our address 16
    answer    version 2 | 128 + opcode | rsv 1 | result 1 | lease 4 | epoch 4 | rsv 12
    MAP       nonce 12 | protocol | rsv 3 | inner port 2 | outer port 2 | outer address 16      follows in both

A mapping belongs to whoever knows its nonce, so the nonce is worked out from a secret of the node: killed and started
again it still owns its mapping. Invariant: whatever the bytes, reading ends in an answer to the very question or in an
error of ours.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from pulse.core.paths.portmap import LEASE, Gateway, Grant, Mapper, PortRefused
from pulse.errors import LinkError, ProtocolError
from pulse.net.portmap.datagrams import exchange

PORT: Final = 5351

ANNOUNCE, MAP = 0, 1
NONCE_BYTES: Final = 12

_VERSION: Final = 2
_QUESTION: Final = struct.Struct(">BBHI16s")
_ANSWER: Final = struct.Struct(">BBxBII12x")
_MAP: Final = struct.Struct(">12sB3xHH16s")
_IS_ANSWER: Final = 128
_LIMIT: Final = 1100
_ANY: Final = b"\0" * 10 + b"\xff\xff" + b"\0" * 4

_OTHER_VERSION, _OTHER_OPCODE = 1, 4
_REASONS: Final = {
    2: "the router's owner does not allow it",
    8: "the router has no room for more mappings",
    10: "the router gives us no more mappings",
    11: "the router cannot give that address outside",
    12: "there is another NAT between us and the router",
}


@dataclass(frozen=True, slots=True)
class Mapped:
    """A mapping; a lease of 0 says that it is gone."""

    epoch: int
    outer: IPv4Address
    port: int
    lease: int


def ask_age(source: IPv4Address) -> bytes:
    """Word an ANNOUNCE."""
    return _QUESTION.pack(_VERSION, ANNOUNCE, 0, 0, _mapped(source))


def ask_mapping(source: IPv4Address, nonce: bytes, protocol: int, inner: int, outer: int, lease: int) -> bytes:
    """Word a MAP; `outer` is a wish, and a lease of 0 ends the mapping."""
    head = _QUESTION.pack(_VERSION, MAP, 0, lease, _mapped(source))
    return head + _MAP.pack(nonce, protocol, inner, outer, _ANY)


def read_age(data: bytes) -> int:
    """Read how many seconds the server has kept its mappings. Raises ProtocolError, LinkError or PortRefused."""
    answer = _opened(data, ANNOUNCE)
    if answer.result != _OTHER_OPCODE:
        answer.judge()
    return answer.epoch


def read_mapping(data: bytes, nonce: bytes, protocol: int, inner: int) -> Mapped:
    """Read the mapping that was asked for. Raises ProtocolError, LinkError if no PCP is spoken there, PortRefused."""
    answer = _opened(data, MAP)
    if len(answer.rest) < _MAP.size:
        raise ProtocolError(f"PCP answer with {len(answer.rest)} bytes for a mapping")
    theirs, about, port, outer, address = _MAP.unpack_from(answer.rest)
    if (theirs, about, port) != (nonce, protocol, inner):
        raise ProtocolError("PCP answer about another mapping")
    answer.judge()
    v4 = IPv6Address(address).ipv4_mapped
    if v4 is None:
        raise ProtocolError("PCP answer with an IPv6 address for an IPv4 one")
    return Mapped(answer.epoch, v4, outer, answer.lease)


@dataclass(frozen=True, slots=True)
class Pcp:
    """A router that speaks PCP."""

    port: int
    """Of ours."""
    secret: Callable[[bytes], bytes]
    """Makes at least 12 bytes of any words, always the same, which nobody else can."""

    async def find(self, gateway: Gateway) -> None:
        """Return if it is spoken there. Raises LinkError, ProtocolError or PortRefused."""
        await self.look(gateway)

    async def map(self, gateway: Gateway, protocol: int, wish: int) -> Grant:
        """Map our port, at `wish` if that is free. Raises LinkError, ProtocolError or PortRefused."""
        mapped = await self._mapping(gateway, protocol, wish, int(LEASE))
        return Grant(Mapper.PCP, mapped.outer, mapped.port, mapped.lease, mapped.epoch)

    async def look(self, gateway: Gateway) -> tuple[float | None, IPv4Address | None]:
        """Ask for the age; PCP tells the outer address with mappings only. Raises as `map` does."""
        return await exchange(gateway, PORT, ask_age(gateway.source), read_age), None

    async def unmap(self, gateway: Gateway, protocol: int, port: int) -> None:
        """End the mapping of our port. Raises LinkError, ProtocolError or PortRefused."""
        await self._mapping(gateway, protocol, port, 0)

    async def _mapping(self, gateway: Gateway, protocol: int, wish: int, lease: int) -> Mapped:
        nonce = self._nonce(gateway, protocol)
        question = ask_mapping(gateway.source, nonce, protocol, self.port, wish, lease)
        return await exchange(gateway, PORT, question, lambda data: read_mapping(data, nonce, protocol, self.port))

    def _nonce(self, gateway: Gateway, protocol: int) -> bytes:
        words = gateway.address.packed + gateway.source.packed + struct.pack(">BH", protocol, self.port)
        return self.secret(words)[:NONCE_BYTES]


@dataclass(frozen=True, slots=True)
class _Answer:
    result: int
    lease: int
    """Of a refusal: seconds for which it stands."""
    epoch: int
    rest: bytes

    def judge(self) -> None:
        if self.result:
            reason = _REASONS.get(self.result, f"the router refuses (PCP result {self.result})")
            raise PortRefused(reason, self.lease)


def _opened(data: bytes, opcode: int) -> _Answer:
    if data[:1] == b"\0":
        raise LinkError("the router speaks no PCP")
    if not _ANSWER.size <= len(data) <= _LIMIT or len(data) % 4:
        raise ProtocolError(f"PCP answer of {len(data)} bytes")
    version, answered, result, lease, epoch = _ANSWER.unpack_from(data)
    if version != _VERSION or result == _OTHER_VERSION:
        raise LinkError("the router speaks no PCP")
    if answered != _IS_ANSWER + opcode:
        raise ProtocolError("PCP answer to another question")
    return _Answer(result, lease, epoch, data[_ANSWER.size :])


def _mapped(address: IPv4Address) -> bytes:
    return _ANY[:12] + address.packed
