"""The composition root: from settings to a running node.

`_build` is the table of contents of what a node does. Invariant: nothing is decided here.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from random import SystemRandom
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pulse import clock, schemas
from pulse.api.app import build as build_api
from pulse.api.server import ApiService, ControlSocket
from pulse.config import NodeConfig
from pulse.core import addresses
from pulse.core.effects import TrustChanged
from pulse.core.mesh import Mesh
from pulse.core.network import ranges
from pulse.core.trust.authorities import trusted_authorities
from pulse.core.trust.ca import Issuer
from pulse.core.trust.certificates import as_utc
from pulse.core.trust.members import label
from pulse.core.trust.tokens import parse_token
from pulse.core.types import SHORT_ID, spaced
from pulse.errors import Conflict, NotFound
from pulse.net.advertised import advertised
from pulse.net.dataplane import DataplaneLinks
from pulse.net.dialler import Dialler
from pulse.net.sockets import bind_udp
from pulse.services import enrol
from pulse.services.ca import CaService
from pulse.services.control import INVITE_TTL, ControlService
from pulse.services.join import JoinService
from pulse.services.mesh import MeshService
from pulse.services.persist import PersistService
from pulse.services.probe import ProbeService
from pulse.services.relay import RelayService
from pulse.services.rpc import Method, RpcService, echo
from pulse.services.status import LinkedOnly, StatusService, identity_of
from pulse.services.trace import METHOD as TRACE
from pulse.services.trace import TraceService
from pulse.services.trust import TrustService
from pulse.services.tun import TunService
from pulse.store import authority, files, identity
from pulse.store.identity import Identity
from pulse.store.netconfig import NetworkStore

log = logging.getLogger(__name__)

DEFAULT_NETWORK = "default"


class Service(Protocol):
    """One running thing."""

    async def run(self) -> None:
        """Serve, until cancelled."""
        ...


@dataclass(frozen=True, slots=True)
class Node:
    """Everything one node runs."""

    mesh: MeshService
    control: ControlService
    ca: CaService | None
    tun: TunService | None
    advertised: Callable[[], tuple[str, ...]]
    """Addresses others are told."""
    services: tuple[Service, ...]


async def run(config: NodeConfig, ready: Callable[[schemas.Started], None]) -> None:
    """Run a node until SIGTERM, SIGINT or `pulse stop`; `ready` is told once it is up. Raises PulseError."""
    with _data_dir(config), contextlib.closing(ControlSocket(config.socket)) as socket, _links(config) as links:
        held = _held(config)
        member = held or await _enrol(config, links, log.info)
        node = _build(config, links, member, socket)
        made = held is None and member.certificate.is_ca
        await _serve(node, ready, _started(config, node, made=made))


async def join(config: NodeConfig, progress: Callable[[str], None]) -> schemas.Joined:
    """Join a network and write what that brought; `progress` is told each step. Raises PulseError."""
    with _data_dir(config), _links(config, any_port=True) as links:
        if held := _held(config):
            raise Conflict(
                f"this machine is a member of {held.certificate.network.name} already.\n"
                "Start it: pulse start. For another network give it another --data-dir"
            )
        member = await _join(config, links, progress)
    me = member.certificate
    return schemas.Joined(
        identity_of(me), me.not_after, member.pinned, address=member.bootstrap[0], data_dir=str(config.data_dir)
    )


# Becoming a member


def _held(config: NodeConfig) -> Identity | None:
    try:
        held = identity.load(config.data_dir)
    except NotFound:
        return None
    enrol.check_member(held, config.node.network_id or None, wants_ca=config.ca.enabled)
    return held


async def _enrol(config: NodeConfig, links: DataplaneLinks, progress: Callable[[str], None]) -> Identity:
    if config.ca.enabled:
        network = config.node.network_id or DEFAULT_NETWORK
        return enrol.found(config.data_dir, network, config.mesh_range or ranges.DEFAULT, config.node.name)
    if config.relays or config.join.invite:
        return await _join(config, links, progress)
    raise NotFound(
        "this machine is in no network yet.\n"
        "Make one:  pulse --ca --scribe --tun\n"
        "Join one:  pulse join pls_…  (the line that `pulse invite` prints on the first node)"
    )


async def _join(config: NodeConfig, links: DataplaneLinks, progress: Callable[[str], None]) -> Identity:
    way = enrol.door(config.relays, config.join.token, config.join.invite, config.node.network_id or None)
    key = identity.join_key(config.data_dir, Ed25519PrivateKey.generate())
    service = JoinService(links, progress)
    host = enrol.wanted_name(config.node.name)
    enrolment = await service.join(way.addresses, way.token, key, network=way.network, host=host)
    member = enrol.keep(config.data_dir, key, enrolment, way)
    me = member.certificate
    shown = "is the one in the invite" if member.pinned else "trusted on first use; compare it with: pulse id on the CA"
    progress(f"CA {spaced(me.network.ca_hash)} {shown}")
    progress(f"certificate for {label(me)}, {me.addresses.v4}, until {as_utc(me.not_after)[:10]}")
    return member


# Composition


def _build(config: NodeConfig, links: DataplaneLinks, member: Identity, socket: ControlSocket) -> Node:
    me = member.certificate
    authorities = trusted_authorities(me.network, member.authorities, member.successions)
    issuer = _issuer(config, member)
    mesh = Mesh(me, authorities, SystemRandom(), member.floors)
    store = NetworkStore(config.data_dir)
    persist = PersistService(config.data_dir, mesh, store, config.persist.enabled)
    trust = TrustService(links, member, mesh)
    tun = None
    if config.tun.enabled:
        tun = TunService(links, me, mesh.statements.mesh_cidr, config.tun.name, config.tun.queues)

    def told() -> tuple[str, ...]:
        return advertised(*config.advertised, mesh.observed(), (tun.name,) if tun else ())

    config_changed = tun.config_changed if tun else lambda: None
    meshing = MeshService(mesh, links, Dialler(links), store, trust.trust_changed, config_changed, persist.save_peers)
    ca = _ca(config, links, mesh, issuer, told) if issuer else None
    methods: dict[str, Method] = {"ping": echo} | ({"join": ca.join} if ca else {})
    rpc = RpcService(links, methods)
    status, trace = _watchers(config, links, mesh, tun, rpc)
    methods[TRACE] = trace.answer
    control = ControlService(mesh, rpc.call, member.pinned, ca, status, trace)
    services: list[Service] = [
        meshing,
        ProbeService(links, meshing.tell),
        rpc,
        ca or RelayService(links, rpc.call, mesh.ca_nodes),
        ApiService(build_api(control, status.version), socket),
    ]
    node = Node(meshing, control, ca, tun, told, (*services, tun) if tun else tuple(services))
    _wake(config, member, node, persist, trust)
    return node


def _watchers(
    config: NodeConfig, links: DataplaneLinks, mesh: Mesh, tun: TunService | None, rpc: RpcService
) -> tuple[StatusService, TraceService]:
    routes = LinkedOnly(mesh)
    now = asyncio.get_running_loop().time()
    status = StatusService(
        mesh, links, routes, tuple, mesh.neighbours.parted_at, dict, tun, version("pulse-mesh"),
        addresses.join(*config.listen), now,
    )  # fmt: skip
    return status, TraceService(mesh, routes, rpc.call)


def _wake(config: NodeConfig, member: Identity, node: Node, persist: PersistService, trust: TrustService) -> None:
    """Bring back what was known, show ourselves, and begin to dial."""
    now = asyncio.get_running_loop().time()
    restored = persist.restore(now)
    trust.install()
    node.mesh.perform(effect for effect in restored if not isinstance(effect, TrustChanged))
    if node.tun:
        node.tun.attach()
    for peer in dict.fromkeys((*config.relays, *member.bootstrap)):
        node.mesh.perform(node.mesh.mesh.peer_configured(peer, now))


def _issuer(config: NodeConfig, member: Identity) -> Issuer | None:
    if not member.certificate.is_ca or not authority.exists(config.data_dir):
        return None
    issuer = authority.open_issuer(config.data_dir)
    enrol.state_network(config.data_dir, issuer, member.certificate.node_id if config.scribe.enabled else None)
    return issuer


def _ca(
    config: NodeConfig, links: DataplaneLinks, mesh: Mesh, issuer: Issuer, told: Callable[[], tuple[str, ...]]
) -> CaService:
    ledger = authority.open_ledger(config.data_dir, issuer)
    if config.ca_token:
        ledger.set_master(parse_token(config.ca_token).secret, clock.wall())

    def vouched() -> bool:
        return config.ca.force_time or mesh.clock_vouched()

    return CaService(links, ledger, issuer, mesh.statements.newest, vouched, told)


# Running


async def _serve(node: Node, ready: Callable[[schemas.Started], None], started: schemas.Started) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, node.control.stopping.set)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(service.run()) for service in node.services]
        ready(started)
        log.info("node up", extra={"node": started.node.id[:SHORT_ID], "listen": started.listen})
        await node.control.stopping.wait()
        await node.mesh.leave()
        for task in running:
            task.cancel()
    log.info("node stopped")


def _started(config: NodeConfig, node: Node, *, made: bool) -> schemas.Started:
    told = list(node.advertised())
    invite = node.ca.invite(schemas.TokenRequest(INVITE_TTL, 1))[0] if made and told and node.ca else ""
    return schemas.Started(
        node=node.control.statuses.identity(),
        listen=addresses.join(*config.listen),
        advertised=told,
        tun=node.tun.name if node.tun else "",
        made=made,
        data_dir=str(config.data_dir),
        invite=invite,
    )


@contextlib.contextmanager
def _data_dir(config: NodeConfig) -> Iterator[None]:
    with files.lock(files.open_data_dir(config.data_dir)):
        yield


@contextlib.contextmanager
def _links(config: NodeConfig, *, any_port: bool = False) -> Iterator[DataplaneLinks]:
    host, port = ("", 0) if any_port else config.listen
    links = DataplaneLinks.start(bind_udp(host, port).detach())
    try:
        yield links
    finally:
        links.close()
