"""Composes streams to what is behind other nodes, and the doors to them.

Invariant: nothing is decided here; what others than this machine can reach listens only where somebody asked for it.
"""

import contextlib
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_address

from pulse.api.callers import caller, group_id, refusal
from pulse.api.server import BACKLOG, ControlSocket
from pulse.config import NodeConfig
from pulse.core import addresses
from pulse.core.mesh import Mesh
from pulse.core.network.destinations import Premises
from pulse.core.network.streamcodes import StreamKind
from pulse.core.trust.identity import mesh_prefix
from pulse.core.trust.tokens import check_strength
from pulse.core.types import NodeId
from pulse.errors import ConfigError, Refused
from pulse.net import outward
from pulse.net.dataplane import DataplaneLinks
from pulse.net.interfaces import own_addresses
from pulse.net.links import RuleHits
from pulse.net.listeners import Place, listen_tcp
from pulse.net.sockets import reserved
from pulse.services.reverse import ReverseService
from pulse.services.serving import ServingService
from pulse.services.socks import SocksService
from pulse.services.streams.service import StreamsService
from pulse.services.tunnels import Door, TunnelsService


@dataclass(frozen=True, slots=True)
class Streaming:
    """These services of one node."""

    streams: StreamsService
    tunnels: TunnelsService
    reverse: ReverseService
    proxy: SocksService | None = None
    """Where it listens."""

    @property
    def running(self) -> tuple[StreamsService | TunnelsService | ReverseService | SocksService | None, ...]:
        """Those that run."""
        return self.streams, self.tunnels, self.reverse, self.proxy

    def hits(self, packets: RuleHits) -> RuleHits:
        """What each rule decided on: flows of packets, and streams."""
        streams = self.streams.hits()
        rules = Counter(packets.rules) + Counter(streams.rules)
        return RuleHits(dict(rules), packets.unmatched + streams.unmatched)

    def changed(self) -> None:
        """Other rules are in force, or their times turned."""
        self.streams.changed()


@contextlib.contextmanager
def bound(config: NodeConfig) -> Iterator[tuple[Door, ...]]:
    """Listen as the settings say. Raises Conflict, ConfigError, Refused or SystemRefused."""
    outward.raise_file_limit()
    with contextlib.closing(ControlSocket(config.tunnel_socket)) as local, contextlib.ExitStack() as held:
        doors = [Door(local.socket, _stranger, takes_sockets=True, who=_program)]
        if config.tcp_listen:
            listening = held.enter_context(_tunnel_listener(config, *config.tcp_listen))
            doors.append(Door(listening, token=config.node.tcp_token, who=lambda each: each.getpeername()[0]))
        yield tuple(doors)


def compose(
    config: NodeConfig,
    links: DataplaneLinks,
    mesh: Mesh,
    doors: tuple[Door, ...],
    connected: Callable[[], Sequence[IPv4Network | IPv6Network]],
) -> Streaming:
    """The services; `connected` tells the networks of the Internet this machine is in."""
    listening = (
        config.listen,
        config.scribe_listen,
        config.metrics_listen,
        config.tcp_listen,
        config.dns_listen if config.dns.enabled else None,
        config.socks_listen if config.socks.enabled else None,
    )
    ports = frozenset({links.port, *(each[1] for each in listening if each)})

    def premises() -> Premises:
        own = own_addresses()
        v4 = mesh.statements.mesh_cidr()
        ranges: list[IPv4Network | IPv6Network] = [mesh_prefix(mesh.me.network)]
        ranges += [v4] if v4 else []
        beyond = mesh.beyond
        led = partial(beyond.leads_to, connected=connected)
        return Premises(own, ports, led, beyond.behind, beyond.leads_everywhere(), ranges)

    def leads_to(node: NodeId) -> bool:
        return mesh.routing.path_to(node) is not None

    streams = StreamsService(mesh, links.streams, premises, outward.resolved, outward.connected, leads_to)
    reverse = ReverseService(mesh, streams, config.node.reverse_forwards, outward.resolved, outward.connected)
    streams.answering.answers = {StreamKind.LISTEN: reverse.listen, StreamKind.BACK: reverse.back}
    ours = mesh.me.addresses
    serving = ServingService(mesh, config.node.serve_programs, partial(reserved, own=(ours.v4, ours.v6)))
    streams.dialling.program, streams.dialling.lead_here = serving.connect, config.node.lead_here
    return Streaming(streams, TunnelsService(mesh, streams, doors, reverse, serving), reverse)


def _stranger(connection: socket.socket) -> str:
    who = caller(connection)
    return "" if who.may_command(os.geteuid(), group_id()) else refusal(who)


def _program(connection: socket.socket) -> tuple[int, int]:
    who = caller(connection)
    return who.uid, who.pid


def _tunnel_listener(config: NodeConfig, host: str, port: int) -> socket.socket:
    token, where = config.node.tcp_token, addresses.join(host or "*", port)
    if token:
        try:
            check_strength(token)
        except Refused as error:
            raise ConfigError(f"node.tcp_token: {error}") from error
    elif not _is_loopback(host):
        raise ConfigError(
            f"--tcp {where} lets other machines in, and asks for no token.\n"
            "Give it one: [node] tcp_token_file in the configuration, or listen on 127.0.0.1"
        )
    return listen_tcp(Place("the tunnels", "--tcp", host, port, ahead=config.tun.enabled), BACKLOG)


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (addresses.is_ip(host) and ip_address(host).is_loopback)
