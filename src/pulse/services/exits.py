"""Leads what is for approved ranges into the mesh, and asks the exits in use whether they are well.

Invariant: while the node runs no packet for an approved range leaves otherwise than through an exit, and after a crash
none leaves at all until the next start.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_network

from pulse.core.effects import RangeUse, TablesChanged
from pulse.core.facts import ExitJudged, Fact
from pulse.core.mesh import Mesh
from pulse.core.messages import MethodName
from pulse.core.types import NodeId
from pulse.errors import PulseError
from pulse.net.links import Rpc
from pulse.net.netlink import NoInterface
from pulse.net.policyrouting import PolicyRouting, wanted_routes

log = logging.getLogger(__name__)

PACE = 0.7
"""Seconds between two questions to an exit in use, and how long it has to answer."""

PACE_A_NODE = 0.005
"""The same for each node of the mesh: all of them ask one exit."""

SPARE_PACE = 5.0
"""Seconds between two questions to one that is not in use, or failed."""

MISSES = 2
"""Questions without an answer after which an exit has failed: with the pace that is 2.1 s at most in a small mesh."""

WATCH = 5.0
"""Seconds between two looks whether the kernel still has our routes: other programs tidy up, too."""

WELL = b"\x01"


@dataclass(slots=True)
class ExitsService:
    """The client's side of exits."""

    mesh: Mesh
    call: Rpc
    tell: Callable[[Fact], None]
    device: Callable[[], str]
    """The TUN device; empty while there is none."""
    uses: bool
    """False on a node whose packets go through no exit: then only what a run before left in the kernel is removed."""
    problem: str = field(default="", init=False)
    _ranges: tuple[RangeUse, ...] = field(default=(), init=False)
    _misses: dict[NodeId, int] = field(default_factory=dict, init=False)
    _asked: dict[NodeId, float] = field(default_factory=dict, init=False)
    """When each exit is asked next."""

    def prepare(self, tables: TablesChanged) -> None:
        """The data plane gets these tables next: the host's routes come first, so that nothing goes past."""
        if tables.ranges != self._ranges:
            self._ranges = tables.ranges
            if self.uses:
                self.install()

    def install(self) -> None:
        """Have the kernel's routes as they should be now; called again once the device is there."""
        device = self.device()
        ranges = {ip_network(each.prefix): device if each.node else "" for each in self._ranges if self.uses}
        try:
            with PolicyRouting() as kernel:
                changed = kernel.apply(wanted_routes(ranges))
        except NoInterface as error:
            # It went a moment ago: what is for it is refused until it is made anew, and this called again.
            self.problem = str(error)
            return
        except PulseError as error:
            self._failed(str(error))
            return
        self.problem = ""
        if changed:
            log.info("exit routes changed", extra={"ranges": len(ranges)})

    def remove(self) -> None:
        """Take away all that was put into the kernel. A failure is told."""
        self._ranges = ()
        self.install()

    async def run(self) -> None:
        """Ask and watch, until cancelled; then the kernel is as it was before."""
        if self.uses:
            # What a run before left there keeps packets in until now, and is not what this one wants.
            self.install()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch())
                while True:
                    for node in self._due(_now()):
                        tasks.create_task(self._ask(node))
                    await asyncio.sleep(PACE / 4)
        finally:
            self.remove()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH)
            if self._ranges and self.uses:
                self.install()

    def _due(self, now: float) -> list[NodeId]:
        """The exits to ask now: those that are approved and that something leads to."""
        used = {each.node for each in self._ranges if each.node}
        offers = self.mesh.beyond.approved() if self._ranges else {}
        known = {each.node for found in offers.values() for each in found if each.score is not None}
        self._asked = {node: at for node, at in self._asked.items() if node in known}
        self._misses = {node: count for node, count in self._misses.items() if node in known}
        due = [node for node in known if self._asked.get(node, now) <= now]
        pace = max(PACE, PACE_A_NODE * self.mesh.members.count())
        self._asked |= {node: now + (pace if node in used else max(pace, SPARE_PACE)) for node in due}
        return due

    async def _ask(self, node: NodeId) -> None:
        try:
            well = await self.call(node, MethodName.EXIT, b"", PACE) == WELL
        except PulseError:
            well = False
        self._misses[node] = 0 if well else self._misses.get(node, 0) + 1
        if well or self._misses[node] >= MISSES:
            self.tell(ExitJudged(node, healthy=well))

    def _failed(self, problem: str) -> None:
        if problem != self.problem:
            log.error("exit routes not installed", extra={"error": problem})
        self.problem = problem


def _now() -> float:
    return asyncio.get_running_loop().time()
