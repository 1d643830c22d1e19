"""Has the router pass on to us what comes to one of its ports, and tells the mesh where that is.

Invariant: one exchange with the router goes on at a time, and a port that was given is given back when the node stops.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, assert_never

from pulse import clock
from pulse.core.effects import Log
from pulse.core.facts import Fact, PortMapped
from pulse.core.paths.portmap import AskRouter, Effect, Gateway, GiveBack, LookAtRouter, PortMap, PortRefused
from pulse.errors import LinkError, ProtocolError, SystemRefused
from pulse.net.portmap.announcements import REPEATED, Announcements
from pulse.net.portmap.router import Router
from pulse.net.watch import NetworkWatch
from pulse.schemas.node import PortMapping

log = logging.getLogger(__name__)

PAUSE: Final = 1.0
"""Seconds between two looks at the routing table at least: some networks never rest."""

PATIENCE: Final = 20.0
"""Seconds that asking a router may take in all, by whatever protocols."""

GOODBYE: Final = 2.0
"""Seconds a router has to take its port back; without an answer the lease ends by itself."""


@dataclass(slots=True)
class PortmapService:
    """The bridge from the router to the candidates of our node record."""

    machine: PortMap
    router: Router
    find_gateway: Callable[[], Gateway | None]
    """The gateway now. May raise SystemRefused."""
    tell: Callable[[Fact], None]
    _gateway: Gateway | None = field(default=None, init=False)
    _tasks: asyncio.TaskGroup = field(default_factory=asyncio.TaskGroup, init=False)
    _exchange: asyncio.Task[None] | None = field(default=None, init=False)
    """What goes on with the router."""
    _hearing: asyncio.Task[None] | None = field(default=None, init=False)
    _acted: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    """Something happened since the machine was last asked when it wants to be woken."""

    async def run(self) -> None:
        """Ask and look, until cancelled; on the way out the port is given back."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                tasks.create_task(self._watch())
                tasks.create_task(self._keep_time())
        finally:
            await self._leave()

    def mapping(self) -> PortMapping | None:
        """Say what is mapped now."""
        held = self.machine.held
        if held is None:
            return None
        until = clock.wall() + held.until - _now()
        return PortMapping(held.grant.mapper.value, held.address, until, held.grant.tcp)

    # What happens

    async def _watch(self) -> None:
        with NetworkWatch() as watch:
            while True:
                self._found(self._look_up())
                await asyncio.sleep(PAUSE)
                await watch.wait_changed()

    def _look_up(self) -> Gateway | None:
        try:
            return self.find_gateway()
        except SystemRefused as error:
            log.warning("gateway of this machine unknown", extra={"error": str(error)})
            return None

    def _found(self, gateway: Gateway | None) -> None:
        if gateway != self._gateway:
            self._gateway = gateway
            if self._hearing:
                self._hearing.cancel()
            self._hearing = self._tasks.create_task(self._hear(gateway)) if gateway else None
        self._perform(self.machine.gateway_found(gateway, _now()))

    async def _hear(self, gateway: Gateway) -> None:
        try:
            with Announcements(gateway) as announcements:
                while True:
                    await announcements.wait()
                    self._perform(self.machine.router_announced(_now()))
                    await asyncio.sleep(REPEATED)
        except OSError as error:
            # Another program has that port for itself: then the router is only looked at now and then.
            log.debug("announcements of the router are not heard", extra={"error": str(error)})

    async def _keep_time(self) -> None:
        while True:
            self._perform(self.machine.tick(_now()))
            self._acted.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self.machine.deadline()):
                    await self._acted.wait()

    # What is done about it

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case AskRouter():
                    self._begin(self._ask(effect))
                case LookAtRouter():
                    self._begin(self._look(effect))
                case GiveBack(gateway, grant):
                    self._tasks.create_task(self.router.give_back(gateway, grant))
                case PortMapped():
                    self.tell(effect)
                case Log(event, level, fields):
                    log.log(level, event, extra=dict(fields))
                case _:
                    assert_never(effect)
        self._acted.set()

    def _begin(self, exchange: Coroutine[None, None, None]) -> None:
        """Whatever still goes on is about a gateway that we do not have any more."""
        if self._exchange:
            self._exchange.cancel()
        self._exchange = self._tasks.create_task(exchange)

    async def _ask(self, effect: AskRouter) -> None:
        gateway = effect.gateway
        try:
            async with asyncio.timeout(PATIENCE):
                grant = await self.router.ask(gateway, effect.before)
        except (LinkError, TimeoutError):
            self._end(self.machine.unanswered(gateway, _now()))
        except (ProtocolError, PortRefused) as error:
            wait = error.wait if isinstance(error, PortRefused) else 0.0
            self._end(self.machine.refused(gateway, str(error), wait, _now()))
        else:
            self._end(self.machine.granted(gateway, grant, _now()))

    async def _look(self, effect: LookAtRouter) -> None:
        gateway = effect.gateway
        try:
            async with asyncio.timeout(PATIENCE):
                epoch, outer = await self.router.look(gateway, effect.grant)
        except (LinkError, TimeoutError):
            self._end(self.machine.look_unanswered(gateway, _now()))
        except (ProtocolError, PortRefused):
            self._end(self.machine.look_refused(gateway, _now()))
        else:
            self._end(self.machine.looked(gateway, epoch, outer, _now()))

    def _end(self, effects: Iterable[Effect]) -> None:
        self._exchange = None
        self._perform(effects)

    async def _leave(self) -> None:
        for effect in self.machine.stopped():
            if isinstance(effect, GiveBack):
                with suppress(TimeoutError):
                    async with asyncio.timeout(GOODBYE):
                        await self.router.give_back(effect.gateway, effect.grant)


def _now() -> float:
    return asyncio.get_running_loop().time()
