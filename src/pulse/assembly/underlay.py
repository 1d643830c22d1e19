"""Composes what a node does about the network below: it watches it, tells it that we are there, has ports mapped in it.

Invariant: nothing is decided here; what the settings switch off is not made.
"""

import contextlib
import hashlib
import logging
from collections.abc import Callable, Iterator
from random import SystemRandom
from typing import Protocol

from pulse.config import NodeConfig
from pulse.core.paths.portmap import PortMap
from pulse.net import proxy, relays
from pulse.net.dataplane import DataplaneLinks
from pulse.net.gateway import default_gateway
from pulse.net.portmap.router import Router
from pulse.net.sockets import bind_tcp, bind_udp
from pulse.services.beacon import BeaconService
from pulse.services.bootstrap import BootstrapService
from pulse.services.mesh import MeshService
from pulse.services.portmap import PortmapService
from pulse.services.probe import ProbeService
from pulse.services.roaming import RoamingService
from pulse.store.identity import Identity

log = logging.getLogger(__name__)

Devices = Callable[[], tuple[str, ...]]
"""Names of the mesh's own interfaces."""


class Watcher(Protocol):
    """One running thing."""

    async def run(self) -> None:
        """Serve, until cancelled."""
        ...


@contextlib.contextmanager
def opened(config: NodeConfig, *, any_port: bool = False) -> Iterator[DataplaneLinks]:
    """The data plane on its UDP port. Raises Conflict or SystemRefused."""
    host, port = ("", 0) if any_port else config.listen
    links = DataplaneLinks.start(bind_udp(host, port).detach(), proxy.from_environment())
    try:
        yield links
    finally:
        links.close()


def listen(links: DataplaneLinks, host: str) -> str:
    """Take in WebSockets on the TCP port of the same number; without it only UDP leads here. What listens."""
    port = links.port
    try:
        links.listen(bind_tcp(host, port))
    except OSError as error:
        log.warning("no WebSockets: TCP port is not ours", extra={"port": port, "error": str(error)})
        return "udp"
    return "udp+tcp"


def watchers(
    config: NodeConfig, links: DataplaneLinks, meshing: MeshService, own_devices: Devices
) -> tuple[Watcher, ...]:
    """What watches the network below, and what tells it that we are there."""
    domain = config.bootstrap.dns_domain

    def is_alone() -> bool:
        return not meshing.mesh.neighbours.links()

    beacon = BeaconService(lambda: links.host, links.port, own_devices, meshing.tell)
    meshing.send_beacon = beacon.send
    return (
        ProbeService(links, meshing.tell),
        RoamingService(links, config.listen[0], *config.advertised, own_devices, meshing.tell),
        *([BootstrapService(domain, relays.published, is_alone, meshing.tell)] if domain else ()),
        *([beacon] if config.beacon.enabled else ()),
    )


def port_mapping(
    config: NodeConfig, links: DataplaneLinks, identity: Identity, meshing: MeshService, own_devices: Devices
) -> PortmapService | None:
    """What has our port mapped, unless the settings say no."""
    if not config.portmap.enabled:
        return None

    def secret(words: bytes) -> bytes:
        """Ed25519 signs the same words the same way always, so nothing has to be kept on disk."""
        return hashlib.sha256(identity.key.sign(b"port mapping nonce\0" + words)).digest()

    router = Router(links.port, lambda: links.listens_tcp, secret, SystemRandom())
    machine = PortMap(SystemRandom(), meshing.mesh.statements.mesh_cidr)
    return PortmapService(machine, router, lambda: default_gateway(config.listen[0], own_devices()), meshing.tell)
