"""Lets others out through this host: forwarding is turned on, and a firewall of our own stands in the way.

Invariant: the data plane hears of a served range only after the firewall for it is there, nothing that another exit of
this machine set is touched, and everything that was changed is put back at the end, or at the next start.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import aclosing, closing, nullcontext, suppress
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, ip_network
from pathlib import Path
from typing import Final

from pulse.core.effects import RangeServed, TablesChanged
from pulse.core.network.exits import health
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.identity import mesh_prefix
from pulse.core.trust.members import label
from pulse.core.types import NodeId
from pulse.errors import Conflict, PulseError, SystemRefused
from pulse.net import sysctl
from pulse.net.exitrules import TABLE, Mesh, Range, Site, chains
from pulse.net.forwarders import forwarders
from pulse.net.interfaces import connected_networks
from pulse.net.nftables import Nftables
from pulse.net.nftrules import Prefix
from pulse.net.policyrules import MARK
from pulse.net.soleexit import SoleExit
from pulse.net.sysctl import DEVICE_FORWARDING, FORWARDING, ROUTER_ADVERTISEMENTS
from pulse.net.watch import FirewallWatch, ForwardingWatch, NetworkWatch, Watch, changes
from pulse.store import undo
from pulse.store.undo import Kind, Undo

log = logging.getLogger(__name__)

WATCH = 2.0
"""Seconds between two looks whether all is as it was set up, should the kernel not have told of a change."""

OURS: Final = Undo(Kind.FIREWALL, TABLE)
"""On the list of what is to be undone from before the firewall is there."""

_ON: Final = "forwarding of IPv{} was off"


@dataclass(slots=True)
class ExitNodeService:
    """The exit's side."""

    data_dir: Path
    me: Certificate
    mesh_cidr: Callable[[], IPv4Network | None]
    device: Callable[[], str]
    refresh: Callable[[], None] = field(default=lambda: None, init=False)
    """Has the tables prepared anew: other ranges can be served than were before."""
    left: str = field(default="", init=False)
    """What an earlier run may have left on this machine, if nobody can tell; empty if all was put back."""
    _failure: str = field(default="", init=False)
    """Why firewall or forwarding could not be set up."""
    _sole: SoleExit | None = field(default=None, init=False)
    """That no other exit runs here, from the first range that is served to the end of the last one."""
    _generation: int = field(default=0, init=False)
    """Of all tables of this host once ours was put there: another one, and somebody changed something since."""
    _connected: tuple[Prefix, ...] = field(default=(), init=False)
    """Networks of the Internet this host is in, as the firewall has them."""
    _moved: bool = field(default=False, init=False)
    """They are others by now."""
    _served: tuple[RangeServed, ...] = field(default=(), init=False)
    _installed: tuple[RangeServed, ...] = field(default=(), init=False)
    _open: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    """Somebody gets out."""

    @property
    def problem(self) -> str:
        """Why nobody gets out just now, or not everywhere; empty if they do, or nobody may."""
        if self._failure:
            return f"nobody gets out through this node: {self._failure}"
        if not (dark := [each.behind for each in self._installed if not _leads_out(each)]):
            return ""
        what = f"nobody gets to {', '.join(dark)} through this node: its machine has no route there"
        return f"{what}.\nGive it one, and see: ip route get {_somewhere(ip_network(dark[0]))}"

    def sweep(self) -> None:
        """Put back what a run before left, if one did. Told if that fails."""
        try:
            self._restore()
        except PulseError as error:
            log.warning("left of an earlier exit", extra={"error": str(error)})

    def prepare(self, tables: TablesChanged) -> TablesChanged:
        """The tables that may be installed: ours without what this host cannot serve safely."""
        was_whole = self._is_whole and self._served == tables.served
        self._served = tables.served
        if not was_whole:
            self._install()
        if self._is_whole:
            return tables
        return replace(tables, owners=tuple(each for each in tables.owners if each.node != self.me.node_id))

    async def run(self) -> None:
        """See that firewall and forwarding stay, until cancelled; then everything is as it was before."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow(NetworkWatch, self._move))
                tasks.create_task(self._follow(ForwardingWatch, self._look))
                tasks.create_task(self._follow(FirewallWatch, self._look))
                while True:
                    await asyncio.sleep(WATCH)
                    self._look()
        finally:
            self._served = ()
            self._install()

    async def answer(self, _: NodeId, __: bytes) -> bytes:
        """The RPC `exit.health`: whether packets get out of here, and into which of the approved ranges they do not."""
        guarded = _is_guarded()
        shut = [
            each.prefix for each in self._installed if not (guarded and self._is_forwarded(each) and _leads_out(each))
        ]
        return health([each.prefix for each in self._installed], shut)

    def connected(self) -> tuple[Prefix, ...]:
        """Networks of the Internet this host is in, which the Internet it leads to does not have."""
        return self._connected if self._open.is_set() else connected_networks()

    def stays(self) -> str:
        """Why the kernel will forward once this node is gone, though it did not before; empty if it will not."""
        began = {each.place for each in undo.load(self.data_dir)[0] if each.kind == Kind.SYSCTL}
        with suppress(PulseError):
            return _kept({place for version, place in forwarders().items() if FORWARDING[version] in began})
        return ""

    # Details

    async def _follow(self, listen: Callable[[], Watch], look: Callable[[], None]) -> None:
        """What others change is put back as soon as the kernel tells."""
        while True:
            await self._open.wait()
            async with aclosing(changes(listen)) as changed:
                async for _ in changed:
                    if not self._open.is_set():
                        break
                    look()

    def _is_forwarded(self, served: RangeServed) -> bool:
        version = _version(served)
        return sysctl.forwards(version) and sysctl.read(DEVICE_FORWARDING[version].format(self.device())) != "0"

    def _move(self) -> None:
        """The network changed; where routes are by the ten thousand it takes long to see whether that matters."""
        with suppress(PulseError):
            self._moved = self._connected != connected_networks()
        self._look()

    @property
    def _is_whole(self) -> bool:
        return self._installed == self._served

    def _look(self) -> None:
        was_whole = self._is_whole
        changed = self._changed() if was_whole and self._served else ""
        if was_whole and not changed:
            return
        if changed:
            log.info("exit set up anew", extra={"why": changed})
        self._install()
        if self._is_whole != was_whole:
            self.refresh()

    def _changed(self) -> str:
        """What is not as it was set up; empty if all is."""
        if not all(map(self._is_forwarded, self._served)):
            return "forwarding was turned off"
        if self._moved:
            return "this machine is in other networks"
        try:
            with closing(Nftables(TABLE)) as firewall:
                return "" if firewall.generation() == self._generation else "a firewall was changed"
        except PulseError as error:
            return str(error)

    def _install(self) -> None:
        try:
            if self._served:
                self._close_in()
            else:
                self._restore()
        except PulseError as error:
            self._installed = ()
            self._open.clear()
            if str(error) != self._failure:
                log.error("exit closed", extra={"error": str(error)})
            self._failure = str(error)
            return
        if self._served != self._installed:
            log.info("exit open" if self._served else "exit shut", extra={"ranges": len(self._served)})
        self._installed, self._failure = self._served, ""
        (self._open.set if self._served else self._open.clear)()

    def _close_in(self) -> None:
        """The firewall first, then forwarding. Raises Conflict or SystemRefused."""
        mesh = self._mesh()
        self._sole = self._sole or SoleExit(f"{label(self.me)} (process {os.getpid()}, {self.data_dir})")
        undo.add(self.data_dir, OURS)
        self._connected, self._moved = connected_networks(), False
        with closing(Nftables(TABLE)) as firewall:
            self._inherit(firewall.comment() or "")
            # A change by others from here on is another generation than ours, so it is not missed.
            before = firewall.generation()
            site = Site(self._forwards_alone(), self._connected)
            firewall.replace(chains(mesh, [_range(each) for each in self._served], site), self._turns_on())
            self._generation = before + 1
        self._forward()

    def _mesh(self) -> Mesh:
        v4, addresses = self.mesh_cidr(), self.me.addresses
        if v4 is None:
            raise SystemRefused("nobody gets out before the network's config has come")
        ours = ip_network(f"{addresses.v4}/32"), ip_network(f"{addresses.v6}/128")
        return Mesh(self.device(), v4, mesh_prefix(self.me.network), ours)

    def _inherit(self, comment: str) -> None:
        """What an exit that was killed here says in its table that it turned on is ours to turn off by now."""
        for version, place in FORWARDING.items():
            if _ON.format(version) in comment and sysctl.forwards(version):
                undo.add(self.data_dir, Undo(Kind.SYSCTL, place, "0", "1"))

    def _turns_on(self) -> str:
        """What whoever finds the table is to know; `_inherit` reads it."""
        return ", ".join(_ON.format(version) for version in sorted(self._begins()))

    def _begins(self) -> set[int]:
        """Versions of IP that this machine did not forward before."""
        began = {each.place for each in undo.load(self.data_dir)[0] if each.kind == Kind.SYSCTL}
        versions = {*map(_version, self._served)}
        return {each for each in versions if FORWARDING[each] in began or not sysctl.forwards(each)}

    def _forwards_alone(self) -> frozenset[int]:
        """Versions of IP that this machine forwards for us, and for nobody else."""
        ours = self._begins()
        return frozenset(ours - forwarders().keys() if ours else ours)

    def _forward(self) -> None:
        """Have the kernel forward what these ranges need. Raises SystemRefused."""
        versions = {*map(_version, self._served)}
        if 6 in versions:
            # A host that forwards hears no router advertisements unless it is told to: it would lose its own way out.
            for name in sysctl.interfaces("ipv6"):
                hears = ROUTER_ADVERTISEMENTS.format(name)
                if sysctl.read(hears) == "1":
                    self._set(hears, "2")
        for version in sorted(versions):
            self._set(FORWARDING[version], "1")
            # The device goes with the process, and what is set for it alone.
            if sysctl.read(DEVICE_FORWARDING[version].format(self.device())) == "0":
                sysctl.write(DEVICE_FORWARDING[version].format(self.device()), "1")

    def _set(self, name: str, value: str) -> None:
        before = sysctl.read(name)
        if before in (value, None):
            return
        undo.add(self.data_dir, Undo(Kind.SYSCTL, name, before or "", value))
        sysctl.write(name, value)

    def _restore(self) -> None:
        entries, warning = undo.load(self.data_dir)
        try:
            undo.remove(self.data_dir, *put_back([OURS] if warning else entries, self._sole))
            if warning:
                self.left = f"{warning}{_as_it_is()}"
                log.warning("left of an earlier exit", extra={"error": self.left})
        finally:
            if self._sole:
                self._sole.close()
                self._sole = None


def put_back(entries: Iterable[Undo], sole: SoleExit | None = None) -> list[Undo]:
    """Have firewall and forwarding as they were before an exit: which of the entries are done by now.

    Without `sole` nothing is touched while another exit runs here: what was left is what that one needs by now.
    Raises SystemRefused.
    """
    ours = [each for each in entries if each.kind in (Kind.SYSCTL, Kind.FIREWALL)]
    if not ours:
        return []
    try:
        with nullcontext() if sole else SoleExit("what an exit left, being put back"):
            _undo(ours)
    except Conflict as error:
        log.info("another exit runs here", extra={"error": str(error)})
        return []
    return ours


def _undo(entries: Sequence[Undo]) -> None:
    kept = forwarders() if any(each.kind == Kind.SYSCTL for each in entries) else {}
    for each in reversed(entries):
        if each.kind == Kind.FIREWALL:
            with closing(Nftables(each.place)) as firewall:
                firewall.remove()
        elif (4 if each.place.startswith("net/ipv4/") else 6) not in kept and sysctl.read(each.place) == each.ours:
            sysctl.write(each.place, each.before)
    if told := _kept({kept[version] for version in kept if any(FORWARDING[version] == each.place for each in entries)}):
        log.warning("forwarding left on", extra={"error": told})


def _kept(places: Collection[str]) -> str:
    """What to tell a person about forwarding that stays on for others."""
    if not places:
        return ""
    return (
        f"this machine still forwards, for others do by now ({', '.join(sorted(places))}).\n"
        "If it should not: sysctl -w net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0"
    )


def _as_it_is() -> str:
    """What a person has to know where nobody can tell whether forwarding was on before."""
    on = [place.replace("/", ".") for version, place in FORWARDING.items() if sysctl.forwards(version)]
    off = " ".join(f"{each}=0" for each in on)
    return f"\n{' and '.join(on)}: on. If nothing else here forwards: sysctl -w {off}" if on else ""


def _range(served: RangeServed) -> Range:
    return Range(ip_network(served.prefix), ip_network(served.behind))


def _version(served: RangeServed) -> int:
    return ip_network(served.behind).version


def _is_guarded() -> bool:
    """True if our firewall is there, or nobody can tell: without it nobody gets out, for the sender is not changed."""
    try:
        with closing(Nftables(TABLE)) as firewall:
            return firewall.is_there()
    except SystemRefused:
        return True


def _leads_out(served: RangeServed) -> bool:
    """True if the host has a route there; nothing is sent: to connect a datagram socket is to ask for the route."""
    behind = ip_network(served.behind)
    there = _somewhere(behind)
    family = socket.AF_INET if behind.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
            probe.connect((there, 9))
        except OSError:
            return False
    return True


def _somewhere(behind: Prefix) -> str:
    if not behind.prefixlen:
        return "192.88.99.1" if behind.version == 4 else "2001:4860:4860::8888"
    return str(behind.network_address + (1 if behind.num_addresses > 1 else 0))
