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
from pulse.net.links import Stream, Streams
from pulse.services.streams.dialling import Dialling, Unfit
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

    async def run(self) -> None:
        """Answer streams of others, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                stream = await self.streams.wait_offered()
                if self.register.is_full(stream.node):
                    stream.refuse(StreamCode.BUSY)
                    continue
                self.register.take(stream)
                answering = tasks.create_task(self._guarded(stream))
                # Once it has ended its place is free again, so nothing of it may go on.
                stream.ended.add_done_callback(partial(_cancel, answering))

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
            connection, flow = await self._led(stream)
        except StreamFailed as failed:
            return self._refuse(stream, streamcodes.code_of(failed.code), str(failed))
        except ProtocolError as error:
            return self._refuse(stream, StreamCode.BROKEN, str(error))
        except Unfit as unfit:
            return self._refuse(stream, unfit.code, str(unfit))
        # The rules may have turned while it was dialled, and the opener may be gone.
        if stream.ended.done() or not self.register.may(flow):
            connection.close()
            return self._refuse(stream, StreamCode.NOT_ALLOWED, "the rules deny it by now")
        self.register.keep(stream, flow)
        self.register.tally(flow, opened=True)
        stream.splice(connection.detach())
        return None

    async def _led(self, stream: Stream) -> tuple[socket.socket, Flow]:
        """Where it leads, and what that is to the rules. Raises StreamFailed, ProtocolError or Unfit."""
        read = streamcodes.read_header(stream.header)
        kind = streamcodes.kind_of(read)
        beyond = address_of(read.host) if kind is StreamKind.EXIT else None
        flow = Flow(stream.node, self.register.me, read.port, beyond)
        self.dialling.check(flow)
        if answer := self.answers.get(kind):
            return await answer(stream.node, read.port), flow
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
