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
from typing import Final, NamedTuple

from pulse.errors import Conflict, SystemRefused
from pulse.net.nftrules import Rule, element
from pulse.net.nlattr import HEADER, aligned, attribute, attributes_in, big_number, each_attribute, nested, text

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
_OWNED: Final = 2
"""NFT_TABLE_F_OWNER: the table goes with the socket of its maker, and nobody else changes it."""
COMMENT_BYTES: Final = 127
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

    def replace(self, chains: Iterable[Chain], comment: str = "") -> None:
        """Have these chains in the table and no others, and this said of it. Raises SystemRefused."""
        said = [*self._gone()]
        said.append((_NEW_TABLE, _CREATE, self._name(1) + (_comment(comment) if comment else b"")))
        for chain in chains:
            said.append((_NEW_CHAIN, _CREATE, self._chain(chain)))
            for rule in chain.rules:
                body = self._name(1) + text(2, chain.name) + nested(4, b"".join(map(element, rule)))
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
        owned = (_NEW_TABLE, _CREATE, self._name(1) + big_number(2, _OWNED) + _comment(comment))
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
        return text(kind, self._table)

    def _chain(self, chain: Chain) -> bytes:
        hook = nested(4, big_number(1, chain.hook) + attribute(2, struct.pack(">i", chain.priority)))
        return self._name(1) + text(3, chain.name) + hook + big_number(5, 1) + text(7, chain.kind)

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


def _comment(said: str) -> bytes:
    body = said.encode()[:COMMENT_BYTES] + b"\0"
    return attribute(_USER_DATA, bytes([0, len(body)]) + body)


def _judge(what: str, kind: int, body: bytes) -> None:
    """Raise what an NLMSG_ERROR says, unless it says zero."""
    (code,) = struct.unpack_from("=i", body) if kind == _ERROR else (0,)
    if code:
        raise _KINDS.get(-code, SystemRefused)(f"{what}: {os.strerror(-code)}.\n{_ADVICE}")
