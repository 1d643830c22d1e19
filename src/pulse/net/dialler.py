"""Turns `Dial` into dials: resolves names and races all addresses a name has.

Invariant: each attempt of the core ends in exactly one fact: `LinkUp` or `DialFailed`.
"""

import asyncio
from dataclasses import dataclass, field, replace

from pulse.core.effects import Dial
from pulse.core.facts import DialFailed, Fact, LinkUp
from pulse.errors import ProtocolError
from pulse.net.addresses import is_literal, resolve
from pulse.net.links import Links


@dataclass(slots=True)
class _Race:
    """One attempt of the core and the dials that run for it."""

    attempt: int
    running: set[int] = field(default_factory=set)
    over: bool = False
    """The core was told: another dial of it that succeeds is a link like one the neighbour made."""
    failed: DialFailed | None = None
    """What to tell if nothing succeeds; that one of a name's addresses is ours tells nothing of the others."""


@dataclass(slots=True)
class Dialler:
    """Dials for the mesh; `translate` maps what comes of them back to the mesh's attempts."""

    links: Links
    _races: dict[int, _Race] = field(default_factory=dict)
    _names: asyncio.Queue[Dial] = field(default_factory=asyncio.Queue)
    """Bounded by the dials the core allows in flight."""
    _failed: list[DialFailed] = field(default_factory=list)
    _settled: asyncio.Event = field(default_factory=asyncio.Event)

    def dial(self, wanted: Dial) -> None:
        """Begin an attempt."""
        if is_literal(wanted.address):
            self._race(wanted, [wanted.address])
        else:
            self._names.put_nowait(wanted)

    def translate(self, fact: Fact) -> Fact | None:
        """The fact in the mesh's terms; None for one that only settles a part of a race."""
        match fact:
            case LinkUp(dial=dial) if race := self._races.pop(dial, None):
                first, race.over = not race.over, True
                return replace(fact, dial=race.attempt if first else 0)
            case DialFailed(dial=dial) if race := self._races.pop(dial, None):
                return _lost(race, fact)
            case _:
                return fact

    async def wait_failed(self) -> list[DialFailed]:
        """Wait for attempts that failed before any dial began."""
        await self._settled.wait()
        self._settled.clear()
        failed, self._failed = self._failed, []
        return failed

    async def run(self) -> None:
        """Resolve names, each on its own so that a slow one holds up nobody."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                tasks.create_task(self._resolve(await self._names.get()))

    async def _resolve(self, wanted: Dial) -> None:
        try:
            addresses = await resolve(wanted.address)
        except OSError as error:
            self._fail(wanted, str(error))
            return
        self._race(wanted, addresses)

    def _race(self, wanted: Dial, addresses: list[str]) -> None:
        race, problem = _Race(wanted.attempt), f"{wanted.address} has no address"
        for address in addresses:
            try:
                dial = self.links.dial(address, wanted.expect, wanted.replaces, wanted.websocket_after, wanted.hole)
            except ProtocolError as error:
                problem = str(error)
                continue
            race.running.add(dial)
            self._races[dial] = race
        if not race.running:
            self._fail(wanted, problem)

    def _fail(self, wanted: Dial, why: str) -> None:
        self._failed.append(DialFailed(wanted.attempt, "name", why))
        self._settled.set()


def _lost(race: _Race, fact: DialFailed) -> DialFailed | None:
    race.running.discard(fact.dial)
    if race.failed is None or fact.code != "self":
        race.failed = replace(fact, dial=race.attempt)
    if race.over or (race.running and fact.code != "duplicate"):
        return None
    race.over = True
    return race.failed
