"""Streams of others to what is behind this node, by who the session says is there.

Invariant: one is accepted only once its destination is connected, and whatever goes wrong with one ends that one.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from pulse.core.network import streamcodes
from pulse.core.network.destinations import address_of
from pulse.core.network.streamcodes import StreamCode, StreamKind
from pulse.core.types import SHORT_ID, NodeId
from pulse.errors import ProtocolError, PulseError, StreamFailed
from pulse.net.links import Moved, Stream, Streams
from pulse.services.streams.dialling import Dialling, Led, Unfit
from pulse.services.streams.register import Flow, Register, now

log = logging.getLogger(__name__)

_GRAVE: Final = frozenset({StreamCode.NOT_ALLOWED, StreamCode.FORBIDDEN, StreamCode.BROKEN})
"""Refusals that people want to know of; none of their reasons names an address."""


@dataclass(slots=True)
class Answering:
    """Answers streams."""

    register: Register
    streams: Streams
    dialling: Dialling
    answers: Mapping[StreamKind, Callable[[NodeId, int], Awaitable[socket.socket]]] = field(default_factory=dict)
    """Kinds that lead to no destination of their own: what is spliced, by the node and the port."""
    _quiet_until: float = field(default=0.0, init=False)
    """No refusal is news before then: a peer could fill the log with them."""
    _hearing: dict[Stream, Callable[[Moved], None]] = field(default_factory=dict, init=False)
    """Who is told how a stream ends."""

    async def run(self) -> None:
        """Answer streams of others, until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    self._offered(await self.streams.wait_offered(), tasks)
        finally:
            for stream in [*self._hearing]:
                self._over(stream, Moved(0, 0, StreamCode.CANCELLED))

    def withdrawn(self) -> set[Stream]:
        """Streams of theirs to what this node was approved to lead to, and no longer is."""
        led = {
            stream: flow.beyond
            for stream, flow in self.register.kept.items()
            if flow.beyond and flow.destination == self.register.me
        }
        if not led:
            return set()
        try:
            here = self.dialling.premises()
        except PulseError as error:
            log.warning("streams not judged again", extra={"error": str(error)})
            return set()
        return {stream for stream, beyond in led.items() if beyond not in here.own and not here.leads_to(beyond)}

    # Details

    def _offered(self, stream: Stream, tasks: asyncio.TaskGroup) -> None:
        if self.register.is_full(stream.node):
            stream.refuse(StreamCode.BUSY)
            return
        self.register.take(stream)
        answering = tasks.create_task(self._guarded(stream))
        # Once it has ended its place is free again, so nothing of it may go on.
        stream.ended.add_done_callback(partial(_cancel, answering))

    def _over(self, stream: Stream, moved: Moved) -> None:
        if tell := self._hearing.pop(stream, None):
            tell(moved)

    async def _guarded(self, stream: Stream) -> None:
        """Answer it; whatever goes wrong with one stream ends that one."""
        try:
            await self._answer(stream)
        except (OSError, PulseError) as error:
            self._refuse(stream, StreamCode.BUSY, str(error))
        except Exception:
            log.exception("stream not answered", extra={"node": stream.node[:SHORT_ID]})
            self._refuse(stream, StreamCode.BROKEN, "a fault of this node")

    async def _answer(self, stream: Stream) -> None:
        try:
            led = await self._led(stream)
        except StreamFailed as failed:
            return self._refuse(stream, streamcodes.code_of(failed.code), str(failed))
        except ProtocolError as error:
            return self._refuse(stream, StreamCode.BROKEN, str(error))
        except Unfit as unfit:
            return self._refuse(stream, unfit.code, str(unfit))
        # The rules may have turned while it was dialled, and the opener may be gone.
        if stream.ended.done() or not self.register.may(led.flow):
            led.connection.close()
            led.tell(Moved(0, 0, StreamCode.CANCELLED))
            return self._refuse(stream, StreamCode.NOT_ALLOWED, "the rules deny it by now")
        self.register.keep(stream, led.flow)
        self.register.tally(led.flow, opened=True)
        self._hearing[stream] = led.tell
        stream.ended.add_done_callback(lambda ended: self._over(stream, ended.result()))
        stream.splice(led.connection.detach())
        return None

    async def _led(self, stream: Stream) -> Led:
        """Where it leads. Raises StreamFailed, ProtocolError or Unfit."""
        read = streamcodes.read_header(stream.header)
        kind = streamcodes.kind_of(read)
        beyond = address_of(read.host) if kind is StreamKind.EXIT else None
        flow = Flow(stream.node, self.register.me, read.port, beyond)
        self.dialling.check(flow)
        if answer := self.answers.get(kind):
            return Led(await answer(stream.node, read.port), flow)
        return await self.dialling.connected(flow, read.destination, kind)

    def _refuse(self, stream: Stream, code: StreamCode, why: str) -> None:
        grave = code in _GRAVE and now() >= self._quiet_until
        if grave:
            self._quiet_until = now() + 1.0
        level = logging.INFO if grave else logging.DEBUG
        log.log(level, "stream refused", extra={"node": stream.node[:SHORT_ID], "code": code.word, "reason": why})
        if not stream.ended.done():
            stream.refuse(code)


def _cancel(answering: asyncio.Task[None], _: object) -> None:
    answering.cancel()
