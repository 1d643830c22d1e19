"""Composes what people use the mesh for: names, that this machine asks for them, and ranges beyond the mesh.

Invariant: nothing is decided here; what the settings switch off is not made.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from pulse.assembly.listeners import unless_taken
from pulse.config import NodeConfig
from pulse.core.addresses import join
from pulse.core.effects import TablesChanged
from pulse.core.hosts import known_names
from pulse.core.mesh import Mesh
from pulse.core.messages import MethodName
from pulse.core.network.directory import reverse_zones
from pulse.core.network.edits import Edits
from pulse.core.network.netconfig import SignedConfig
from pulse.core.trust.identity import mesh_prefix
from pulse.errors import ConfigError
from pulse.services.dns import Answers, DnsService, DnsSockets
from pulse.services.exitnode import ExitNodeService
from pulse.services.exits import ExitsService
from pulse.services.mesh import MeshService
from pulse.services.resolver import ResolverService
from pulse.services.routes import RoutesService
from pulse.services.rpc import Method, RpcService
from pulse.services.tun import TunService
from pulse.services.tunnels import Door
from pulse.services.zones import ZonesService


@dataclass(frozen=True, slots=True)
class Doors:
    """The sockets by which programs come in."""

    dns: DnsSockets | None
    dns_problem: str = ""
    """Why the DNS server does not listen, though it would by default: what happened, and what to do."""

    socks: socket.socket | None = None
    """The SOCKS proxy's, which `socksdoor.py` makes."""
    tunnels: tuple[Door, ...] = ()
    """Those of streams, which `streaming.py` makes."""

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
    routes: RoutesService
    exits: ExitsService
    exit_node: ExitNodeService

    @property
    def methods(self) -> dict[str, Method]:
        """What other nodes can ask of them."""
        return {MethodName.EXIT: self.exit_node.answer}

    @property
    def running(self) -> tuple[DnsService | ResolverService | ExitsService | ExitNodeService | None, ...]:
        """Those that run beside what they are asked."""
        return (self.dns, self.resolver, self.exits, self.exit_node)

    def wake(self, leaves: Callable[[], bool]) -> None:
        """Before the node remembers anything: what a run before left that does not keep anybody from a leak.

        `leaves` says whether this run ends because somebody wants it to, and none follows.
        """
        self.exits.leaves = leaves
        self.exit_node.sweep()
        self.exits.sweep()


@contextlib.contextmanager
def bound(config: NodeConfig) -> Iterator[Doors]:
    """Listen as the settings say. Raises Conflict, ConfigError or SystemRefused."""
    with contextlib.ExitStack() as held:
        if not config.dns.enabled:
            yield Doors(None)
            return
        # The mesh address comes with the device, later than this.
        dns, problem = unless_taken(
            lambda: held.enter_context(DnsSockets(*config.dns_listen, ahead=config.tun.enabled)),
            asked=bool(config.dns.listen),
        )
        yield Doors(dns, problem)


def uses(
    config: NodeConfig,
    doors: Doors,
    meshing: MeshService,
    rpc: RpcService,
    tun: TunService | None,
    edit: Callable[[Edits], Awaitable[SignedConfig]],
) -> Uses:
    """The services. Raises ConfigError for settings that do not go together."""
    if config.exit.enabled and tun is None:
        raise ConfigError("exit.enabled: packets leave an exit by the TUN device. Start it with --tun, too")
    mesh = meshing.mesh
    servers = name_servers(config, str(mesh.me.addresses.v4)) if doors.dns else ()
    exits, exit_node = _exits(config, meshing, rpc, tun)
    return Uses(
        _dns(doors.dns, mesh) if doors.dns else None,
        ZonesService(mesh.statements, mesh.members, edit),
        ResolverService(config.data_dir, servers, tun, reverse=lambda: _reverse(mesh)),
        RoutesService(mesh, edit),
        exits,
        exit_node,
    )


def _reverse(mesh: Mesh) -> tuple[str, ...]:
    """The zones of all mesh addresses that are known to be such."""
    v4 = mesh.statements.mesh_cidr()
    return (*(reverse_zones(v4) if v4 else ()), *reverse_zones(mesh_prefix(mesh.me.network)))


def name_servers(config: NodeConfig, v4: str) -> tuple[str, ...]:
    """Where this node answers DNS, as programs of its machine can say it: on all addresses is near and in the mesh."""
    host, port = config.dns_listen
    if host and not ip_address(host).is_unspecified:
        return (join(host, port),)
    return join("127.0.0.1", port), join(v4, port)


def _exits(
    config: NodeConfig, meshing: MeshService, rpc: RpcService, tun: TunService | None
) -> tuple[ExitsService, ExitNodeService]:
    def device() -> str:
        return tun.name if tun and tun.is_there else ""

    mesh = meshing.mesh
    uses_them = config.exit.use and tun is not None
    exits = ExitsService(rpc.call, meshing.tell, device, uses_them, config.data_dir)
    exit_node = ExitNodeService(config.data_dir, mesh.me, mesh.statements.mesh_cidr, lambda: tun.name if tun else "")

    def prepare(tables: TablesChanged) -> TablesChanged:
        exits.prepare(tables)
        return exit_node.prepare(tables)

    meshing.prepare = prepare
    exit_node.refresh = lambda: meshing.perform([mesh.tables()])
    meshing.ask_exit = exits.ask
    if tun:
        tun.attached = exits.attached
    return exits, exit_node


def _dns(sockets: DnsSockets, mesh: Mesh) -> DnsService:
    now = asyncio.get_running_loop().time
    return DnsService(sockets, Answers(lambda: mesh.names_revision, lambda: known_names(mesh, now()), now))
