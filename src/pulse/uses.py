"""Composes what people use the mesh for: names, and that this machine asks for them.

Invariant: nothing is decided here; what the settings switch off is not made.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from pulse.config import NodeConfig
from pulse.core.addresses import join
from pulse.core.hosts import known_names
from pulse.core.mesh import Mesh
from pulse.core.network.edits import Edits
from pulse.core.network.netconfig import SignedConfig
from pulse.errors import PulseError
from pulse.services.dns import Answers, DnsService, DnsSockets
from pulse.services.resolver import ResolverService
from pulse.services.tun import TunService
from pulse.services.zones import ZonesService

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Doors:
    """The sockets by which programs come in."""

    dns: DnsSockets | None
    dns_problem: str = ""
    """Why the DNS server does not listen, though it would by default: what happened, and what to do."""

    socks: socket.socket | None = None
    """The SOCKS proxy's, which `socksdoor.py` makes."""

    @property
    def dns_address(self) -> str:
        """`host:port` of the DNS server, or nothing."""
        return self.dns.address if self.dns else ""


@dataclass(frozen=True, slots=True)
class Uses:
    """These services of one node."""

    dns: DnsService | None
    zones: ZonesService
    resolver: ResolverService

    @property
    def running(self) -> tuple[DnsService | ResolverService | None, ...]:
        """Those that run beside what they are asked."""
        return (self.dns, self.resolver)


@contextlib.contextmanager
def bound(config: NodeConfig) -> Iterator[Doors]:
    """Listen as the settings say. Raises Conflict, ConfigError or SystemRefused."""
    with contextlib.ExitStack() as held:
        if not config.dns.enabled:
            yield Doors(None)
            return
        try:
            # The mesh address comes with the device, later than this.
            dns = held.enter_context(DnsSockets(*config.dns_listen, ahead=config.tun.enabled))
        except PulseError as error:
            if config.dns.listen:
                raise
            # Nobody asked for this port: another program may have it.
            problem = " ".join(str(error).splitlines())
            log.warning("the DNS server does not listen", extra={"error": problem})
            yield Doors(None, problem)
            return
        yield Doors(dns)


def uses(
    config: NodeConfig,
    doors: Doors,
    mesh: Mesh,
    tun: TunService | None,
    edit: Callable[[Edits], Awaitable[SignedConfig]],
) -> Uses:
    """The services."""
    servers = name_servers(config, str(mesh.me.addresses.v4)) if doors.dns else ()
    zones = ZonesService(mesh.statements, mesh.members, edit)
    resolver = ResolverService(config.data_dir, servers, tun)
    return Uses(_dns(doors.dns, mesh) if doors.dns else None, zones, resolver)


def name_servers(config: NodeConfig, v4: str) -> tuple[str, ...]:
    """Where this node answers DNS, as programs of its machine can say it: on all addresses is near and in the mesh."""
    host, port = config.dns_listen
    if host and not ip_address(host).is_unspecified:
        return (join(host, port),)
    return join("127.0.0.1", port), join(v4, port)


def _dns(sockets: DnsSockets, mesh: Mesh) -> DnsService:
    now = asyncio.get_running_loop().time
    return DnsService(sockets, Answers(lambda: mesh.names_revision, lambda: known_names(mesh, now()), now))
