"""A table of our own in nf_tables, put there whole by one batch over netlink.

Invariant: a batch counts as a whole or not at all, and only our own table is ever touched. Layouts:
linux/netfilter/nf_tables.h, nfnetlink.h; numbers inside attributes are big-endian there.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Network, IPv6Network
from typing import Final, NamedTuple

from pulse.errors import Conflict, SystemRefused
from pulse.net.nlattr import HEADER, aligned, attribute, attributes_in, each_attribute

Prefix = IPv4Network | IPv6Network
Expression = tuple[str, bytes]
Rule = Sequence[Expression]

_NETFILTER: Final = 12
_SUBSYSTEM: Final = 10 << 8
_BEGIN, _END = 16, 17
_NEW_TABLE, _GET_TABLE, _DELETE_TABLE, _NEW_CHAIN, _NEW_RULE, _GET_RULE = 0, 1, 2, 3, 6, 7
_NEW_GENERATION, _GET_GENERATION = 15, 16
_REQUEST, _ACK, _CREATE = 0x1, 0x4, 0x400
_APPEND: Final = 0x800
_DUMP: Final = 0x300
_ERROR, _DONE = 2, 3
_INET: Final = 1
_NESTED: Final = 0x8000
_NAME_BYTES: Final = 16
_OWNED: Final = 2
"""NFT_TABLE_F_OWNER: the table goes with the socket of its maker, and nobody else changes it."""
COMMENT_BYTES: Final = 127
_REGISTER, _SECOND = 1, 2
_EQUAL, _UNEQUAL = 0, 1
_IPV4, _IPV6 = 2, 10
_MARK, _IIFNAME, _OIFNAME, _NFPROTO = 3, 6, 7, 15
_NETMAP: Final = 0x40
_ESTABLISHED_OR_RELATED: Final = 2 | 4
_LOCAL: Final = 2
_USER_DATA: Final = 6
"""Of a table (NFTA_TABLE_USERDATA); what libnftnl has in it: kind 0 is a comment, its length, and it."""


class Hook(IntEnum):
    """Where a chain hears of packets."""

    PREROUTING = 0
    FORWARD = 2
    POSTROUTING = 4


class FoundRule(NamedTuple):
    """A rule that is there."""

    family: int
    """NFPROTO_INET and so on, of linux/netfilter.h."""
    table: str
    chain: str
    expressions: Rule


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain that the kernel calls; what no rule decides on passes."""

    name: str
    kind: str
    """`filter` or `nat`."""
    hook: Hook
    priority: int
    rules: Sequence[Rule]


# Expressions


def comes_by(device: str, *, other: bool = False) -> list[Expression]:
    """The packet came by that device, or by any other."""
    return _named(_IIFNAME, device, other=other)


def leaves_by(device: str, *, other: bool = False) -> list[Expression]:
    """It leaves by that device, or by any other."""
    return _named(_OIFNAME, device, other=other)


def is_from(prefix: Prefix, *, other: bool = False) -> list[Expression]:
    """Its source is in the range, or in the same family outside."""
    return _inside(prefix, 12 if prefix.version == 4 else 8, other=other)


def is_for(prefix: Prefix, *, other: bool = False) -> list[Expression]:
    """Its destination is in the range, or in the same family outside."""
    return _inside(prefix, 16 if prefix.version == 4 else 24, other=other)


def is_for_this_host() -> list[Expression]:
    """Its destination is an address of this host (`fib daddr type local`)."""
    fib = _u32(1, _REGISTER) + _u32(2, 3) + _u32(3, 2)
    return [("fib", fib), _compare(struct.pack("=I", _LOCAL))]


def is_of(version: int) -> list[Expression]:
    """It is of that version of IP."""
    return [("meta", _u32(2, _NFPROTO) + _u32(1, _REGISTER)), _compare(bytes([_IPV4 if version == 4 else _IPV6]))]


def is_answer() -> list[Expression]:
    """It belongs to a connection that was let through (`ct state established,related`)."""
    mask = struct.pack("=I", _ESTABLISHED_OR_RELATED)
    return [("ct", _u32(1, _REGISTER) + _u32(2, 0)), _masked(mask), _compare(bytes(4), other=True)]


def marks(mark: int) -> list[Expression]:
    """It bears this mark from now on, by which the host's rules of routing tell it apart."""
    return [_load(_REGISTER, struct.pack("=I", mark)), ("meta", _u32(2, _MARK) + _u32(3, _REGISTER))]


def accepts() -> Expression:
    """It passes this chain."""
    return _verdict(1)


def drops() -> Expression:
    """It goes no further."""
    return _verdict(0)


def masquerade() -> Expression:
    """It leaves with the address of the device it leaves by."""
    return ("masq", b"")


def mapped_to(prefix: Prefix) -> list[Expression]:
    """It goes to the same place inside another range of that size, one to one."""
    low, high = prefix.network_address.packed, prefix.broadcast_address.packed
    family = _IPV4 if prefix.version == 4 else _IPV6
    nat = _u32(1, 1) + _u32(2, family) + _u32(3, _REGISTER) + _u32(4, _SECOND) + _u32(7, _NETMAP)
    return [_load(_REGISTER, low), _load(_SECOND, high), ("nat", nat)]


# The table


class Nftables:
    """The table of this name, in the namespace this was opened in."""

    def __init__(self, table: str) -> None:
        """Raises SystemRefused."""
        self._table, self._sequence = table, 0
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER)
        except OSError as error:
            raise SystemRefused(f"this kernel has no nf_tables: {error.strerror or error}") from error
        self._socket.settimeout(5.0)

    def close(self) -> None:
        """Close the socket; the table stays."""
        self._socket.close()

    def replace(self, chains: Iterable[Chain]) -> None:
        """Have these chains in the table and no others. Raises SystemRefused."""
        said = [*self._gone()]
        said.append((_NEW_TABLE, _CREATE, self._name(1)))
        for chain in chains:
            said.append((_NEW_CHAIN, _CREATE, self._chain(chain)))
            for rule in chain.rules:
                body = self._name(1) + _text(2, chain.name) + _nested(4, b"".join(map(_element, rule)))
                said.append((_NEW_RULE, _CREATE | _APPEND, body))
        self._batch(f"cannot put the nftables table inet {self._table} there", said)

    def remove(self) -> None:
        """Have no table; none being there is fine. Raises SystemRefused."""
        if self.is_there():
            self._batch(f"cannot remove the nftables table inet {self._table}", [*self._gone()])

    def is_there(self) -> bool:
        """True while the kernel has the table."""
        try:
            self._ask("cannot look for an nftables table", [self._message(_GET_TABLE, _ACK, self._name(1))])
        except _Missing:
            return False
        return True

    def hold(self, comment: str) -> None:
        """Have the table empty, under this comment, until this is closed; a kernel before 5.12 has no such tables.

        Raises Conflict with the comment while another process holds it, else SystemRefused.
        """
        text = comment.encode()[:COMMENT_BYTES] + b"\0"
        said = attribute(_USER_DATA, bytes([0, len(text)]) + text)
        owned = (_NEW_TABLE, _CREATE, self._name(1) + _u32(2, _OWNED) + said)
        try:
            self._batch(f"cannot hold the nftables table inet {self._table}", [*self._gone(), owned])
        except _Forbidden:
            if (held := self.comment()) is None:
                raise
            raise Conflict(held) from None
        except _TooOld:
            return

    def comment(self) -> str | None:
        """What the table says of itself; None while there is none. Raises SystemRefused."""
        try:
            answer = self._ask("cannot look for an nftables table", [self._message(_GET_TABLE, _ACK, self._name(1))])
        except _Missing:
            return None
        said = attributes_in(answer, 4).get(_USER_DATA, b"")
        return said[2 : 2 + said[1]].rstrip(b"\0").decode(errors="replace") if len(said) > 2 else ""

    def rules(self) -> Iterator[FoundRule]:
        """The rules of all tables, whoever made them. Raises SystemRefused."""
        for body in self._list("cannot list the rules of nftables", _GET_RULE):
            found = attributes_in(body, 4)
            table, chain = (found.get(kind, b"").rstrip(b"\0").decode(errors="replace") for kind in (1, 2))
            said = (attributes_in(element, 0) for _, element in each_attribute(found.get(4, b"")))
            parts = [(each.get(1, b"").rstrip(b"\0").decode(), each.get(2, b"")) for each in said]
            yield FoundRule(body[0], table, chain, parts)

    def generation(self) -> int:
        """A number that changes with whatever anybody changes in any table. Raises SystemRefused."""
        try:
            self._socket.send(self._message(_GET_GENERATION, 0, b""))
            while True:
                datagram = self._socket.recv(1 << 16)
                length, kind, *_ = HEADER.unpack_from(datagram)
                if kind == _SUBSYSTEM | _NEW_GENERATION:
                    return int.from_bytes(attributes_in(datagram[:length], HEADER.size + 4)[1])
        except (OSError, KeyError, struct.error) as error:
            raise SystemRefused(f"cannot ask for the state of nftables: {error}.\n{_ADVICE}") from error

    def _gone(self) -> Iterable[tuple[int, int, bytes]]:
        # Made first if it is not there, so that taking it away cannot fail.
        return ((_NEW_TABLE, _CREATE, self._name(1)), (_DELETE_TABLE, 0, self._name(1)))

    def _batch(self, what: str, said: Sequence[tuple[int, int, bytes]]) -> None:
        last = len(said) - 1
        messages = [self._frame(_BEGIN, 0, struct.pack(">BBH", 0, 0, 10))]
        messages += [
            self._message(kind, flags | (_ACK if place == last else 0), body)
            for place, (kind, flags, body) in enumerate(said)
        ]
        awaited = self._sequence
        messages.append(self._frame(_END, 0, struct.pack(">BBH", 0, 0, 10)))
        self._ask(what, messages, awaited)

    def _list(self, what: str, kind: int) -> list[bytes]:
        """Every object of one kind, of all families."""
        message = self._frame(_SUBSYSTEM | kind, _DUMP, bytes(4))
        found: list[bytes] = []
        try:
            self._socket.send(message)
            for answered, _, body in self._answers(self._sequence - 1):
                if answered == _DONE:
                    break
                _judge(what, answered, body)
                found.append(body)
        except OSError as error:
            raise SystemRefused(f"{what}: {error.strerror or error}.\n{_ADVICE}") from error
        return found

    def _ask(self, what: str, messages: Sequence[bytes], awaited: int = 0) -> bytes:
        """Send, and wait until the message with that number, else the last one, is acknowledged; what came before."""
        awaited, answer = awaited or self._sequence, b""
        try:
            self._socket.send(b"".join(messages))
            for kind, sequence, body in self._answers(self._sequence - len(messages)):
                _judge(what, kind, body)
                if kind == _ERROR and sequence == awaited:
                    break
                answer = body
        except OSError as error:
            raise SystemRefused(f"{what}: {error.strerror or error}.\n{_ADVICE}") from error
        return answer

    def _answers(self, before: int) -> Iterator[tuple[int, int, bytes]]:
        """Yield kind, number and body of what answers requests after that number, while the caller wants more."""
        while True:
            datagram, at = self._socket.recv(1 << 16), 0
            while at < len(datagram):
                length, kind, _, sequence, _ = HEADER.unpack_from(datagram, at)
                if sequence > before:
                    yield kind, sequence, datagram[at + HEADER.size : at + length]
                at += aligned(length)

    def _name(self, kind: int) -> bytes:
        return _text(kind, self._table)

    def _chain(self, chain: Chain) -> bytes:
        hook = _nested(4, _u32(1, chain.hook) + attribute(2, struct.pack(">i", chain.priority)))
        return self._name(1) + _text(3, chain.name) + hook + _u32(5, 1) + _text(7, chain.kind)

    def _message(self, kind: int, flags: int, body: bytes) -> bytes:
        return self._frame(_SUBSYSTEM | kind, flags, struct.pack(">BBH", _INET, 0, 0) + body)

    def _frame(self, kind: int, flags: int, body: bytes) -> bytes:
        self._sequence += 1
        return HEADER.pack(HEADER.size + len(body), kind, _REQUEST | flags, self._sequence, 0) + body


class _Missing(SystemRefused):
    """There is no such table."""


class _Forbidden(SystemRefused):
    """Another process holds the table, or nobody here may have one."""


class _TooOld(SystemRefused):
    """This kernel knows no tables of one process."""


_KINDS: Final = {
    errno.ENOENT: _Missing,
    errno.EPERM: _Forbidden,
    errno.EOPNOTSUPP: _TooOld,
    errno.EINVAL: _TooOld,
}
_ADVICE: Final = "It takes CAP_NET_ADMIN and a kernel with nf_tables: see nft list ruleset."


def _judge(what: str, kind: int, body: bytes) -> None:
    """Raise what an NLMSG_ERROR says, unless it says zero."""
    (code,) = struct.unpack_from("=i", body) if kind == _ERROR else (0,)
    if code:
        raise _KINDS.get(-code, SystemRefused)(f"{what}: {os.strerror(-code)}.\n{_ADVICE}")


def _element(expression: Expression) -> bytes:
    name, data = expression
    return _nested(1, _text(1, name) + _nested(2, data))


def _named(key: int, device: str, *, other: bool) -> list[Expression]:
    name = device.encode().ljust(_NAME_BYTES, b"\0")
    return [("meta", _u32(2, key) + _u32(1, _REGISTER)), _compare(name, other=other)]


def _inside(prefix: Prefix, offset: int, *, other: bool) -> list[Expression]:
    found = is_of(prefix.version)
    if not prefix.prefixlen:
        return found
    address, mask = prefix.network_address.packed, prefix.netmask.packed
    load = _u32(1, _REGISTER) + _u32(2, 1) + _u32(3, offset) + _u32(4, len(address))
    return [*found, ("payload", load), _masked(mask), _compare(address, other=other)]


def _compare(value: bytes, *, other: bool = False) -> Expression:
    said = _u32(1, _REGISTER) + _u32(2, _UNEQUAL if other else _EQUAL) + _nested(3, attribute(1, value))
    return ("cmp", said)


def _masked(mask: bytes) -> Expression:
    nothing = _nested(5, attribute(1, bytes(len(mask))))
    return ("bitwise", _u32(1, 1) + _u32(2, 1) + _u32(3, len(mask)) + _nested(4, attribute(1, mask)) + nothing)


def _load(register: int, value: bytes) -> Expression:
    return ("immediate", _u32(1, register) + _nested(2, attribute(1, value)))


def _verdict(code: int) -> Expression:
    return ("immediate", _u32(1, 0) + _nested(2, _nested(2, _u32(1, code))))


def _u32(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack(">I", value))


def _text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def _nested(kind: int, value: bytes) -> bytes:
    return attribute(kind | _NESTED, value)
