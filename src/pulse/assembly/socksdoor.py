"""Composes the SOCKS proxy: where it listens, who logs in, and what it knows of where hosts are.

Invariant: nothing is decided here.
"""

import contextlib
import socket
from collections.abc import Iterator, Sequence
from typing import Final

from pulse.config import NodeConfig
from pulse.core.cidr import Range
from pulse.core.mesh import Mesh
from pulse.core.network.proxying import Login
from pulse.core.network.whereabouts import RangeExits, Whereabouts
from pulse.core.network.zones import ZoneRecord
from pulse.core.trust.identity import mesh_prefix
from pulse.net.listeners import Place, listen_tcp
from pulse.net.opening import Opens
from pulse.services.socks import SocksService

BACKLOG: Final = 1024
"""Programs open connections by the hundred; the kernel may know less."""


@contextlib.contextmanager
def bound(config: NodeConfig) -> Iterator[socket.socket | None]:
    """The proxy's socket, if there is to be one. Raises Conflict or SystemRefused."""
    if not config.socks.enabled:
        yield None
        return
    with listener(config) as made:
        yield made


def listener(config: NodeConfig) -> socket.socket:
    """A socket that listens where the settings say. Raises Conflict or SystemRefused."""
    # The mesh address comes with the device, later than this.
    place = Place("the SOCKS proxy", "--socks-listen", *config.socks_listen, ahead=config.tun.enabled)
    return listen_tcp(place, BACKLOG)


def service(config: NodeConfig, mesh: Mesh, streams: Opens, listening: socket.socket | None) -> SocksService | None:
    """The proxy, where it listens."""
    if listening is None:
        return None
    login = Login(config.socks.user.encode(), config.socks.password.encode()) if config.socks.user else None
    return SocksService(listening, streams, whereabouts(mesh), login)


def whereabouts(mesh: Mesh) -> Whereabouts:
    """What the node knows of where hosts are."""
    statements, v6 = mesh.statements, mesh_prefix(mesh.me.network)

    def ranges() -> tuple[Range, ...]:
        v4 = statements.mesh_cidr()
        return (v4, v6) if v4 else (v6,)

    def zones() -> Sequence[ZoneRecord]:
        return statements.config.config.zones if statements.config and statements.in_force else ()

    return Whereabouts(mesh.me.node_id, mesh.members, ranges, zones, RangeExits(mesh.beyond.exits_by_range))
