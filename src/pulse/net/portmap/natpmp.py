"""NAT-PMP (RFC 6886): the outer address, and mappings of one port and protocol each.

    question  version 0 | opcode                                                        outer address
              version 0 | opcode 1 UDP, 2 TCP | rsv 2 | inner port 2 | outer port 2 | lease 4
    answer    version 0 | 128 + opcode | result 2 | epoch 4 | outer address 4
              version 0 | 128 + opcode | result 2 | epoch 4 | inner port 2 | outer port 2 | lease 4

Invariant: whatever the bytes, reading ends in an answer to the very question or in an error of ours.
"""

import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from pulse.core.paths.portmap import LEASE, Gateway, Grant, Mapper, PortRefused
from pulse.errors import LinkError, ProtocolError
from pulse.net.portmap.datagrams import exchange

PORT: Final = 5351

OUTER_ADDRESS, UDP, TCP = 0, 1, 2
_OPCODES: Final = {socket.IPPROTO_UDP: UDP, socket.IPPROTO_TCP: TCP}

_QUESTION: Final = struct.Struct(">BB")
_MAP: Final = struct.Struct(">BBHHHI")
_HEAD: Final = struct.Struct(">BBHI")
_MAPPED: Final = struct.Struct(">HHI")
_ANSWER: Final = 128

_OTHER_VERSION: Final = 1
_REASONS: Final = {
    2: "the router's owner does not allow it",
    3: "the router has no address outside",
    4: "the router has no room for more mappings",
    5: "the router cannot map ports",
}


@dataclass(frozen=True, slots=True)
class Outside:
    """The router's age in seconds, and its outer address."""

    epoch: int
    address: IPv4Address


@dataclass(frozen=True, slots=True)
class Mapped:
    """A mapping; a lease of 0 says that it is gone."""

    epoch: int
    port: int
    lease: int


def ask_outside() -> bytes:
    """Word the question for the outer address."""
    return _QUESTION.pack(0, OUTER_ADDRESS)


def ask_mapping(opcode: int, inner: int, outer: int, lease: int) -> bytes:
    """Word the question for a mapping; `outer` is a wish, and both 0 end it."""
    return _MAP.pack(0, opcode, 0, inner, outer, lease)


def read_outside(data: bytes) -> Outside:
    """Read the outer address. Raises ProtocolError, LinkError if no NAT-PMP is spoken there, PortRefused."""
    epoch, rest = _opened(data, OUTER_ADDRESS)
    if len(rest) != 4:
        raise ProtocolError(f"NAT-PMP answer with {len(rest)} bytes for an address")
    return Outside(epoch, IPv4Address(rest))


def read_mapping(data: bytes, opcode: int, inner: int) -> Mapped:
    """Read the mapping of that inner port. Raises ProtocolError, LinkError if no NAT-PMP is spoken, PortRefused."""
    epoch, rest = _opened(data, opcode)
    if len(rest) != _MAPPED.size:
        raise ProtocolError(f"NAT-PMP answer with {len(rest)} bytes for a mapping")
    theirs, port, lease = _MAPPED.unpack(rest)
    if theirs != inner:
        raise ProtocolError("NAT-PMP answer about another port")
    return Mapped(epoch, port, lease)


@dataclass(frozen=True, slots=True)
class NatPmp:
    """A router that speaks NAT-PMP."""

    port: int
    """Of ours."""

    async def find(self, gateway: Gateway) -> None:
        """Return if it is spoken there. Raises LinkError, ProtocolError or PortRefused."""
        await self.look(gateway)

    async def map(self, gateway: Gateway, protocol: int, wish: int) -> Grant:
        """Map our port, at `wish` if that is free. Raises LinkError, ProtocolError or PortRefused."""
        outside = await exchange(gateway, PORT, ask_outside(), read_outside)
        mapped = await self._mapping(gateway, protocol, wish, int(LEASE))
        return Grant(Mapper.NAT_PMP, outside.address, mapped.port, mapped.lease, mapped.epoch)

    async def look(self, gateway: Gateway) -> tuple[float | None, IPv4Address | None]:
        """Ask for age and outer address. Raises LinkError, ProtocolError or PortRefused."""
        outside = await exchange(gateway, PORT, ask_outside(), read_outside)
        return outside.epoch, outside.address

    async def unmap(self, gateway: Gateway, protocol: int, port: int) -> None:  # noqa: ARG002 (the inner port names it)
        """End the mapping of our port, whichever its outer port. Raises LinkError, ProtocolError or PortRefused."""
        await self._mapping(gateway, protocol, 0, 0)

    async def _mapping(self, gateway: Gateway, protocol: int, wish: int, lease: int) -> Mapped:
        opcode = _OPCODES[protocol]
        question = ask_mapping(opcode, self.port, wish, lease)
        return await exchange(gateway, PORT, question, lambda data: read_mapping(data, opcode, self.port))


def _opened(data: bytes, opcode: int) -> tuple[int, bytes]:
    """The epoch of an answer to that question, and what follows."""
    if len(data) < _HEAD.size:
        raise ProtocolError(f"NAT-PMP answer of {len(data)} bytes")
    version, answered, result, epoch = _HEAD.unpack_from(data)
    if version != 0 or result == _OTHER_VERSION:
        raise LinkError("the router speaks no NAT-PMP")
    if answered != _ANSWER + opcode:
        raise ProtocolError("NAT-PMP answer to another question")
    if result:
        raise PortRefused(_REASONS.get(result, f"the router refuses (NAT-PMP result {result})"))
    return epoch, data[_HEAD.size :]
