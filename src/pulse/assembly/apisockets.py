"""Composes the API of a node: on its control socket, over TCP if the node is started to be the scribe, and its metrics.

Invariant: over TCP it listens only where somebody asked for it, or on loopback, and no key opens it until one was made;
without a key it tells metrics alone, on a listener of their own, on loopback, and shows the empty dashboard.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from starlette.types import ASGIApp

from pulse.api import metrics, web
from pulse.api.app import build
from pulse.api.control import Control
from pulse.api.paced import Paced
from pulse.api.server import ApiService, ControlSocket
from pulse.api.sites import OwnSites
from pulse.api.stream import PLACES, PLACES_HERE, EventStream, Feed
from pulse.api.tcp import PatientProtocol, TcpListener, guarded, hosts_of
from pulse.assembly.listeners import unless_taken
from pulse.config import NodeConfig
from pulse.core.mesh import Mesh
from pulse.core.trust.apikeys import Scope
from pulse.services.apikeys import ApiKeysService

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sockets:
    """Where the API of one node listens."""

    control: ControlSocket
    tcp: TcpListener | None
    problem: str = ""
    """Why it does not listen over TCP, though it would by default: what happened, and what to do."""
    metrics: TcpListener | None = None
    """Where metrics alone are told."""

    @property
    def address(self) -> str:
        """`host:port` over TCP, or nothing."""
        return self.tcp.address if self.tcp else ""


@contextlib.contextmanager
def bound(config: NodeConfig) -> Iterator[Sockets]:
    """Listen as the settings say. Raises Conflict, ConfigError or SystemRefused."""
    with contextlib.closing(ControlSocket(config.socket)) as control, contextlib.ExitStack() as held:
        own = _metrics(config)
        if own:
            held.enter_context(own)
        tcp, problem = unless_taken(lambda: _tcp(config), asked=bool(config.scribe.listen))
        if tcp:
            held.enter_context(tcp)
        yield Sockets(control, tcp, problem, own)


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
    here = EventStream(feed, PLACES_HERE, "on this machine") if feed else None
    listen = config.scribe_listen[0] if config.scribe_listen else ""
    v4, v6 = str(mesh.me.addresses.v4), str(mesh.me.addresses.v6)
    for flag, address in config.in_clear((v4, v6)).items():
        log.warning("API keys go in clear", extra={"address": address, "flag": flag})

    def hosts() -> frozenset[str]:
        return hosts_of(listen, config.scribe.hosts, v4, v6, mesh.members.label(mesh.me), mesh.me.node_id)

    found = [ApiService(build(control, version, stream=here), at.control, ending=here.close if here else None)]
    if at.tcp is not None:
        # Who has a key takes no place of those who are on the machine.
        afar = EventStream(feed, PLACES, "over TCP") if feed else None
        if afar:
            keys.tell_revoked(afar.keys_changed)
        keyed = guarded(build(control, version, keyed=True, stream=afar), keys.judge, hosts, web.read())
        found.append(ApiService(keyed, at.tcp, PatientProtocol, afar.close if afar else None))
    if at.metrics is not None:
        found.append(ApiService(_of_metrics(control, at.metrics, keys.judge, hosts), at.metrics, PatientProtocol))
    return tuple(found)


def _of_metrics(
    control: Control, listener: TcpListener, judge: Callable[[str], Scope | None], hosts: Callable[[], Collection[str]]
) -> ASGIApp:
    """Metrics alone: on loopback to everybody on this machine but web pages, elsewhere to who shows a key."""
    if listener.is_near:
        return Paced(OwnSites(build(control, endpoints=metrics.ENDPOINTS), hosts), asyncio.get_running_loop().time)
    return guarded(build(control, keyed=True, endpoints=metrics.ENDPOINTS), judge, hosts)


def _metrics(config: NodeConfig) -> TcpListener | None:
    if config.metrics_listen is None:
        return None
    host, port = config.metrics_listen
    called, flag = "the metrics listener", "--metrics-listen"
    return TcpListener(host, port, ahead=config.tun.enabled, called=called, flag=flag)


def _tcp(config: NodeConfig) -> TcpListener | None:
    if config.scribe_listen is None:
        return None
    # The mesh address comes with the device, later than this.
    return TcpListener(*config.scribe_listen, ahead=config.tun.enabled)
