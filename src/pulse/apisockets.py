"""Composes the API of a node: on its control socket, and over TCP if the node is started to be the scribe.

Invariant: over TCP it listens only where somebody asked for it, or on loopback, and no key opens it until one was made.
"""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from pulse.api.app import build
from pulse.api.control import Control
from pulse.api.server import ApiService, ControlSocket
from pulse.api.stream import EventStream, Feed
from pulse.api.tcp import PatientProtocol, TcpListener, guarded, hosts_of
from pulse.config import NodeConfig
from pulse.core.mesh import Mesh
from pulse.errors import PulseError
from pulse.services.apikeys import ApiKeysService

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sockets:
    """Where the API of one node listens."""

    control: ControlSocket
    tcp: TcpListener | None
    problem: str = ""
    """Why it does not listen over TCP, though it would by default: what happened, and what to do."""

    @property
    def address(self) -> str:
        """`host:port` over TCP, or nothing."""
        return self.tcp.address if self.tcp else ""


@contextlib.contextmanager
def bound(config: NodeConfig) -> Iterator[Sockets]:
    """Listen as the settings say. Raises Conflict, ConfigError or SystemRefused."""
    with contextlib.closing(ControlSocket(config.socket)) as control, contextlib.ExitStack() as held:
        try:
            tcp = _tcp(config)
        except PulseError as error:
            if config.scribe.listen:
                raise
            # Nobody asked for this port: another program may have it.
            problem = " ".join(str(error).splitlines())
            log.warning("the scribe's API does not listen", extra={"error": problem})
            yield Sockets(control, None, problem)
            return
        if tcp:
            held.enter_context(tcp)
        yield Sockets(control, tcp)


def services(
    config: NodeConfig,
    at: Sockets,
    control: Control,
    mesh: Mesh,
    keys: ApiKeysService,
    version: str,
    feed: Feed | None = None,
) -> tuple[ApiService, ...]:
    """What answers there; `keys` says what each is good for, `feed` what happens, to who wants to follow it."""
    stream = EventStream(feed) if feed else None
    if stream:
        keys.tell_revoked(stream.keys_changed)
    ending = stream.close if stream else None
    local = ApiService(build(control, version, stream=stream), at.control, ending=ending)
    if at.tcp is None:
        return (local,)
    listen = config.scribe_listen[0] if config.scribe_listen else ""
    v4, v6 = str(mesh.me.addresses.v4), str(mesh.me.addresses.v6)

    def hosts() -> frozenset[str]:
        return hosts_of(listen, config.scribe.hosts, v4, v6, mesh.members.label(mesh.me), mesh.me.node_id)

    keyed = guarded(build(control, version, keyed=True, stream=stream), keys.judge, hosts)
    return local, ApiService(keyed, at.tcp, PatientProtocol, ending)


def _tcp(config: NodeConfig) -> TcpListener | None:
    if config.scribe_listen is None:
        return None
    # The mesh address comes with the device, later than this.
    return TcpListener(*config.scribe_listen, ahead=config.tun.enabled)
