"""Keeps this machine's resolver told that names under .pulse are this node's, for as long as the node runs.

Invariant: nothing is set before it stands on disk how to put it back, and nothing is set that no person asked for.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from pulse.errors import Conflict, NotFound, PulseError
from pulse.net import resolver as system
from pulse.net.resolver import Resolver, Standing
from pulse.schemas.resolver import ResolverInfo
from pulse.store import resolver as choice
from pulse.store import undo
from pulse.store.undo import Undo

log = logging.getLogger(__name__)

LOOK: Final = 1.0
"""Seconds between two looks at whether the settings are still there: three file attributes."""

LONGEST_PAUSE: Final = 60.0
"""Seconds to which that doubles while it has to be told each time: in vain, or because somebody undoes it."""


class Device(Protocol):
    """What this service asks of the TUN device."""

    name: str
    problem: str


@dataclass(slots=True)
class ResolverService:
    """The resolver of this machine, as far as it is told of this node; implements `pulse.api.control.Resolver`."""

    data_dir: Path
    servers: Sequence[str]
    """Where this node answers DNS, `host:port` each, the nearest first; none if it answers none."""
    device: Device | None
    find: Callable[[Sequence[str]], Awaitable[tuple[Resolver, str]]] = system.found
    named: Callable[[str], Resolver | None] = system.named
    reverse: Callable[[], Sequence[str]] = tuple
    """The zones of mesh addresses; more once the network config has come."""
    problem: str = field(default="", init=False)
    """Why the resolver is not told just now, though a person wants it; empty if it is."""
    _turned: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    """Set while a person wants it."""
    _told: Resolver | None = field(default=None, init=False)
    _server: str = field(default="", init=False)
    """Which of the servers it was told of."""
    _standing: Standing | None = field(default=None, init=False)
    _zones: Sequence[str] = field(default=(), init=False)
    """Which reverse zones it was told of."""
    _swept: bool = field(default=False, init=False)
    _one: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    """Requests and looks take turns."""

    async def state(self) -> ResolverInfo:
        """How it is now."""
        problem = self.problem or (self._told.note() if self._told else "")
        return ResolverInfo(
            wanted=self._turned.is_set(),
            resolver=self._told.name if self._told else "",
            device=self.device.name if self.device else "",
            server=self._server or next(iter(self.servers), ""),
            problem=problem,
        )

    async def set_up(self) -> ResolverInfo:
        """Tell the resolver, now and at every start. Raises Conflict, or SystemRefused with what to type instead."""
        async with self._one:
            await self._sweep()
            await self._tell()
            choice.save(self.data_dir, wanted=True)
            self._turned.set()
        return await self.state()

    async def take_back(self) -> ResolverInfo:
        """As it was before, and so at every start. Raises NotFound or SystemRefused."""
        if not self._turned.is_set():
            raise NotFound("names under .pulse are not asked of this node here. To have it so: pulse setup dns")
        async with self._one:
            choice.save(self.data_dir, wanted=False)
            self._turned.clear()
            self.problem = ""
            await self._revert()
        return await self.state()

    async def run(self) -> None:
        """Put back what a crash left, then keep the resolver told, until cancelled: then it is told no more."""
        async with self._one:
            await self._sweep()
        self._restore()
        pause = LOOK
        try:
            while True:
                await self._turned.wait()
                pause = min(pause * 2, LONGEST_PAUSE) if await self._keep() else LOOK
                await asyncio.sleep(pause)
        finally:
            async with self._one:
                await self._revert_quietly()

    # Details

    def _check_answers(self) -> None:
        if not self.servers:
            raise Conflict(
                "this node answers no DNS.\n"
                "Have it do so: enabled = true under [dns] in its config.toml, then pulse restart"
            )

    def _check_device(self) -> None:
        if self.device is None:
            raise Conflict(
                "this node has no interface on which the setting could hang.\n"
                "Give it one: enabled = true under [tun] in its config.toml, then pulse restart. "
                "Or for the whole machine: sudo pulse setup dns --global"
            )

    def _restore(self) -> None:
        wanted, warning = choice.load(self.data_dir)
        if warning:
            log.warning("resolver not told", extra={"error": warning})
        if wanted:
            self._turned.set()

    async def _keep(self) -> bool:
        """Tell it, or tell it again where the settings are gone; False if there is no need to."""
        async with self._one:
            if not self._turned.is_set() or (self.device and self.device.problem):
                return False
            stands = self._told and self._told.standing(self._place) == self._standing
            if stands and self.reverse() == self._zones:
                return False
            try:
                await self._tell()
            except PulseError as error:
                self._failed(str(error))
            return True

    async def _tell(self) -> None:
        self._check_answers()
        found, server = await self.find(self.servers)
        self._check_device()
        undo.add(self.data_dir, Undo(found.name, self._place))
        self._told, self._server, self._standing, self._zones = found, server, None, self.reverse()
        try:
            await found.apply(self._place, server, self._zones)
        except PulseError:
            await self._revert_quietly()
            raise
        self._standing, self.problem = found.standing(self._place), ""
        log.info("resolver told", extra={"resolver": found.name, "device": self._place})

    def _failed(self, problem: str) -> None:
        """Said once: the next look tries again."""
        if problem != self.problem:
            log.warning("resolver not told", extra={"error": problem})
        self._told, self._server, self._standing, self.problem = None, "", None, problem

    async def _revert(self) -> None:
        if self._told:
            await self._told.revert(self._place)
            undo.remove(self.data_dir, Undo(self._told.name, self._place))
            self._told, self._server, self._standing = None, "", None

    async def _revert_quietly(self) -> None:
        try:
            await self._revert()
        except PulseError as error:
            log.warning("resolver not put back", extra={"error": str(error)})

    async def _sweep(self) -> None:
        """What a node that crashed here left, once; what cannot be put back now is tried at the next start."""
        if self._swept:
            return
        self._swept = True
        left, warning = undo.load(self.data_dir)
        if warning:
            log.warning("resolver not put back", extra={"error": warning})
        if done := await put_back(left, self.named):
            undo.remove(self.data_dir, *done)

    @property
    def _place(self) -> str:
        return self.device.name if self.device else ""


async def put_back(entries: Iterable[Undo], named: Callable[[str], Resolver | None] = system.named) -> list[Undo]:
    """Have the resolver as it was before a run that ended without it: which of the entries are done.

    What fails is told, and stays to be done.
    """
    done = []
    for entry in entries:
        if not (found := named(entry.kind)):
            continue
        try:
            await found.revert(entry.place)
        except PulseError as error:
            log.warning("resolver not put back", extra={"error": str(error)})
        else:
            done.append(entry)
            log.info("resolver put back", extra={"resolver": entry.kind, "device": entry.place})
    return done
