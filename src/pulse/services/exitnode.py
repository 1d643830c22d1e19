"""Lets others out through this host: forwarding is turned on, and a firewall of our own stands in the way.

Invariant: the data plane hears of a served range only after the firewall for it is there, and everything that was
changed is put back at the end, or at the next start.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, ip_network
from pathlib import Path

from pulse.core.effects import RangeServed, TablesChanged
from pulse.core.network.exits import health
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.identity import mesh_prefix
from pulse.core.types import NodeId
from pulse.errors import PulseError, SystemRefused
from pulse.net import sysctl
from pulse.net.exitrules import TABLE, Mesh, Range, chains
from pulse.net.nftables import Nftables
from pulse.net.policyrules import MARK
from pulse.store import undo
from pulse.store.undo import Kind, Undo

log = logging.getLogger(__name__)

WATCH = 2.0
"""Seconds between two looks whether somebody changed a firewall: ours is put there anew, for it may be gone."""


_FORWARD_V4 = "net/ipv4/ip_forward"
_FORWARD_V6 = "net/ipv6/conf/all/forwarding"


@dataclass(slots=True)
class ExitNodeService:
    """The exit's side."""

    data_dir: Path
    me: Certificate
    mesh_cidr: Callable[[], IPv4Network | None]
    device: Callable[[], str]
    problem: str = field(default="", init=False)
    """Why nobody gets out just now; empty if they do, or nobody may."""
    left: str = field(default="", init=False)
    """What an earlier run may have left on this machine, if nobody can tell; empty if all was put back."""
    _generation: int = field(default=0, init=False)
    """Of all tables of this host once ours was put there: another one, and somebody changed something since."""
    _served: tuple[RangeServed, ...] = field(default=(), init=False)
    _installed: tuple[RangeServed, ...] = field(default=(), init=False)

    def sweep(self) -> None:
        """Put back what a run before left, if one did. Told if that fails."""
        try:
            self._restore()
        except PulseError as error:
            log.warning("left of an earlier exit", extra={"error": str(error)})

    def prepare(self, tables: TablesChanged) -> TablesChanged:
        """The tables that may be installed: ours without what this host cannot serve safely."""
        if tables.served != self._installed:
            self._served = tables.served
            self._install()
        if self._installed == tables.served:
            return tables
        return replace(tables, owners=tuple(each for each in tables.owners if each.node != self.me.node_id))

    async def run(self) -> None:
        """See that the firewall stays, until cancelled; then everything is as it was before."""
        try:
            while True:
                await asyncio.sleep(WATCH)
                if self._served and not self._stands():
                    log.info("firewall changed by others", extra={"table": TABLE})
                    self._install()
        finally:
            self._served = ()
            self._install()

    async def answer(self, _: NodeId, __: bytes) -> bytes:
        """The RPC `exit.health`: whether packets get out of here, and into which of the approved ranges they do not."""
        shut = [each.prefix for each in self._installed if not _leads_out(each)]
        return health([each.prefix for each in self._installed], shut)

    # Details

    def _install(self) -> None:
        try:
            if self._served:
                self._close_in()
            else:
                self._restore()
        except PulseError as error:
            self._installed = ()
            if str(error) != self.problem:
                log.error("exit closed", extra={"error": str(error)})
            self.problem = str(error)
            return
        if self._served != self._installed:
            log.info("exit open" if self._served else "exit shut", extra={"ranges": len(self._served)})
        self._installed, self.problem = self._served, ""

    def _close_in(self) -> None:
        """The firewall first, then forwarding. Raises SystemRefused."""
        undo.add(self.data_dir, Undo(Kind.FIREWALL, TABLE))
        with closing(Nftables(TABLE)) as firewall:
            firewall.replace(chains(self._mesh(), [_range(each) for each in self._served]))
            self._generation = firewall.generation()
        self._forward()

    def _stands(self) -> bool:
        try:
            with closing(Nftables(TABLE)) as firewall:
                return firewall.generation() == self._generation
        except PulseError:
            return False

    def _mesh(self) -> Mesh:
        v4, addresses = self.mesh_cidr(), self.me.addresses
        if v4 is None:
            raise SystemRefused("nobody gets out before the network's config has come")
        ours = ip_network(f"{addresses.v4}/32"), ip_network(f"{addresses.v6}/128")
        return Mesh(self.device(), v4, mesh_prefix(self.me.network), ours)

    def _forward(self) -> None:
        """Have the kernel forward what these ranges need. Raises SystemRefused."""
        versions = {ip_network(each.behind).version for each in self._served}
        if 4 in versions:
            self._set(_FORWARD_V4, "1")
        if 6 in versions:
            # A host that forwards hears no router advertisements unless it is told to: it would lose its own way out.
            for name in sysctl.interfaces("ipv6"):
                if sysctl.read(f"net/ipv6/conf/{name}/accept_ra") == "1":
                    self._set(f"net/ipv6/conf/{name}/accept_ra", "2")
            self._set(_FORWARD_V6, "1")

    def _set(self, name: str, value: str) -> None:
        before = sysctl.read(name)
        if before in (value, None):
            return
        undo.add(self.data_dir, Undo(Kind.SYSCTL, name, before or "", value))
        sysctl.write(name, value)

    def _restore(self) -> None:
        if warning := put_back(self.data_dir):
            log.warning("left of an earlier exit", extra={"error": warning})
            self.left = warning


def put_back(data_dir: Path) -> str:
    """Have firewall and forwarding as they were before an exit; why that cannot be told, if it cannot.

    Raises SystemRefused.
    """
    entries, warning = undo.load(data_dir)
    if warning:
        # Whatever the list said: that table is nobody else's.
        with closing(Nftables(TABLE)) as firewall:
            firewall.remove()
    ours = [each for each in entries if each.kind in (Kind.SYSCTL, Kind.FIREWALL)]
    for each in reversed(ours):
        if each.kind == Kind.FIREWALL:
            with closing(Nftables(each.place)) as firewall:
                firewall.remove()
        elif sysctl.read(each.place) == each.ours:
            sysctl.write(each.place, each.before)
    undo.remove(data_dir, *ours)
    return warning or ""


def _range(served: RangeServed) -> Range:
    return Range(ip_network(served.prefix), ip_network(served.behind))


def _leads_out(served: RangeServed) -> bool:
    """True if the host has a route there; nothing is sent: to connect a datagram socket is to ask for the route."""
    behind = ip_network(served.behind)
    if not behind.prefixlen:
        there = "192.88.99.1" if behind.version == 4 else "2001:4860:4860::8888"
    else:
        there = str(behind.network_address + (1 if behind.num_addresses > 1 else 0))
    family = socket.AF_INET if behind.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
            probe.connect((there, 9))
        except OSError:
            return False
    return True
