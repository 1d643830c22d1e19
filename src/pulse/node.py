"""The composition root: from settings to a running node.

`_build` is the table of contents of what a node does. Invariant: nothing is decided here.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from random import SystemRandom

from pulse import clock, release
from pulse.api.control import Control
from pulse.assembly import apisockets, member, socksdoor, streaming, underlay, uses
from pulse.assembly.apisockets import Sockets
from pulse.assembly.governance import Governance, govern
from pulse.assembly.insight import Insight, insight
from pulse.assembly.operations import Operations, Reread, operations
from pulse.assembly.signals import Signals, hold
from pulse.assembly.streaming import Streaming
from pulse.assembly.supervision import Service, kept
from pulse.assembly.uses import Doors, Uses
from pulse.config import NodeConfig
from pulse.core import addresses
from pulse.core.effects import TrustChanged
from pulse.core.facts import ClockRead
from pulse.core.mesh import Mesh
from pulse.core.messages import MethodName
from pulse.core.paths.noderecord import Service as Offered
from pulse.core.types import SHORT_ID
from pulse.errors import Conflict
from pulse.net.advertised import advertised
from pulse.net.dataplane import DataplaneLinks
from pulse.net.dialler import Dialler
from pulse.net.systemd import Notifier
from pulse.schemas.start import Joined, Started
from pulse.schemas.tokens import TokenRequest
from pulse.services.acls import AclService
from pulse.services.ca import CaService
from pulse.services.chain import ChainService
from pulse.services.fec import FecService
from pulse.services.mesh import MeshService
from pulse.services.persist import PersistService
from pulse.services.relay import RelayService
from pulse.services.rpc import Method, RpcService, echo
from pulse.services.status import identity_of
from pulse.services.tokens import INVITE_TTL
from pulse.services.traversal import TraversalService
from pulse.services.trust import TrustService
from pulse.services.tun import TunService
from pulse.services.whereabouts import WhereaboutsService
from pulse.store import backup, boot, files
from pulse.store.identity import Identity
from pulse.store.netconfig import NetworkStore

log = logging.getLogger(__name__)

VERSION = release.version()


@dataclass(frozen=True, slots=True)
class Node:
    """Everything one node runs."""

    mesh: MeshService
    control: Control
    telling: Insight
    operating: Operations
    ca: CaService | None
    tun: TunService | None
    advertised: Callable[[], tuple[str, ...]]
    """Addresses others are told."""
    services: tuple[Service, ...]


async def run(
    config: NodeConfig,
    ready: Callable[[Started], None],
    progress: Callable[[str], None] = lambda _: None,
    reread: Reread = None,
    *,
    embedded: bool = False,
) -> bool:
    """Run a node until SIGTERM, SIGINT or `pulse stop`; True if it is to be started anew.

    `ready` is told once it is up, `progress` each step till then; `reread` gives the settings as they are now. One that
    is `embedded` in another program leaves signals, and the service manager, to that.
    Raises PulseError.
    """
    signals = Signals()
    if not embedded:
        signals.heard()
    manager = Notifier() if embedded else Notifier.from_environment(os.environ, os.getpid())
    with (
        _data_dir(config),
        apisockets.bound(config) as api,
        streaming.bound(config) as tunnels,
        uses.bound(config) as doors,
        socksdoor.bound(config) as socks,
        underlay.opened(config) as links,
    ):
        held = member.held(config)
        becoming = member.lasting(config, links, held, progress) if held else member.enrolled(config, links)
        # Stopped before, one that was a member still comes up: only so goes what a run before left in the kernel.
        identity = await signals.unless_stopped(becoming) or held
        if identity is None:
            return False
        node = _build(config, links, identity, api, replace(doors, socks=socks, tunnels=tunnels), manager)
        node.operating.reload.reread = reread or node.operating.reload.reread
        node.telling.node.embedded = embedded
        # Only now: to a neighbour that dials while we start, a WebSocket would look quicker than QUIC.
        sockets = underlay.listen(links, config.listen[0])
        made = held is None and identity.certificate.is_ca
        await _serve(node, ready, _started(config, node, sockets, api, doors, made=made), signals)
        if node.operating.again and not embedded:
            hold()
        return node.operating.again


async def join(config: NodeConfig, progress: Callable[[str], None]) -> Joined:
    """Join a network and write what that brought; `progress` is told each step. Raises PulseError."""
    with _data_dir(config), underlay.opened(config, any_port=True) as links:
        if held := member.held(config):
            raise Conflict(
                f"this machine is a member of {held.certificate.network.name} already.\n"
                "Start it: pulse start. For another network give it another --data-dir"
            )
        identity = await member.joined(config, links, progress)
    me = identity.certificate
    return Joined(
        identity_of(me), me.not_after, identity.pinned, address=identity.bootstrap[0], data_dir=str(config.data_dir)
    )


# Composition


def _build(
    config: NodeConfig, links: DataplaneLinks, identity: Identity, api: Sockets, doors: Doors, manager: Notifier
) -> Node:
    store = NetworkStore(config.data_dir)
    mesh = _mesh(config, identity, store)
    methods: dict[str, Method] = {MethodName.PING: echo}
    rpc = RpcService(links, methods)
    tun = _tun(config, links, mesh)
    told = partial(_told, config, mesh, tun)
    persist = PersistService(config.data_dir, mesh, store, config.persist.enabled)
    trust = TrustService(links, identity, mesh)
    meshing = _meshing(config, links, mesh, store, persist, trust)
    governance = govern(config, identity, links, meshing, rpc, store, told)
    traversal = TraversalService(links, rpc.call, meshing.tell)
    meshing.punch = traversal.perform
    used = uses.uses(config, doors, meshing, rpc, tun, governance.edits.edit)
    streams = _streaming(config, links, meshing, governance, doors, used)
    meshing.statements_changed = _each(governance.changed, streams.changed, tun.config_changed if tun else None)
    own_devices = partial(_own_devices, tun)
    portmap = underlay.port_mapping(config, links, identity, meshing, own_devices)
    telling = insight(config, links, meshing, rpc, governance, tun, portmap, used, VERSION, pinned=identity.pinned)
    telling.metrics.socks = streams.proxy
    operating = operations(config, meshing, rpc, tun, telling, used, VERSION, manager)
    methods |= {MethodName.PUNCH: traversal.answer}
    methods |= telling.methods | governance.methods | used.methods | operating.methods
    control = _control(governance, telling, used, operating, mesh)
    services: tuple[Service | None, ...] = (
        meshing,
        *telling.running,
        traversal,
        *underlay.watchers(config, links, meshing, own_devices),
        portmap,
        rpc,
        *governance.running,
        governance.ca or RelayService(links, rpc.call, mesh.ca_nodes),
        *apisockets.services(config, api, control, mesh, governance.keys, VERSION, telling.history),
        tun,
        *used.running,
        *streams.running,
        *operating.running,
        *_lasting(config, links, identity, meshing, trust, rpc, governance),
        FecService.offered(links, mesh.routing.routes) if config.tun.fec else None,
    )
    node = Node(meshing, control, telling, operating, governance.ca, tun, told, tuple(filter(None, services)))
    used.wake(lambda: operating.leaves)
    _wake(config, identity, node, persist, trust)
    governance.wake()
    return node


def _control(governance: Governance, telling: Insight, used: Uses, operating: Operations, mesh: Mesh) -> Control:
    """All that this node can be asked for."""
    return Control(
        node=telling.node,
        topology=telling.topology,
        trace=telling.trace,
        why=telling.why,
        pins=telling.pins,
        tokens=governance.tokens,
        templates=governance.templates,
        config=governance.whole,
        configfile=governance.file,
        names=governance.edits,
        dns=used.zones,
        acls=AclService(mesh, governance.edits.edit),
        hits=governance.hits,
        bulk=governance.bulk,
        roles=governance.roles,
        revoke=governance.revoke,
        ca=telling.calog,
        rotation=governance.keys_of_ca,
        events=telling.history,
        stats=telling.stats,
        metrics=telling.metrics,
        apikeys=governance.keys,
        resolver=used.resolver,
        doctor=operating.doctor,
        reload=operating.reload,
        remote=operating.remote,
        routes=used.routes,
        whereabouts=WhereaboutsService(socksdoor.whereabouts(mesh)),
    )


def _lasting(
    config: NodeConfig,
    links: DataplaneLinks,
    identity: Identity,
    meshing: MeshService,
    trust: TrustService,
    rpc: RpcService,
    governance: Governance,
) -> tuple[Service | None, ...]:
    """What keeps this node a member: certificates are renewed, and CA keys that nobody tells it of are learnt."""
    mesh = meshing.mesh
    renewal = member.upkeep(config, links, identity, mesh, trust.renewed, rpc.call, governance.ca, meshing.tell)
    meshing.trust_changed = _each(trust.trust_changed, renewal.trust_changed)
    chain = ChainService(links, mesh.statements, meshing.tell, member.known_places(config, identity, mesh))
    meshing.dial_refused = chain.dial_refused
    return trust, renewal, chain, governance.rotation


def _streaming(
    config: NodeConfig,
    links: DataplaneLinks,
    meshing: MeshService,
    governance: Governance,
    doors: Doors,
    used: Uses,
) -> Streaming:
    """Streams, which are judged again as the rules change, and count with the flows that these decide on."""
    made = streaming.compose(config, links, meshing.mesh, doors.tunnels, used.exit_node.connected)
    meshing.policy_changed = made.changed
    meshing.routes_changed = made.streams.routes_changed
    governance.hits.counted = lambda: made.hits(links.hits())
    return replace(made, proxy=socksdoor.service(config, meshing.mesh, made.streams, doors.socks))


def _own_devices(tun: TunService | None) -> tuple[str, ...]:
    """The mesh's own interfaces, through which nobody reaches us from outside."""
    return (tun.name,) if tun else ()


def _told(config: NodeConfig, mesh: Mesh, tun: TunService | None) -> tuple[str, ...]:
    """Where others are told that this node is."""
    return advertised(*config.advertised, [*mesh.sight.mapped, *mesh.sight.addresses()], _own_devices(tun))


def _meshing(
    config: NodeConfig,
    links: DataplaneLinks,
    mesh: Mesh,
    store: NetworkStore,
    persist: PersistService,
    trust: TrustService,
) -> MeshService:
    return MeshService(
        mesh,
        links,
        Dialler(links),
        store,
        store_boot=partial(boot.save_boot, config.data_dir),
        store_peers=persist.save_peers,
        peers_written_after=config.persist.interval,
        trust_changed=trust.trust_changed,
    )


def _mesh(config: NodeConfig, identity: Identity, store: NetworkStore) -> Mesh:
    count = boot.raise_boot(config.data_dir)
    if count.warning:
        log.warning("boot count lost", extra={"error": count.warning})
    return Mesh(
        identity.certificate,
        identity.key,
        member.chain_known(config, identity, store),
        SystemRandom(),
        boot=count.count,
        version=VERSION,
        floors=identity.floors,
        time_floor=identity.time_floor,
        birthday=config.nat.birthday,
        services=[Offered(each.name, each.port, each.priority) for each in config.dns.service],
        offers=config.exit.cidrs if config.exit.enabled else (),
        uses_exits=config.exit.use,
    )


def _tun(config: NodeConfig, links: DataplaneLinks, mesh: Mesh) -> TunService | None:
    made = partial(TunService, links, mesh.me, mesh.statements.mesh_cidr, config.tun.name, config.tun.queues)
    return made() if config.tun.enabled else None


def _wake(config: NodeConfig, identity: Identity, node: Node, persist: PersistService, trust: TrustService) -> None:
    """Bring back what was known, show ourselves, and begin to dial."""
    now = asyncio.get_running_loop().time()
    restored = persist.restore(now)
    trust.install()
    node.mesh.perform(effect for effect in restored if not isinstance(effect, TrustChanged))
    node.telling.pins.restore()
    node.mesh.tell(ClockRead(clock.wall()))
    if node.tun:
        node.tun.attach()
    for peer in dict.fromkeys((*config.relays, *identity.bootstrap)):
        node.mesh.perform(node.mesh.mesh.peer_configured(peer, now))


def _each(*calls: Callable[[], None] | None) -> Callable[[], None]:
    def call() -> None:
        for each in calls:
            if each:
                each()

    return call


# Running


async def _serve(node: Node, ready: Callable[[Started], None], started: Started, signals: Signals) -> None:
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(kept(service, node.mesh.refresh)) for service in node.services]
        ready(started)
        node.operating.up(f"up: {started.node.name} {started.node.v4} in {started.node.network}")
        signals.up(node.operating.reload.hang_up)
        log.info("node up", extra={"node": started.node.id[:SHORT_ID], "listen": started.listen})
        await _stopped(node.telling.node.stopping, signals.stopping)
        await node.operating.leaving()
        await node.telling.tally.leave()
        await node.mesh.leave()
        for task in running:
            task.cancel()
    log.info("node stopped")


async def _stopped(*wanted: asyncio.Event) -> None:
    """Wait for any of them. Every service has begun by then: a task that never ran puts nothing back."""
    waiting = [asyncio.ensure_future(each.wait()) for each in wanted]
    try:
        await asyncio.sleep(0)
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()


def _started(config: NodeConfig, node: Node, sockets: str, api: Sockets, doors: Doors, *, made: bool) -> Started:
    told = list(node.advertised())
    invite = node.ca.invite(TokenRequest(INVITE_TTL, 1))[0] if made and told and node.ca else ""
    return Started(
        node=node.telling.status.identity(),
        listen=node.telling.status.listen,
        advertised=told,
        tun=node.tun.name if node.tun else "",
        made=made,
        data_dir=str(config.data_dir),
        invite=invite,
        sockets=sockets,
        api=api.address,
        api_problem=api.problem,
        dns=doors.dns_address,
        dns_problem=doors.dns_problem,
        socks=addresses.join(*config.socks_listen) if config.socks.enabled else "",
        metrics=api.metrics.address if api.metrics else "",
    )


@contextlib.contextmanager
def _data_dir(config: NodeConfig) -> Iterator[None]:
    with files.lock(files.open_data_dir(config.data_dir)):
        backup.check_whole(config.data_dir)
        yield
