"""Leads what is for approved ranges into the mesh, and asks exits whether they are well: the shell of
`core/network/exits.py`.

Invariant: while the node runs, packets for an approved range that no nearer route, no earlier rule of the host and no
binding of their program to a device leads elsewhere leave through an exit or not at all; after a crash or a fault, and
while it is started anew, not at all. What others take away of that is put back once the kernel tells. What another node
of this machine set is left alone.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Final

from pulse.core.effects import AskExit, RangeUse, TablesChanged
from pulse.core.facts import ExitAnswered, Fact
from pulse.core.messages import MethodName
from pulse.core.network.exits import read_health
from pulse.core.network.interference import Interference
from pulse.errors import Conflict, PulseError, SystemRefused
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

BY_HAND: Final = f"ip rule del priority 18100, and 18101, with -6 too (see ip rule); ip route flush table {TABLE}"
"""What frees a machine of all that."""

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
    leaves: Callable[[], bool] = field(default=lambda: True, init=False)
    """True once this node ends for good; one that fails, or is to be started anew, keeps packets in."""
    bypasses: tuple[str, ...] = field(default=(), init=False)
    """Routes of this host by which packets for the Internet go past the exit in use, as `ip route` takes them."""
    _stale: bool = field(default=True, init=False)
    """Those may be others by now."""
    _failure: str = field(default="", init=False)
    _listed: bool = field(default=False, init=False)
    """What this node sets is on the list of what is to be undone."""
    _set: bool = field(default=False, init=False)
    """It has set something, on the list or not."""
    _devices: set[int] = field(default_factory=set, init=False)
    """Those that were this node's, in this run, by index: a name may be given to another."""
    _interference: Interference = field(default_factory=Interference, init=False)
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
    def problem(self) -> str:
        """Why packets do not go through exits as they should; empty if they do, or are not meant to."""
        return self._failure or self._interference.problem

    @property
    def stands(self) -> bool:
        """True while routes or rules of this node may be in the kernel."""
        return self._set

    def ask(self, asked: AskExit) -> None:
        """Ask an exit; `ExitAnswered` is told, whatever comes of it."""
        self._questions.put_nowait(asked)

    def attached(self) -> None:
        """The device is there."""
        self.install()

    def install(self) -> bool:
        """Have the kernel's routes as they should be now; True if they were not."""
        device = self.device()
        with suppress(OSError):
            self._devices.add(socket.if_nametoindex(device))
        ranges = {ip_network(each.prefix): device if each.node else "" for each in self._ranges if self.uses}
        try:
            if not ranges and not self._has_set():
                self._failure = ""
                return False
            with PolicyRouting() as kernel:
                self._check_alone(kernel)
                unlisted = self._list()
                self._set = True
                changed = kernel.apply(wanted_routes(ranges))
            if not ranges:
                undo.remove(self.data_dir, OURS)
                self._set = self._listed = False
        except NoInterface as error:
            # It went a moment ago: what is for it is refused until it is made anew, and this called again.
            self._failure = f"packets do not go through exits: {error}"
            return False
        except PulseError as error:
            self._failed(f"packets do not go through exits: {error}")
            return False
        self._failed(unlisted)
        if changed:
            log.info("exit routes changed", extra={"ranges": len(ranges)})
        return changed

    def _list(self) -> str:
        """Have what this node sets on the list; why it is not, which keeps nothing from being set."""
        if self._listed:
            return ""
        try:
            undo.add(self.data_dir, OURS)
        except SystemRefused as error:
            what = str(error).partition("\n")[0]
            return f"what keeps packets in would not be put back after a crash: {what}\nAfter one: {BY_HAND}"
        self._listed = True
        return ""

    def remove(self) -> None:
        """Take away all that was put into the kernel. A failure is told."""
        self._ranges = ()
        if self._set:
            self.install()

    def sweep(self) -> None:
        """Take away what a run before left, if this one is to have none. A failure is told."""
        if self.uses:
            return
        entries, warning = undo.load(self.data_dir)
        if not warning and OURS not in entries:
            return
        try:
            if put_back():
                log.warning("kill switch of the last run removed", extra={"why": "this node uses no exits"})
            undo.remove(self.data_dir, OURS)
        except PulseError as error:
            self._failed(str(error))

    async def run(self) -> None:
        """Ask and watch, until cancelled; then the kernel is as it was before if the node leaves, and else refuses."""
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
            if self.leaves():
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
            found = bypass.bypasses(self._own_devices())
        except PulseError as error:
            log.warning("routes past the exits unknown", extra={"error": str(error)})
            return self.bypasses
        if new := {*found} - {*self.bypasses}:
            log.warning("routes lead past the exits", extra={"routes": len(new)})
        return found

    def _mend(self) -> None:
        missing = bool(self._ranges) and self.install()
        self._interference.looked(asyncio.get_running_loop().time(), missing=missing)

    async def _ask(self, asked: AskExit) -> None:
        try:
            answer = await self.call(asked.node, MethodName.EXIT, b"", asked.patience)
        except PulseError:
            answer = b""
        well, shut = read_health(answer)
        self.tell(ExitAnswered(asked.node, well, shut))

    def _own_devices(self) -> set[str]:
        return {self.device(), *(name for index, name in socket.if_nameindex() if index in self._devices)}

    def _has_set(self) -> bool:
        """True if what nodes set in the kernel may be of this one, or of a run of it before."""
        entries, warning = ([], None) if self._set else undo.load(self.data_dir)
        return self._set or bool(warning) or OURS in entries

    def _check_alone(self, kernel: PolicyRouting) -> None:
        """Raise Conflict if another node of this machine has the table, be it for the time until it is back."""
        there = {each.device for each in kernel.table() if not each.foreign}
        for device in sorted(there - self._own_devices() - {""}):
            raise Conflict(
                f"another node on this machine uses exits, through {device}; two cannot.\n"
                "Start one of them with --no-use-exits"
            )
        if there and not self._has_set():
            raise Conflict(
                "another node on this machine used exits, and keeps packets in until it is back; two cannot.\n"
                "Start this one with --no-use-exits, or free the machine of that one: pulse stop --data-dir DIR; "
                f"if its files are gone: {BY_HAND}"
            )

    def _failed(self, problem: str) -> None:
        if problem and problem != self._failure:
            log.error("exit routes not as they should be", extra={"error": problem})
        self._failure = problem


def put_back() -> bool:
    """Take away the routes and rules of a run before; those of another node stay. True if there were any.

    Raises SystemRefused.
    """
    with PolicyRouting() as kernel:
        others = {each.device for each in kernel.table() if not each.foreign} - {""}
        return False if others else kernel.apply(())
