"""Gives the mesh a face in the kernel: the TUN device, its addresses and its MTU.

Invariant: all the kernel state made here hangs on the device, so it is gone with the device even after kill -9.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface

from pulse.core.trust.certificates import Certificate
from pulse.core.trust.identity import mesh_prefix
from pulse.errors import PulseError, SystemRefused
from pulse.net import interfaces, sysctl
from pulse.net.links import Links
from pulse.net.netlink import Netlink, NoInterface

log = logging.getLogger(__name__)

MTU = 1340
"""Frame, record and parity over IPv6 fit in 1500 bytes of underlay."""

GSO_MAX = 65_000 // (MTU + 32) * (MTU - 52) + 52
"""Bytes of a super-packet: as many whole TCP segments as their records (32 bytes longer) fit one UDP send."""

RETRY = 5.0
"""Seconds until a device that somebody deleted is made anew."""


@dataclass(slots=True)
class TunService:
    """Keeps the TUN device there while the node runs."""

    links: Links
    me: Certificate
    mesh_cidr: Callable[[], IPv4Network | None]
    """The range of the network config in force; None before the first one came."""
    name: str = "pulse0"
    queues: int = 1
    attached: Callable[[], None] = lambda: None
    """Called whenever the device was made."""
    problem: str = field(default="the device is not made yet", init=False)
    """Why packets cannot pass just now; empty if they can."""
    is_there: bool = field(default=False, init=False)
    """The kernel has the device, as far as is known."""
    _ranged: IPv4Network | None = field(default=None, init=False)

    def attach(self) -> None:
        """Make the device. Raises SystemRefused, or Conflict for a mesh range in use here."""
        self._ranged = None
        self.name = self.links.attach_tun(self.name, self.queues)
        with Netlink() as kernel:
            kernel.set_link(self.name, mtu=MTU, gso_max_size=GSO_MAX, up=True)
            self._give_v6(kernel)
        self.is_there = True
        self._give_range()
        self.attached()

    def detach(self) -> None:
        """Remove the device and all that hangs on it."""
        self.is_there = False
        self.links.detach_tun()

    def config_changed(self) -> None:
        """A network config came: its range may be new to us."""
        try:
            self._give_range()
        except NoInterface as error:
            # Somebody deleted it a moment ago: it is made anew, with this range.
            self.problem = str(error)
        except PulseError as error:
            self.problem = str(error)
            log.error("tun without its range", extra={"error": self.problem})

    async def run(self) -> None:
        """Make the device anew whenever somebody deleted it, until cancelled."""
        while True:
            self.problem = await self.links.wait_tun_gone()
            log.warning("tun gone", extra={"device": self.name, "reason": self.problem})
            self.detach()
            made = False
            while not made:
                await asyncio.sleep(RETRY)
                made = self._attach_again()

    def _give_v6(self, kernel: Netlink) -> None:
        """Our IPv6 address, also where IPv6 is off for all other interfaces; none where ours may not have it either."""
        try:
            sysctl.allow_ipv6(self.name)
        except SystemRefused as error:
            log.warning("tun without IPv6", extra={"device": self.name, "error": str(error)})
            return
        kernel.add_address(self.name, IPv6Interface((self.me.addresses.v6, mesh_prefix(self.me.network).prefixlen)))

    def _give_range(self) -> None:
        """Our IPv4 address with the mesh's range, which routes the range to the device."""
        mesh = self.mesh_cidr()
        if mesh is None:
            self.problem = "the network's config has not come yet, from any neighbour"
            return
        if mesh == self._ranged:
            return
        for warning in interfaces.conflicts(mesh, interfaces.host_routes(), ours=(self.name,)):
            log.warning(warning)
        with Netlink() as kernel:
            kernel.add_address(self.name, IPv4Interface((self.me.addresses.v4, mesh.prefixlen)))
        self._ranged, self.problem = mesh, ""
        log.info("tun up", extra={"device": self.name, "range": str(mesh)})

    def _attach_again(self) -> bool:
        try:
            self.attach()
        except PulseError as error:
            self.problem = str(error)
            # Half made, it would be in the way of the next try.
            self.detach()
            return False
        return True
