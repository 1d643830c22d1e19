"""Answers DNS over UDP and TCP, from memory, for programs of this machine.

Invariant: whoever asks costs a bounded part of the node's time and memory, however much he asks and however slowly.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final, Self

from pulse.core import addresses
from pulse.core.bucket import Bucket
from pulse.core.network.directory import Directory
from pulse.core.network.dns import HEADER, QUERY_LIMIT, UDP_LIMIT, answered, modest
from pulse.net.listeners import Place, listen_both

log = logging.getLogger(__name__)

CONNECTIONS: Final = 64
"""Over TCP at once; the oldest gives way to who comes."""

IDLE: Final = 5.0
"""Seconds from one whole query to the next, and for an answer to be taken."""

BATCH: Final = 32
"""Queries answered before others of the node have their turn."""

ANSWERED: Final = 20_000.0
ANSWERED_MOST: Final = 2_000.0
"""Answers a second, and at once; who asks more waits, or asks again: it is the mesh's own time."""

KNOWN: Final = 4096
"""Answers kept as they were given, until names change."""

WORKED_OUT: Final = 2000.0
WORKED_OUT_MOST: Final = 4000.0
"""Answers a second that are not known yet, and at once: names that nobody has cost as much as others."""

SHARE: Final = 10.0
"""Names are worked out anew at once, but take at most one part in so many of the time."""

_LENGTH: Final = 2
_TOLD_LIMIT: Final = socket.CMSG_SPACE(20)
"""Room for the address that a datagram was sent to (RFC 3542, 6)."""


class DnsSockets:
    """The sockets that listen: UDP, and TCP on the same port."""

    def __init__(self, host: str, port: int, *, ahead: bool = False) -> None:
        """Listen; if `ahead`, also at an address that this machine will only have once the mesh is up.

        Raises Conflict if the port is taken, SystemRefused if the system allows it not at all.
        """
        self.udp, self.tcp = listen_both(Place("the DNS server", "--dns-listen", host, port, ahead))
        if self.udp.family == socket.AF_INET6:
            # On all addresses: an answer has to come from the one that was asked.
            self.udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)

    @property
    def address(self) -> str:
        """`host:port` that is listened on."""
        return addresses.join(*self.udp.getsockname()[:2])

    def close(self) -> None:
        """Listen no more."""
        self.udp.close()
        self.tcp.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(slots=True)
class Answers:
    """What is answered: worked out once, and given again until names change."""

    revision: Callable[[], int]
    """Another number once names may say something else."""
    names: Callable[[], Directory]
    now: Callable[[], float]
    _directory: Directory | None = field(default=None, init=False)
    _of: int = field(default=-1, init=False)
    _not_before: float = field(default=0.0, init=False)
    _known: dict[tuple[bool, bytes], bytes] = field(default_factory=dict, init=False)
    _left: Bucket = field(init=False)

    def __post_init__(self) -> None:
        self._left = Bucket(WORKED_OUT, WORKED_OUT_MOST, self.now())

    def to(self, data: bytes, *, tcp: bool) -> bytes | None:
        """The answer to a query; None if it gets none."""
        directory = self._current()
        # All but its number: that alone differs each time the same is asked.
        query = (tcp, data[2:])
        known = self._known.get(query)
        if known is not None:
            return data[:2] + known
        if self._left.level(self.now()) < 1:
            return None
        self._left.spend(1, self.now())
        answer = answered(directory, data, tcp=tcp)
        if answer is not None and len(answer) <= UDP_LIMIT:
            if len(self._known) >= KNOWN:
                self._known.clear()
            self._known[query] = answer[2:]
        return answer

    def _current(self) -> Directory:
        if self._directory is None or (self._of != self.revision() and self.now() >= self._not_before):
            began = self.now()
            self._of, self._directory = self.revision(), self.names()
            ended = self.now()
            self._not_before = ended + SHARE * (ended - began)
            self._known.clear()
        return self._directory


@dataclass(slots=True)
class DnsService:
    """Answers, until it is cancelled."""

    sockets: DnsSockets
    answers: Answers
    streams: "dict[_Stream, None]" = field(default_factory=dict, init=False)
    """Connections, the oldest first."""
    _left: Bucket = field(init=False)
    _resuming: asyncio.TimerHandle | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._left = Bucket(ANSWERED, ANSWERED_MOST, _now())

    async def run(self) -> None:
        """Serve."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Stream(self), sock=self.sockets.tcp)
        self._listen()
        log.info("dns up", extra={"listen": self.sockets.address})
        try:
            await server.serve_forever()
        finally:
            if self._resuming:
                self._resuming.cancel()
            loop.remove_reader(self.sockets.udp)
            server.close()
            for each in list(self.streams):
                each.hang_up()

    def pause(self) -> float:
        """Seconds to wait before anything more is answered: mostly none."""
        return self._left.ready_at(0.0, _now()) - _now()

    def answered(self, queries: int) -> None:
        """So many had their answer."""
        self._left.spend(queries, _now())

    def _listen(self) -> None:
        if self.sockets.udp.fileno() >= 0:
            asyncio.get_running_loop().add_reader(self.sockets.udp, self._read)

    def _read(self) -> None:
        """Datagrams that wait, as many as may be; the loop comes back for more."""
        pause = self.pause()
        if pause > 0:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self.sockets.udp)
            self._resuming = loop.call_later(pause, self._listen)
            return
        self.answered(self._answer())

    def _answer(self) -> int:
        """How many waited, of a batch."""
        for count in range(BATCH):
            try:
                data, told, _, sender = self.sockets.udp.recvmsg(QUERY_LIMIT + 1, _TOLD_LIMIT)
            except BlockingIOError:
                return count
            except OSError:
                # Word that an answer before did not arrive.
                continue
            answer = self.answers.to(data, tcp=False)
            if answer is not None:
                if not _is_of_this_machine(sender[0]):
                    answer = modest(data, answer)
                # Who does not take it asks again.
                with suppress(OSError):
                    self.sockets.udp.sendmsg([answer], [_asked_at(*each) for each in told], 0, sender)
        return BATCH


def _is_of_this_machine(host: str) -> bool:
    """True for loopback: its addresses are nobody's to write on a datagram that comes from elsewhere."""
    address = ip_address(host)
    # So IPv4 looks on a socket for both.
    mapped = address.ipv4_mapped if address.version == 6 else None
    return (mapped or address).is_loopback


def _asked_at(level: int, kind: int, place: bytes) -> tuple[int, int, bytes]:
    """The address a question was sent to as that of its answer, by whatever interface leads there."""
    return level, kind, place[:16] + bytes(4)


class _Stream(asyncio.Protocol):
    """One connection: queries and answers, each behind its length (RFC 7766)."""

    def __init__(self, of: DnsService) -> None:
        self._of = of
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._waiting = bytearray()
        self._paused = False
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        if len(self._of.streams) >= CONNECTIONS:
            next(iter(self._of.streams)).hang_up()
        self._of.streams[self] = None
        self._await_query()

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        self._answer()

    def pause_writing(self) -> None:
        self._paused = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._paused = False
        self._answer()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's face)
        self._of.streams.pop(self, None)
        self._stop()

    def hang_up(self) -> None:
        """End it, whatever is under way."""
        self._of.streams.pop(self, None)
        self._stop()
        self._transport.abort()

    def _answer(self) -> None:
        """What waits, as long as answers are taken; then the others have their turn."""
        if self._transport.is_closing():
            return
        pause = self._of.pause()
        if pause > 0:
            self._transport.pause_reading()
            self._loop.call_later(pause, self._answer)
            return
        for _ in range(BATCH):
            if self._paused or self._transport.is_closing():
                return
            query = self._next()
            if query is None:
                self._transport.resume_reading()
                return
            answer = self._of.answers.to(query, tcp=True)
            if answer is None:
                self.hang_up()
                return
            self._await_query()
            self._of.answered(1)
            self._transport.write(len(answer).to_bytes(_LENGTH) + answer)
        self._transport.pause_reading()
        self._loop.call_soon(self._answer)

    def _next(self) -> bytes | None:
        """The next whole query; None if there is none yet. What can be none ends the connection."""
        length = int.from_bytes(self._waiting[:_LENGTH])
        if len(self._waiting) < _LENGTH or len(self._waiting) < _LENGTH + min(length, HEADER):
            return None
        if not HEADER <= length <= QUERY_LIMIT:
            self.hang_up()
            return None
        if len(self._waiting) < _LENGTH + length:
            return None
        query = bytes(self._waiting[_LENGTH : _LENGTH + length])
        del self._waiting[: _LENGTH + length]
        return query

    def _await_query(self) -> None:
        self._stop()
        self._deadline = self._loop.call_later(IDLE, self.hang_up)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _now() -> float:
    return asyncio.get_running_loop().time()
