"""The tunnel listeners: programs of this machine, or of others that show a token, get streams by one line of JSON.

`tunnel.sock` and `--tcp` are two doors to the same. Invariant: no byte behind the line is read here: the data plane
moves them, from the caller's own socket or from one that it hands over (SCM_RIGHTS). Who has not shown the token of a
door takes no place from those who have.
"""

import asyncio
import contextlib
import hmac
import logging
import os
import socket
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

from pulse.core.crowd import OF_ONE_PROGRAM, STREAMS, Crowd
from pulse.core.mesh import Mesh
from pulse.core.network import tunnelline
from pulse.core.network.destinations import Destination, parse_destination
from pulse.core.network.streamcodes import StreamKind
from pulse.core.network.tunnelline import Answered, Asked
from pulse.core.types import NodeId
from pulse.errors import ConfigError, PulseError, Refused, StreamFailed
from pulse.net.links import Moved
from pulse.net.listeners import Arrivals
from pulse.net.opening import Opened, Opens
from pulse.waiting import readable

log = logging.getLogger(__name__)

LINE_DEADLINE: Final = 5.0
"""Seconds for the line to arrive."""

LAST_WORDS: Final = 1.0
"""Seconds for a caller that was refused to hear it and hang up."""

TURNED_AWAY: Final = 256
"""Callers who are told at once that there is no place for them; more are hung up on once they were."""

UNPROVEN: Final = 64
"""Callers at once who have not shown the token of their door yet; then the oldest gives way to who comes."""

_STREAMS: Final = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)


class Streams(Opens, Protocol):
    """Who opens streams, and tells why one would not open, or was cut."""

    def check(self, node: NodeId, destination: Destination) -> None: ...
    def cut(self, moved: Moved, node: NodeId, destination: Destination) -> StreamFailed: ...


class Leads(Protocol):
    """Who has other nodes listen for us."""

    async def lead(self, node: NodeId, port: int, destination: Destination) -> Opened: ...
    def forget(self, node: NodeId, port: int) -> None: ...


class Serves(Protocol):
    """Who has ports of this node lead to programs."""

    def led(self, port: int, program: socket.socket) -> AbstractContextManager[int]: ...


@dataclass(frozen=True, slots=True)
class Door:
    """One listening socket, and who may come in."""

    listener: socket.socket
    refusal: Callable[[socket.socket], str] = lambda _: ""
    """Why this caller may not; empty if it may."""
    token: str = ""
    """What the line has to show; empty for nothing."""
    takes_sockets: bool = False
    """Callers may hand over the socket whose bytes are to be moved."""
    who: Callable[[socket.socket], Hashable] = lambda _: None
    """Whose place a caller takes: that of a program, or of a machine. Raises OSError for one that is gone."""


@dataclass(slots=True)
class TunnelsService:
    """Serves the doors."""

    mesh: Mesh
    streams: Streams
    doors: tuple[Door, ...]
    reverse: Leads
    serving: Serves
    _turned_away: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    async def run(self) -> None:
        """Serve, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for door in self.doors:
                tasks.create_task(self._accept(door, tasks))

    async def _accept(self, door: Door, tasks: asyncio.TaskGroup) -> None:
        places, unproven = Crowd[Hashable](STREAMS, OF_ONE_PROGRAM), _Unproven()
        arrivals = Arrivals(door.listener)
        while True:
            caller = await arrivals.next()
            place = _Place(places, _who(door, caller))
            if door.token:
                place.taken_up = unproven.take(self._begin(door, caller, place, tasks), caller)
                # Whoever has said all already has shown its token before 64 others may cost it its place.
                await asyncio.sleep(0)
                continue
            try:
                # Taken now: many may be accepted before the first task runs.
                place.take()
            except StreamFailed as error:
                self._turn_away(caller, error, tasks)
            else:
                self._begin(door, caller, place, tasks)

    def _begin(
        self, door: Door, caller: socket.socket, place: "_Place", tasks: asyncio.TaskGroup
    ) -> asyncio.Task[None]:
        task = tasks.create_task(self._serve(door, caller, place))
        # Also that of a task which was ended before it began.
        task.add_done_callback(lambda _: caller.close())
        return task

    def _turn_away(self, caller: socket.socket, why: StreamFailed, tasks: asyncio.TaskGroup) -> None:
        _dismiss(caller, why)
        if len(self._turned_away) >= TURNED_AWAY:
            caller.close()
            return
        task = tasks.create_task(_see_off(caller))
        self._turned_away.add(task)
        task.add_done_callback(self._turned_away.discard)

    async def _serve(self, door: Door, caller: socket.socket, place: "_Place") -> None:
        """One connection, to its end; whatever becomes of it harms no other."""
        handed: list[socket.socket] = []
        with contextlib.ExitStack() as held:
            held.callback(place.leave)
            held.callback(_close, handed)
            held.enter_context(caller)
            try:
                asked = await self._asked(door, caller, handed)
                place.take()
                if asked.serve is not None:
                    await self._let_serve(door, caller, asked.serve)
                elif asked.reverse:
                    await self._lead(caller, asked)
                elif (opened := await self._opened(asked)) is None:
                    await _say(caller, tunnelline.line_of(Answered(ok=True)))
                elif handed:
                    await self._carry(opened, caller, handed.pop(), asked)
                else:
                    await self._hand_on(opened, caller, asked)
            except PulseError as error:
                await _say(caller, tunnelline.refusal(error))
                await _hear_out(caller)
            except OSError:
                # The caller hung up.
                return
            except Exception:
                # Whatever one line runs into, the other doors stay open, and the node that they belong to.
                log.exception("tunnel broke")

    async def _asked(self, door: Door, caller: socket.socket, handed: list[socket.socket]) -> Asked:
        """What the caller asks for, if it may. Raises PulseError, or OSError if it is gone."""
        if why := door.refusal(caller):
            raise Refused(why)
        try:
            async with asyncio.timeout(LINE_DEADLINE):
                line = await _line(caller, handed if door.takes_sockets else None)
        except TimeoutError:
            raise ConfigError(f"no line came within {LINE_DEADLINE:.0f} seconds. Say: {tunnelline.EXAMPLE}") from None
        asked = tunnelline.read(line)
        if door.token and not hmac.compare_digest(asked.token.encode(), door.token.encode()):
            raise Refused('"token" is not the one of this listener ([node] tcp_token)')
        return asked

    async def _opened(self, asked: Asked) -> Opened | None:
        """A stream as it was asked for; None if it was only to be judged."""
        node, destination = self._named(asked)
        if asked.check:
            self.streams.check(node, destination)
            return None
        return await self.streams.open(node, destination, StreamKind.CONNECT)

    def _named(self, asked: Asked) -> tuple[NodeId, Destination]:
        """Raises PulseError."""
        return self.mesh.members.resolve(asked.dest_node).node_id, parse_destination(asked.dest_addr)

    async def _lead(self, caller: socket.socket, asked: Asked) -> None:
        """A port of the node leads to a destination here for as long as the caller stays. Raises PulseError."""
        node, port = self.mesh.members.resolve(asked.dest_node).node_id, asked.reverse
        opened = await self.reverse.lead(node, port, parse_destination(asked.dest_addr))
        listening = Destination("localhost", port)
        try:
            held, given = socket.socketpair()
            with held:
                opened.splice(given)
                await _say(caller, tunnelline.line_of(Answered(ok=True)))
                await self._carried(opened, caller, node, listening)
        finally:
            self.reverse.forget(node, port)

    async def _let_serve(self, door: Door, caller: socket.socket, port: int) -> None:
        """A port of this node leads to the caller until it hangs up, or says anything more. Raises PulseError."""
        if not door.takes_sockets:
            raise ConfigError("sockets cannot be handed over here. Ask tunnel.sock, on the machine of the node")
        with self.serving.led(port, caller) as taken:
            await _say(caller, tunnelline.line_of(Answered(ok=True, port=taken)))
            await readable(caller)

    async def _carried(
        self, opened: Opened, caller: socket.socket, node: NodeId, destination: Destination, *, lasting: bool = False
    ) -> None:
        """Wait for the end of the stream, which the caller's brings about unless it lasts, and tell how it ended."""
        gone = asyncio.ensure_future(readable(caller))
        gone.add_done_callback(lambda _: None if lasting else opened.cancel())
        try:
            moved = await opened.closed()
        finally:
            gone.cancel()
        line = tunnelline.line_of(Answered(sent=moved.sent, received=moved.received))
        if moved.cut:
            line = tunnelline.refusal(self.streams.cut(moved, node, destination), moved.sent, moved.received)
        await _say(caller, line)

    async def _hand_on(self, opened: Opened, caller: socket.socket, asked: Asked) -> None:
        """The caller's own connection becomes the stream."""
        if asked.confirm:
            await _say(caller, tunnelline.line_of(Answered(ok=True)))
        opened.splice(caller)
        # Its place is taken as long.
        await opened.closed()

    async def _carry(self, opened: Opened, caller: socket.socket, handed: socket.socket, asked: Asked) -> None:
        """A socket that was handed over becomes the stream; the caller hears how it ended."""
        opened.splice(handed)
        await _say(caller, tunnelline.line_of(Answered(ok=True)))
        await self._carried(opened, caller, *self._named(asked), lasting=asked.lasting)


@dataclass(slots=True)
class _Place:
    """That of one caller behind its door."""

    places: Crowd[Hashable]
    who: Hashable
    taken_up: Callable[[], object] = lambda: None
    """Called once it is taken."""
    taken: bool = False

    def take(self) -> None:
        """Have it from now on, if it is not had already. Raises StreamFailed if there is none."""
        if self.taken:
            return
        if self.places.is_full(self.who):
            raise _crowded(
                f"a program has up to {OF_ONE_PROGRAM:,} connections open through the node here, and all together "
                f"{STREAMS:,}.\nClose some, or try again later"
            )
        self.places.take(self.who)
        self.taken = True
        self.taken_up()

    def leave(self) -> None:
        """Give it back, if it was taken."""
        if self.taken:
            self.places.leave(self.who)


async def _line(caller: socket.socket, handed: list[socket.socket] | None) -> bytes:
    """The first line, and not a byte more. Raises ConfigError for one that is too long or has no end."""
    line = b""
    while not line.endswith(b"\n"):
        await readable(caller)
        seen = caller.recv(tunnelline.LIMIT - len(line), socket.MSG_PEEK)
        length = seen.find(b"\n") + 1 or len(seen)
        taken = _taken(caller, length, handed)
        line += taken
        if not taken or (len(line) >= tunnelline.LIMIT and not line.endswith(b"\n")):
            raise ConfigError(f"the first line of a tunnel has {tunnelline.LIMIT} bytes at most, and ends")
    return line


def _taken(caller: socket.socket, length: int, handed: list[socket.socket] | None) -> bytes:
    if handed is None or not length:
        return caller.recv(length)
    data, descriptors, _, _ = socket.recv_fds(caller, length, 1, socket.MSG_CMSG_CLOEXEC)
    good = [_is_taken_over(each, handed) for each in descriptors]
    if not all(good):
        raise ConfigError("what is handed over has to be a connected stream socket")
    return data


def _is_taken_over(descriptor: int, handed: list[socket.socket]) -> bool:
    """False, and it is closed, if it is no socket; false, too, for one of another kind."""
    try:
        handed.append(socket.socket(fileno=descriptor))
    except OSError:
        os.close(descriptor)
        return False
    return handed[-1].type == socket.SOCK_STREAM and handed[-1].family in _STREAMS


def _close(sockets: list[socket.socket]) -> None:
    for each in sockets:
        each.close()


async def _hear_out(caller: socket.socket) -> None:
    """What was said already is read away: left unread it would turn our end, and with it the answer, into a reset."""
    with contextlib.suppress(OSError, TimeoutError):
        caller.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(LAST_WORDS):
            while await asyncio.get_running_loop().sock_recv(caller, tunnelline.LIMIT):
                pass


@dataclass(slots=True)
class _Unproven:
    """Those who have not shown the token of their door yet, the oldest first: who serves each, and its socket."""

    _callers: dict[asyncio.Task[None], socket.socket] = field(default_factory=dict)

    def take(self, task: asyncio.Task[None], caller: socket.socket) -> Callable[[], object]:
        """One more came, for which the oldest may have to go; what to call once it has shown the token."""
        if len(self._callers) >= UNPROVEN:
            oldest = next(iter(self._callers))
            why = f"{UNPROVEN} more came who have not shown the token of this listener either.\nSay your line at once"
            _dismiss(self._callers.pop(oldest), _crowded(why))
            oldest.cancel()
        self._callers[task] = caller
        task.add_done_callback(self._gone)
        return partial(self._gone, task)

    def _gone(self, task: asyncio.Task[None]) -> None:
        self._callers.pop(task, None)


def _crowded(why: str) -> StreamFailed:
    log.debug("tunnel turned away")
    return StreamFailed(f"there is no place for one more: {why}", word=tunnelline.CROWDED)


def _dismiss(caller: socket.socket, why: StreamFailed) -> None:
    """Say why at once, which a new connection has room for."""
    with contextlib.suppress(OSError):
        caller.send(tunnelline.refusal(why))


async def _see_off(caller: socket.socket) -> None:
    with caller:
        await _hear_out(caller)


def _who(door: Door, caller: socket.socket) -> Hashable:
    with contextlib.suppress(OSError):
        return door.who(caller)
    return None


async def _say(caller: socket.socket, line: bytes) -> None:
    """A line is short: who has no room for it is not listening."""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(LINE_DEADLINE):
            await asyncio.get_running_loop().sock_sendall(caller, line)
