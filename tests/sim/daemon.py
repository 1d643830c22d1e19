"""One run of a node's daemon: performs the effects of its mesh and tells it facts, as `services/mesh.py` does.

Invariant: whatever a dead daemon still had in flight touches nobody.
"""

from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, assert_never

from pulse.core import messages
from pulse.core.effects import (
    ERROR,
    AnswerPunch,
    AskExit,
    AskPunch,
    CloseLink,
    CloseSession,
    Dial,
    Effect,
    ExpectProbes,
    FetchConfig,
    Log,
    PolicyChanged,
    SendBeacon,
    SendMessage,
    SendProbe,
    SendProbesApart,
    StoreBoot,
    StoreChain,
    StoreConfig,
    StorePeers,
    StoreRevocation,
    StoreRoles,
    TablesChanged,
    TrustChanged,
)
from pulse.core.facts import ClockCompared, ConfigFetched, Fact, LinkUp, PeerHello
from pulse.core.mesh import Mesh
from pulse.core.trust.revocation import digest_of
from pulse.core.types import LinkId, NodeId
from tests.sim import traffic
from tests.sim.dial import Attempt
from tests.sim.disk import ADDRESSES_KEPT
from tests.sim.link import End
from tests.sim.punch import Punch
from tests.sim.underlay import Machine

if TYPE_CHECKING:
    from tests.sim.node import SimNode
    from tests.sim.world import World

PEERS_WRITTEN_AFTER = 2.0
GRACE = 0.5
"""Seconds a replaced link still serves."""

RPC_TIMEOUT = 10.0
TURN = 0.002
"""Seconds of one turn of the daemon's loop: facts that come together are told before it looks at the time again."""

MOST_WAKES = 400
"""Times a mesh may be woken in one second before we call it a spin."""

NO_TABLES = TablesChanged({}, ())


@dataclass(eq=False, slots=True)
class Daemon:
    """A running daemon; a restart makes another one."""

    world: "World"
    node: "SimNode"
    mesh: Mesh
    boot: bytes
    epoch: float
    """What its monotonic clock adds to ours: no two machines started at the same time."""
    alive: bool = True
    deaf: bool = False
    """It answers probes but drops the frames it should forward."""
    doubted: dict[tuple[NodeId, LinkId], None] = field(default_factory=dict)
    """Paths, by node and first link, whose probes are not answered: the data plane avoids them at once."""
    started: float = 0.0
    tables: TablesChanged = NO_TABLES
    admitted: frozenset[NodeId] = frozenset()
    """Nodes that packets may go to and come from, by the tables."""
    distrusted: frozenset[NodeId] = frozenset()
    ends: dict[LinkId, End] = field(default_factory=dict)
    standing: dict[NodeId, End] = field(default_factory=dict)
    greeting: dict[NodeId, int] = field(default_factory=dict)
    """Our dials that say hello just now."""
    punch: Punch = field(init=False)
    _due: float | None = None
    _turning: bool = False
    _wakes: tuple[int, int] = (0, 0)
    _peers_due: bool = False

    def __post_init__(self) -> None:
        self.punch = Punch(self)

    @property
    def id(self) -> NodeId:
        """Whose daemon it is."""
        return self.mesh.me.node_id

    @property
    def machine(self) -> Machine:
        """Where it runs."""
        return self.node.machine

    @property
    def time(self) -> float:
        """Its monotonic clock."""
        return self.world.now + self.epoch

    # Facts

    def tell(self, fact: Fact) -> None:
        """Tell the mesh a fact and do what it asks for."""
        if self.alive:
            self.world.flow.add(self.world.now, self.node.name, fact)
            self.perform(self.mesh.happened(fact, self.time))

    def perform(self, effects: list[Effect]) -> None:
        """Do what the core asked for."""
        for effect in effects:
            self.world.flow.add(self.world.now, self.node.name, effect, self._towards(effect))
            self._do(effect)
        self._wake_in_time()

    def links(self, end: End, dial: int) -> None:
        """Both hellos of a new link are through at this end: announce it, then send off the one it replaces."""
        far = end.far.daemon
        old = self.standing.get(far.id)
        self.ends[end.id] = self.standing[far.id] = end
        end.up = True
        hello = PeerHello(1, far.boot, far.node.wall(), digest_of(far.distrusted), 0)
        self.tell(ClockCompared(end.id, self.node.wall() - hello.clock))
        self.tell(LinkUp(end.id, dial, far.id, far.mesh.me.der, "quic", end.towards, hello))
        if old is not None and old.up:
            reason = f"replaced by link {end.id}"
            grace = 0.0 if old.peer_boot != far.boot else GRACE
            self.world.after(grace, lambda: old.link.close(old, reason) if old.up else None)

    def lost(self, end: End) -> None:
        """A link ended."""
        self.ends.pop(end.id, None)
        self.doubted = {path: None for path in self.doubted if path[1] != end.id}
        if self.standing.get(end.far.daemon.id) is end:
            del self.standing[end.far.daemon.id]

    # Its end

    def kill(self) -> None:
        """Die as by kill -9: neighbours hear nothing, ever."""
        self.alive = False
        for end in [*self.ends.values()]:
            end.up = False
            end.link.review()

    def stop(self) -> None:
        """SIGTERM: say goodbye, and close."""
        goodbye = messages.encode(messages.Leaving("stopped"))
        for end in [*self.ends.values()]:
            end.link.send(end, goodbye)
        self.store_peers()
        for end in [*self.ends.values()]:
            end.link.close(end, "stopped")
        self.alive = False

    def store_peers(self) -> None:
        """Write the peer table."""
        self._peers_due = False
        if not self.alive:
            return
        mesh = self.mesh
        others = [each for each in mesh.members.all() if each.node_id != self.id]
        self.node.disk.peers = {
            each.node_id: (each, tuple(mesh.neighbours.addresses_of(each.node_id)[:ADDRESSES_KEPT])) for each in others
        }

    def free_id(self) -> LinkId:
        """An index for a new link."""
        return LinkId(self.world.random.getrandbits(32) | 1)

    # Effects

    def _do(self, effect: Effect) -> None:
        match effect:
            case Dial():
                Attempt(self.world, self, effect).begin()
            case SendMessage(link) | CloseLink(link):
                if end := self.ends.get(link):
                    _on(end, effect)
            case CloseSession() | PolicyChanged() | SendBeacon() | AskExit():
                """Neither sessions nor rules, LANs nor exits are simulated."""
            case TablesChanged():
                self._tables_changed(effect)
            case TrustChanged():
                self.trust_changed()
            case StoreChain() | StoreRoles() | StoreConfig() | StoreRevocation() | StoreBoot():
                self.node.disk.keep(effect)
            case StorePeers():
                self._store_peers_soon()
            case FetchConfig(node):
                self._fetch(node)
            case AskPunch() | AnswerPunch() | ExpectProbes() | SendProbe() | SendProbesApart():
                self.punch.perform(effect)
            case Log():
                self._log(effect)
            case _:
                assert_never(effect)

    def trust_changed(self) -> None:
        """Believe revoked nodes no more, and close what is open with them."""
        self.distrusted = self.mesh.statements.revoked()
        for end in [*self.ends.values()]:
            if end.far.daemon.id in self.distrusted:
                end.link.close(end, "not trusted any more")

    def _store_peers_soon(self) -> None:
        if not self._peers_due:
            self._peers_due = True
            self.world.after(PEERS_WRITTEN_AFTER, self.store_peers)

    def _tables_changed(self, tables: TablesChanged) -> None:
        self.tables = tables
        self.admitted = frozenset(each.node for each in tables.owners if each.source and each.destination)
        self.world.tables_changed()

    def _fetch(self, node: NodeId) -> None:
        target = self.world.daemon_of(node, other_than=self)
        if target is None or not traffic.meet(self, target):
            self.world.after(RPC_TIMEOUT, lambda: self.tell(ConfigFetched(node, None)))
            return
        config = target.mesh.statements.config
        there_and_back = 2 * traffic.latency(self, target)
        data = config.data if config else None
        self.world.after(there_and_back, lambda: self.tell(ConfigFetched(node, data)))

    def _log(self, log: Log) -> None:
        if log.level >= ERROR and log.event not in self.world.expected:
            raise AssertionError(f"{self.node.name} says at {self.world.now:.3f}: {log.event} {dict(log.fields)}")
        self.world.logged(self.node.name, log)

    def _towards(self, effect: Effect) -> str:
        match effect:
            case SendMessage(link, _) | CloseLink(link, _):
                end = self.ends.get(link)
                return end.far.daemon.node.name if end else ""
            case _:
                return ""

    # Time

    def _wake_in_time(self) -> None:
        """Look when the mesh wants to be woken, once for all that happens in one turn of the loop."""
        if not self._turning:
            self._turning = True
            self.world.after(TURN, self._turn)

    def _turn(self) -> None:
        self._turning = False
        if not self.alive:
            return
        due = self.mesh.deadline()
        if due is None:
            return
        # Rounded up to microseconds: what is due must be due by its own clock too.
        when = max(self.world.now, ceil((due - self.epoch) * 1e6 + 1) / 1e6)
        if self._due is None or when < self._due:
            self._due = when
            self.world.at(when, lambda: self._wake(when))

    def _wake(self, when: float) -> None:
        if not self.alive or self._due != when:
            return
        self._due = None
        self._count_wake()
        # If nothing is due any more nothing happens, and asking that first costs as much.
        self.perform(self.mesh.tick(self.time))

    def _count_wake(self) -> None:
        second, times = self._wakes
        self._wakes = (int(self.world.now), times + 1 if second == int(self.world.now) else 1)
        if times >= MOST_WAKES:
            raise AssertionError(f"{self.node.name} wants to be woken again and again at {self.world.now:.6f}")


def _on(end: End, effect: SendMessage | CloseLink) -> None:
    if isinstance(effect, SendMessage):
        end.link.send(end, effect.payload)
    else:
        end.link.close(end, effect.reason)
