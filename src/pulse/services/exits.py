"""Leads what is for approved ranges into the mesh, and asks exits whether they are well: the shell of
`core/network/exits.py`.

Invariant: while the node runs, packets for an approved range that no nearer route or earlier rule of the host leads
elsewhere leave through an exit or not at all; after a crash, and while it is started anew, not at all. What others take
away of that is put back once the kernel tells. What another node of this machine set is left alone.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Final

from pulse.core.effects import AskExit, RangeUse, TablesChanged
from pulse.core.facts import ExitAnswered, Fact
from pulse.core.messages import MethodName
from pulse.core.network.exits import read_health
from pulse.errors import Conflict, PulseError
from pulse.net import bypass
from pulse.net.links import Rpc
from pulse.net.netlink import MAIN_TABLE, NoInterface
from pulse.net.policyrouting import PolicyRouting, wanted_routes
from pulse.net.policyrules import TABLE
from pulse.net.watch import RoutingWatch, changes
from pulse.store import undo
from pulse.store.undo import Kind, Undo

log = logging.getLogger(__name__)

WATCH = 1.0
"""Seconds between two looks whether the kernel still has our routes, should it not have told of a change."""

SURVEY = 2.0
"""Seconds between two looks at the host's own routes, if any changed: there may be a great many."""

OURS: Final = Undo(Kind.ROUTES, str(TABLE))
"""On the list of what is to be undone as long as anything of this node may be in the kernel."""


@dataclass(slots=True)
class ExitsService:
    """The client's side of exits."""

    call: Rpc
    tell: Callable[[Fact], None]
    device: Callable[[], str]
    """The TUN device; empty while there is none."""
    uses: bool
    """False on a node whose packets go through no exit: then only what a run before left in the kernel is removed."""
    data_dir: Path
    returns: Callable[[], bool] = field(default=lambda: False, init=False)
    """True once this node is to be started anew as soon as it has stopped."""
    problem: str = field(default="", init=False)
    bypasses: tuple[str, ...] = field(default=(), init=False)
    """Routes of this host by which packets for the Internet go past the exit in use, as `ip route` takes them."""
    _stale: bool = field(default=True, init=False)
    """Those may be others by now."""
    _listed: bool = field(default=False, init=False)
    """What this node sets is on the list of what is to be undone."""
    _devices: set[str] = field(default_factory=set, init=False)
    """Those that were this node's, in this run."""
    _ranges: tuple[RangeUse, ...] = field(default=(), init=False)
    _questions: asyncio.Queue[AskExit] = field(default_factory=asyncio.Queue, init=False)
    """Bounded by the mesh, which waits between two to one exit."""

    def prepare(self, tables: TablesChanged) -> None:
        """The data plane gets these tables next: the host's routes come first, so that nothing goes past."""
        if tables.ranges != self._ranges:
            self._ranges, self._stale = tables.ranges, True
            if self.uses:
                self.install()

    def refused(self) -> list[str]:
        """Approved ranges that no exit carries now."""
        return [each.prefix for each in self._ranges if each.node is None and self.uses]

    @property
    def stands(self) -> bool:
        """True while routes or rules of this node may be in the kernel."""
        return self._listed

    def ask(self, asked: AskExit) -> None:
        """Ask an exit; `ExitAnswered` is told, whatever comes of it."""
        self._questions.put_nowait(asked)

    def install(self) -> None:
        """Have the kernel's routes as they should be now; called again once the device is there."""
        device = self.device()
        self._devices.add(device)
        ranges = {ip_network(each.prefix): device if each.node else "" for each in self._ranges if self.uses}
        try:
            if not ranges and not self._has_set():
                self.problem = ""
                return
            with PolicyRouting() as kernel:
                self._check_alone(kernel)
                if not self._listed:
                    undo.add(self.data_dir, OURS)
                    self._listed = True
                changed = kernel.apply(wanted_routes(ranges))
            if not ranges:
                undo.remove(self.data_dir, OURS)
                self._listed = False
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
        if self._listed:
            self.install()

    def sweep(self) -> None:
        """Take away what a run before left, if this one is to have none. A failure is told."""
        if self.uses:
            return
        try:
            if put_back(self.data_dir):
                log.warning("kill switch of the last run removed", extra={"why": "this node uses no exits"})
        except PulseError as error:
            self._failed(str(error))

    async def run(self) -> None:
        """Ask and watch, until cancelled; then the kernel is as it was before, or refuses until the node is back."""
        if self.uses:
            # What a run before left there keeps packets in until now, and is not what this one wants.
            self.install()
        try:
            async with asyncio.TaskGroup() as tasks:
                if self.uses:
                    tasks.create_task(self._look())
                    # What others take away of ours, or put before it, is put back as soon as the kernel tells.
                    tasks.create_task(self._follow(TABLE, self._mend))
                    tasks.create_task(self._follow(MAIN_TABLE, self._outdate))
                    tasks.create_task(self._survey())
                while True:
                    tasks.create_task(self._ask(await self._questions.get()))
        finally:
            if not self.returns():
                self.remove()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(WATCH)
            self._mend()

    async def _follow(self, table: int, look: Callable[[], None]) -> None:
        async with aclosing(changes(partial(RoutingWatch, table))) as changed:
            async for _ in changed:
                look()

    def _outdate(self) -> None:
        self._stale = True

    async def _survey(self) -> None:
        while True:
            if self._stale:
                self._stale = False
                self.bypasses = self._found_past()
            await asyncio.sleep(SURVEY)

    def _found_past(self) -> tuple[str, ...]:
        if not any(ip_network(each.prefix).prefixlen == 0 for each in self._ranges):
            return ()
        try:
            found = bypass.bypasses(self._devices)
        except PulseError as error:
            log.warning("routes past the exits unknown", extra={"error": str(error)})
            return self.bypasses
        if new := {*found} - {*self.bypasses}:
            log.warning("routes lead past the exits", extra={"routes": len(new)})
        return found

    def _mend(self) -> None:
        if self._ranges:
            self.install()

    async def _ask(self, asked: AskExit) -> None:
        try:
            answer = await self.call(asked.node, MethodName.EXIT, b"", asked.patience)
        except PulseError:
            answer = b""
        well, shut = read_health(answer)
        self.tell(ExitAnswered(asked.node, well, shut))

    def _has_set(self) -> bool:
        """True if what nodes set in the kernel may be of this one, or of a run of it before."""
        entries, warning = ([], None) if self._listed else undo.load(self.data_dir)
        return self._listed or bool(warning) or OURS in entries

    def _check_alone(self, kernel: PolicyRouting) -> None:
        """Raise Conflict if another node of this machine has the table, be it for the time until it is back."""
        there = {each.device for each in kernel.table() if not each.foreign}
        for device in sorted(there - self._devices - {""}):
            raise Conflict(
                f"another node on this machine uses exits, through {device}; two cannot.\n"
                "Start one of them with --no-use-exits"
            )
        if there and not self._has_set():
            raise Conflict(
                "another node on this machine used exits, and keeps packets in until it is back; two cannot.\n"
                "Start this one with --no-use-exits, or free the machine of that one: pulse stop --data-dir DIR"
            )

    def _failed(self, problem: str) -> None:
        if problem != self.problem:
            log.error("exit routes not installed", extra={"error": problem})
        self.problem = problem


def put_back(data_dir: Path) -> bool:
    """Take away the routes and rules of a run before; those of another node stay. True if there were any.

    Raises SystemRefused.
    """
    entries, warning = undo.load(data_dir)
    if not warning and OURS not in entries:
        return False
    with PolicyRouting() as kernel:
        others = {each.device for each in kernel.table() if not each.foreign} - {""}
        changed = False if others else kernel.apply(())
    undo.remove(data_dir, OURS)
    return changed
