"""Composes what tells how the mesh is, and was, and why: status, journal, traces, verdicts, pins.

Invariant: nothing is decided here.
"""

import asyncio
import copy
from dataclasses import dataclass
from functools import partial

from pulse import clock
from pulse.assembly.governance import Governance
from pulse.assembly.uses import Uses
from pulse.config import NodeConfig
from pulse.core import addresses
from pulse.core.chronicle import Chronicle
from pulse.core.events import Event, Kind
from pulse.core.messages import MethodName
from pulse.core.stats import TRAFFIC
from pulse.net.dataplane import DataplaneLinks
from pulse.services import tally
from pulse.services.calog import CaLogService
from pulse.services.events import EventsService
from pulse.services.history import HistoryService
from pulse.services.mesh import MeshService
from pulse.services.metrics import MetricsService
from pulse.services.node import NodeService
from pulse.services.pins import PinsService
from pulse.services.portmap import PortmapService
from pulse.services.rpc import Method, RpcService
from pulse.services.stats import StatsService
from pulse.services.status import StatusService
from pulse.services.tally import TallyService
from pulse.services.topology import TopologyService
from pulse.services.trace import TraceService
from pulse.services.tun import TunService
from pulse.services.vitals import VitalsService
from pulse.services.why import WhyService
from pulse.store import events as event_store


@dataclass(frozen=True, slots=True)
class Insight:
    """These services of one node."""

    status: StatusService
    node: NodeService
    events: EventsService
    history: HistoryService
    calog: CaLogService
    topology: TopologyService
    trace: TraceService
    why: WhyService
    pins: PinsService
    stats: StatsService
    tally: TallyService
    metrics: MetricsService

    @property
    def methods(self) -> dict[str, Method]:
        """What other nodes can ask of them."""
        return {
            MethodName.TRACE: self.trace.answer,
            MethodName.WHY: self.why.answer,
            MethodName.STATS_PEERS: self.stats.by_peer,
            **self.tally.methods,
        }

    @property
    def running(self) -> tuple[EventsService | TallyService, ...]:
        """Those that run beside what they are asked."""
        return self.events, self.tally


def insight(
    config: NodeConfig,
    links: DataplaneLinks,
    meshing: MeshService,
    rpc: RpcService,
    governance: Governance,
    tun: TunService | None,
    portmap: PortmapService | None,
    used: Uses,
    version: str,
    *,
    pinned: bool,
) -> Insight:
    """The services; `pinned` says that the CA's hash was known when this node joined."""
    mesh, me, now = meshing.mesh, meshing.mesh.me.node_id, asyncio.get_running_loop().time()
    listen = addresses.join(*config.listen)
    vitals = VitalsService(mesh, tun, governance.scribe, used, governance.rotation).vitals
    status = StatusService(mesh, links, tun, vitals, version, listen, now, portmap, config.tun.fec)
    journal = event_store.opened(config.data_dir, clock.wall())
    past = copy.deepcopy(journal.past)
    events = EventsService(journal, Chronicle(me, past, mesh, status.first_link_to, mesh.sight.clock_offset, now))
    events.happened(Event(Kind.START, {"version": version}))
    links.refused = rpc.refused = events.refused
    meshing.witness, governance.scribe.asked = events.performed, events.edit_asked
    governance.tells(events.issued, events.refused)
    totals = tally.restored(config.data_dir, TRAFFIC)
    stats = StatsService(
        *(me, mesh.statements, mesh.members, mesh.ca_nodes, links.traffic, rpc.call, totals),
        connections=(links.streams,),
    )
    counting = (governance.hits, stats)
    counts = TallyService(me, mesh.statements, rpc.call, config.data_dir, counting, stats.look)
    for each in counting:
        each.refresh = partial(counts.refresh, each)
    return Insight(
        status=status,
        node=NodeService(mesh, rpc.call, pinned, status, governance.whole, stats.by_node, used.exit_node.stays),
        events=events,
        history=HistoryService(journal, events, me, mesh.members.label_of),
        calog=CaLogService(mesh.members, governance.ca),
        topology=TopologyService(mesh, status.link_type),
        trace=TraceService(mesh, rpc.call),
        why=WhyService(mesh, rpc.call, lambda node: status.way_to(node).link, status.figures_of),
        pins=PinsService(config.data_dir, mesh, meshing.tell, status.pin_of),
        stats=stats,
        tally=counts,
        metrics=MetricsService(
            mesh, links, meshing.talk, status.status, stats.by_node, governance.tokens.all, links.streams
        ),
    )
