"""Tells the scribe what this node counts, and as the scribe keeps what all tell.

Invariant: a node tells all it counted until that is on the scribe's disk (`core/network/reporter.py`), and a report
changes no sum twice (`core/network/tally.py`); so neither a restart of the scribe nor a lost answer loses or doubles
what a node that still runs has counted.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random, SystemRandom
from typing import Protocol

from pulse import clock
from pulse.core.messages import pack
from pulse.core.network.reporter import Reporter
from pulse.core.network.statements import Statements
from pulse.core.network.tally import Kept, Kind, Report, Tally, read_kept, read_report
from pulse.core.types import SHORT_ID, NodeId
from pulse.errors import LinkError, PulseError, Refused
from pulse.net.links import Rpc
from pulse.store import tally as store

log = logging.getLogger(__name__)

PAUSE = 10.0
"""Seconds between two reports, of nodes that have something to report; a quarter more or less, by chance."""

LONGEST_PAUSE = 20.0
"""Seconds, doubling while the scribe is out of reach."""

WRITES = 60.0
"""Seconds between two writes of the scribe."""

PATIENCE = 8.0
"""Seconds for the scribe to take in a report."""

LAST_WORDS = 0.5
"""Seconds for the last reports of a node that stops."""


class Counting(Protocol):
    """One kind of counters on this node."""

    @property
    def tally(self) -> Tally:
        """Of all nodes, while this one is the scribe."""
        ...

    @property
    def reporter(self) -> Reporter: ...

    def names(self) -> frozenset[str]:
        """The counters there are."""
        ...

    def counts(self) -> dict[str, int]:
        """Those of this node that are not 0, since it started."""
        ...

    def gauges(self) -> dict[str, float]:
        """What is so now, and told beside them."""
        ...

    def told(self, caller: NodeId) -> bytes:
        """What the scribe answers who asks for the sums; raises Refused."""
        ...


@dataclass(slots=True)
class TallyService:
    """One node as it counts, and, while the roles name it, as the scribe that sums."""

    me: NodeId
    statements: Statements
    call: Rpc
    data_dir: Path
    kinds: tuple[Counting, ...]
    look: Callable[[], None] = lambda: None
    """Told before each report, and as the node starts."""
    random: Random = field(default_factory=SystemRandom)
    _wrote: float = field(default=0.0, init=False)

    async def run(self) -> None:
        """Report, and as the scribe keep the sums; until cancelled, and then they are kept once more."""
        self.look()
        pause = PAUSE
        try:
            while True:
                await asyncio.sleep(pause * self.random.uniform(0.75, 1.25))
                pause = PAUSE if await self.report() else min(pause * 2, LONGEST_PAUSE)
                if _now() - self._wrote >= WRITES:
                    self.write()
        finally:
            self.write()

    async def leave(self) -> None:
        """Report a last time before the node stops, what it has counted; a scribe that was gone may be back."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS):
                for kind in self.kinds:
                    if kind.counts():
                        await self._reported(kind)

    async def report(self) -> bool:
        """Report what is new, if anything is; False if the scribe did not take it."""
        self.look()
        return all([await self._reported(kind) for kind in self.kinds])

    def refresh(self, kind: Counting) -> None:
        """As the scribe count in at once what this node has counted by now, and forget what counts no more."""
        self._forget(kind)
        report = kind.reporter.report(self.me, kind.counts(), kind.gauges(), _now())
        if report:
            with suppress(Refused):
                kind.reporter.taken(report, self._take(kind, self.me, report), _now())

    def write(self) -> None:
        """Keep the sums; a disk that refuses costs a warning, and nodes go on reporting what is not kept."""
        self._wrote = _now()
        for tally in (kind.tally for kind in self.kinds if kind.tally.changed):
            try:
                store.save(self.data_dir, tally)
            except PulseError as error:
                log.warning("sums not written", extra={"of": tally.kind.name, "error": str(error)})
            else:
                tally.written()

    # Asked by other nodes

    @property
    def methods(self) -> dict[str, Callable[[NodeId, bytes], Awaitable[bytes]]]:
        """The RPCs, on the scribe: to report, and to ask for the sums.

        They raise LinkError while this node is not the one to sum, or Refused.
        """
        methods: dict[str, Callable[[NodeId, bytes], Awaitable[bytes]]] = {}
        for each in self.kinds:
            methods[each.tally.kind.report] = partial(self._heard, each)
            methods[each.tally.kind.summed] = partial(self._asked, each)
        return methods

    async def _heard(self, kind: Counting, caller: NodeId, body: bytes) -> bytes:
        report = read_report(body)
        self._check_summing(kind)
        return pack(self._take(kind, caller, report))

    async def _asked(self, kind: Counting, caller: NodeId, _: bytes) -> bytes:
        self._check_summing(kind)
        self._forget(kind)
        return kind.told(caller)

    # Details

    async def _reported(self, kind: Counting) -> bool:
        scribe, name = self.statements.roles.scribe, kind.tally.kind.name
        if scribe is None or not self.statements.in_force:
            return True
        report = kind.reporter.report(scribe, kind.counts(), kind.gauges(), _now())
        if report is None:
            return True
        try:
            kept = await self._deliver(kind, scribe, report)
        except PulseError as error:
            log.debug("counts not reported", extra={"node": scribe[:SHORT_ID], "of": name, "error": str(error)})
            return False
        kind.reporter.taken(report, kept, _now())
        return True

    async def _deliver(self, kind: Counting, scribe: NodeId, report: Report) -> Kept:
        if scribe == self.me:
            return self._take(kind, self.me, report)
        return read_kept(await self.call(scribe, kind.tally.kind.report, pack(report), PATIENCE))

    def _check_summing(self, kind: Counting) -> None:
        if not self.statements.is_summed_by(self.me):
            raise LinkError(
                f"this node does not sum {kind.tally.kind.name}: it is not the scribe, or has no network config yet"
            )

    def _take(self, kind: Counting, node: NodeId, report: Report) -> Kept:
        kind.tally.names_known(kind.names())
        if node in self.statements.revoked():
            raise Refused("a revoked node reports nothing")
        return kind.tally.reported(node, report, clock.wall())

    def _forget(self, kind: Counting) -> None:
        kind.tally.names_known(kind.names())
        kind.tally.nodes_revoked(self.statements.revoked())


def restored(data_dir: Path, kind: Kind) -> Tally:
    """The sums of an earlier run, if this node was the scribe then."""
    tally, warning = store.load(data_dir, kind)
    if warning:
        log.warning("sums lost", extra={"of": kind.name, "error": warning})
    return tally


def _now() -> float:
    return asyncio.get_running_loop().time()
