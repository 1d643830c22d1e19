"""Ten minutes in the life of a mesh, made up from a seed: rounds of faults, each followed by a calm and a look.

Invariant: a fault and what it asks of the model depend on the seed alone, so a seed that failed fails again.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from random import Random

from pulse.core.messages import ObjectKind
from pulse.core.paths import wanted
from tests.sim import homes, identities
from tests.sim.disk import Disk
from tests.sim.model import MET_WITHIN, Model
from tests.sim.node import SimNode
from tests.sim.signing import edited_config, roles_of
from tests.sim.sparse import sparse
from tests.sim.underlay import Carrier, Segment
from tests.sim.world import INTERNET, World

MINUTES = 10
LEAST, MOST = 5, 50

SIZES = ((200, 33, MOST), (40, 15, 24), (8, 9, 14), (1, LEAST, 8))
"""Of so many seeds, one has a mesh of so many nodes: what a mesh costs grows with the third power of its size."""

EVEN_FROM = 10_000
"""From this seed on sizes are spread evenly over their logarithm, as `make sim-long` wants them."""

STORM = 20.0
"""Seconds over which the faults of a round are spread."""

CALM = 15.0
"""Seconds after the last fault until all must be well."""

LONG_CALM = 65.0
"""After loss that took links down by chance, or a partition: who dials only now and then has dialled by then."""

BRIEF = 3.0
"""Seconds a node may be away and yet be dialled again within a calm."""

SPARSE_EVERY = 3
"""Of so many seeds one has nodes that choose whom to have links with, as those of a large mesh do, however few."""

BY_HASH = 2
"""Links by rendezvous hash each has in such a mesh."""

BRIDGE = "bridge"
"""The one machine that is on the island and on the Internet."""

POOL = 64
"""Machines there are certificates for; each world takes its own out of them."""


@dataclass(slots=True)
class Chaos:
    """One scenario: the world, and what may happen to it."""

    world: World
    chance: Random = field(init=False)
    model: Model = field(init=False)
    ca: SimNode = field(init=False)
    doors: list[SimNode] = field(init=False)
    """Those whom others join by."""
    homes: list[Segment] = field(init=False)
    members: list[SimNode] = field(init=False)
    backups: dict[str, Disk] = field(default_factory=dict)
    _late: list[SimNode] = field(default_factory=list)
    """Members that have not joined yet."""
    _scribe: SimNode = field(init=False)
    _settled_at: float = 0.0
    _quiet_since: float = 0.0

    def __post_init__(self) -> None:
        self.chance = Random(f"chaos {self.world.seed}")
        self.model = Model(self.world)
        self._populate()

    def run(self, minutes: float = MINUTES) -> None:
        """Live through it; raises what went wrong, with seed and diagram."""
        with self._choosing():
            self._live(minutes * 60)

    def _choosing(self) -> AbstractContextManager[None]:
        """How nodes choose whom to have links with; a large mesh is large before all have joined."""
        if self.world.seed % SPARSE_EVERY == SPARSE_EVERY - 1:
            return sparse(BY_HASH)
        return sparse(wanted.BY_HASH) if len(self.members) > wanted.SMALL else nullcontext()

    def _live(self, seconds: float) -> None:
        self.model.watch()
        self._begin()
        self._calm_down()
        while self.world.now < seconds - STORM - LONG_CALM:
            self._storm()
            self._calm_down()
        self.world.run(max(0.0, seconds - self.world.now))
        self.model.check()

    # The beginning

    def _populate(self) -> None:
        """A CA on the Internet, further doors, and members at homes, on an island and beside the doors."""
        count = self._size()
        numbers = self.chance.sample(range(POOL), count)
        self.ca = self.world.node("ca", is_ca=True, number=numbers[0])
        doors = self.chance.randint(0, min(3, count // 4))
        self.doors = [self.ca, *(self.world.node(f"door{n}", number=numbers[1 + n]) for n in range(doors))]
        self.members = list(self.doors)
        rest = numbers[1 + doors :]
        if count > 8 and self.chance.random() < 0.3:
            settlers, rest = rest[: count // 4], rest[count // 4 :]
            self._settle_island(settlers)
        self.homes = homes.draw(self.chance)
        for number in rest:
            self._add(self.chance.choice([INTERNET, *self.homes]), number)
        for node in self.members:
            node.machine.delay = self.chance.choice((0.0005, 0.002, 0.01, 0.03, 0.08))
            node.skew = self.chance.choice((0.0, 0.0, 0.0, 1.5, -40.0, 3600.0, -3600.0))
        for door in self.doors[1:]:
            door.configured = (self.ca.machine.addresses[0],)

    def _size(self) -> int:
        seed = self.world.seed
        if seed >= EVEN_FROM:
            return int(LEAST * (MOST / LEAST) ** self.chance.random())
        size = next((least, most) for every, least, most in SIZES if seed % every == every - 1)
        return self.chance.randint(size[0], size[1])

    def _settle_island(self, numbers: Sequence[int]) -> None:
        """A network without a way out, but for one machine that has a foot in both."""
        island = Segment("island", "172.16", outlet=False)
        bridge = self.world.node(BRIDGE, INTERNET, island, number=numbers[0])
        bridge.configured = (self.ca.machine.addresses[0],)
        self.members.append(bridge)
        for n, number in enumerate(numbers[1:]):
            node = self.world.node(f"i{n}", island, number=number)
            node.configured = (bridge.machine.addresses[1],)
            self.members.append(node)

    def _add(self, segment: Segment, number: int) -> None:
        """A member at a home or on the Internet; homes number their machines alike, so addresses lead astray."""
        beside = sum(segment in each.machine.segments for each in self.members)
        place = number if segment is INTERNET else beside
        node = self.world.node(f"n{len(self.members)}", segment, number=number, place=place)
        asked = self.chance.sample(self.doors, min(len(self.doors), self.chance.randint(1, 2)))
        node.configured = tuple(door.machine.addresses[0] for door in asked)
        self.members.append(node)

    def _begin(self) -> None:
        others = [node for node in self.members if node not in self.doors and node.name != BRIDGE]
        self._late = self.chance.sample(others, len(others) // 4)
        self._scribe = self._one()
        self.ca.start()
        for node in self.members[1:]:
            if node not in self._late:
                self.world.after(self.chance.uniform(0.0, 3.0), node.start)
        self._do(5.0, lambda: self.ca.states(ObjectKind.ROLES, roles_of(1, self._scribe)))
        self._do(8.0, lambda: self._edit(self._scribe))

    # Rounds

    def _storm(self) -> None:
        faults: Sequence[tuple[int, Callable[[float], None]]] = (
            (3, self._join),
            (4, self._kill),
            (3, self._stop),
            (2, self._kill_several),
            (3, self._part),
            (2, self._cut),
            (2, self._lose),
            (3, self._stretch),
            (2, self._lose_state),
            (1, self._skew),
            (1, self._revoke),
            (2, self._edit_config),
            (1, self._grant),
            (2, self._move),
            (3, self._roam),
            (2, self._reboot_nat),
            (2, self._talk),
            (2, self._talk_amid_deaths),
        )
        self._talk(self.chance.uniform(0.0, STORM))
        for _ in range(self.chance.randint(1, 4)):
            (fault,) = self.chance.choices([fault for _, fault in faults], [weight for weight, _ in faults])
            fault(self.chance.uniform(0.0, STORM))

    def _calm_down(self) -> None:
        self.world.run(max(0.0, self._settled_at - self.world.now))
        if len(self.members) > wanted.SMALL and self.model.ask():
            self._expect(0.0, CALM)
            self.world.run(CALM)
        self.model.check()
        if self.model.unmet():
            # The next attempt may be a minute away.
            self.world.run(max(0.0, self._quiet_since + MET_WITHIN - self.world.now))
            self.model.check_met()

    def _expect(self, seconds: float, calm: float) -> None:
        """Something happens in so many seconds, and all must be well so long after it."""
        self._quiet_since = max(self._quiet_since, self.world.now + seconds)
        self._settled_at = max(self._settled_at, self.world.now + seconds + calm)

    def _do(self, seconds: float, act: Callable[[], None], calm: float = CALM) -> None:
        self.world.after(seconds, act)
        self._expect(seconds, calm)

    def _one(self) -> SimNode:
        return self.chance.choice([node for node in self.members if node not in self._late])

    # Faults: each is given when to strike, in seconds from now

    def _join(self, when: float) -> None:
        if self._late:
            node = self._late.pop()
            self._do(when, lambda: self._start_new(node))

    def _start_new(self, node: SimNode) -> None:
        if self.ca.alive:
            node.disk.floors = self.ca.running.mesh.statements.newest()
            node.start()
        else:
            self._late.append(node)

    def _kill(self, when: float) -> None:
        self._restart(self._one(), when, SimNode.kill)

    def _stop(self, when: float) -> None:
        self._restart(self._one(), when, SimNode.stop)

    def _kill_several(self, when: float) -> None:
        there = [node for node in self.members if node not in self._late]
        for node in self.chance.sample(there, self.chance.randint(2, len(there))):
            self._restart(node, when + self.chance.uniform(0.0, 0.2), SimNode.kill)

    def _restart(self, node: SimNode, when: float, end: Callable[[SimNode], None]) -> None:
        lasting = self.chance.choice((0.2, 1.0, 3.0, 10.0, 40.0))
        self._do(when, lambda: end(node))
        # Whoever knows only this one tries less and less often while it is away.
        self._do(when + lasting, node.start, CALM if lasting <= BRIEF else LONG_CALM)

    def _part(self, when: float) -> None:
        there = self.chance.sample(self.members, self.chance.randint(1, len(self.members) - 1))
        lasting = self.chance.choice((0.5, 2.0, 5.0, 20.0, 60.0))
        self._do(when, lambda: self.world.part(there))
        self._do(when + lasting, self.world.heal, LONG_CALM)

    def _cut(self, when: float) -> None:
        source, target = self.chance.sample(self.members, 2)
        self._do(when, lambda: self.world.cut(source, target))
        self._do(when + self.chance.uniform(0.5, 30.0), self.world.heal, LONG_CALM)

    def _lose(self, when: float) -> None:
        node, loss = self._one(), self.chance.uniform(0.02, 0.3)
        self._do(when, lambda: self.world.reshape(node, loss=loss))
        self._do(when + self.chance.uniform(5.0, 60.0), lambda: self.world.reshape(node, loss=0.0), LONG_CALM)

    def _stretch(self, when: float) -> None:
        node, delay = self._one(), self.chance.uniform(0.0, 0.15)
        self._do(when, lambda: self.world.reshape(node, delay=delay))

    def _lose_state(self, when: float) -> None:
        node = self._one()
        if node in (self.ca, self._scribe):
            return
        backup = self.backups.setdefault(node.name, node.disk.copy())
        self._do(when, node.kill)
        self._do(when + 1.0, lambda: None if node.alive else node.restore(backup))
        self._do(when + 1.5, node.start)

    def _skew(self, when: float) -> None:
        node, skew = self._one(), self.chance.choice((-86400.0, -600.0, 0.0, 600.0, 86400.0))

        def jump() -> None:
            node.skew = skew

        self._do(when, jump)

    def _revoke(self, when: float) -> None:
        node = self._one()
        if node in (self.ca, self._scribe) or len(self.model.revoked) > len(self.members) // 4:
            return
        self._do(when, lambda: self._revoke_now(node))

    def _revoke_now(self, node: SimNode) -> None:
        if self.ca.alive and node not in self.model.revoked:
            self.model.revoked.append(node)
            self.ca.states(ObjectKind.REVOCATION, identities.revocation(node.number))

    def _edit_config(self, when: float) -> None:
        self._do(when, lambda: self._edit(self._scribe))

    def _edit(self, scribe: SimNode) -> None:
        if scribe.alive and scribe.running.mesh.statements.roles.scribe == scribe.id:
            scribe.states(ObjectKind.CONFIG, edited_config(scribe))

    def _grant(self, when: float) -> None:
        operator = self._one()

        def grant() -> None:
            if self.ca.alive:
                epoch = self.ca.running.mesh.statements.roles.epoch
                self.ca.states(ObjectKind.ROLES, roles_of(epoch + 1, self._scribe, operator))

        self._do(when, grant)

    def _move(self, when: float) -> None:
        node = self._one()
        if self._is_movable(node):
            self._do(when, lambda: self._plug_in(node, *node.machine.segments))

    def _roam(self, when: float) -> None:
        node, place = self._one(), self.chance.choice([INTERNET, *self.homes])
        if self._is_movable(node):
            self._do(when, lambda: self._plug_in(node, place))

    def _is_movable(self, node: SimNode) -> bool:
        return node not in self.doors and len(node.machine.segments) == 1 and node.machine.segments[0].outlet

    def _plug_in(self, node: SimNode, *segments: Segment) -> None:
        # Nobody else has that number, so nobody has its new address, wherever it goes.
        node.machine.number = node.number
        self.world.move(node, *segments)

    def _reboot_nat(self, when: float) -> None:
        carriers = dict.fromkeys(home.carrier for home in self.homes if home.carrier is not None)
        networks: list[Segment | Carrier] = [*self.homes, *carriers]
        network = self.chance.choice(networks)
        self._do(when, lambda: self.world.reboot(network))

    def _talk(self, when: float) -> None:
        one, other = self.chance.sample(self.members, 2)
        self._do(when, lambda: one.wants(other))

    def _talk_amid_deaths(self, when: float) -> None:
        """Relays die while two nodes look for a direct way, or have just found one."""
        one, other = self.chance.sample(self.members, 2)
        self._do(when, lambda: one.wants(other))
        for door in self.chance.sample(self.doors, self.chance.randint(1, len(self.doors))):
            self._restart(door, when + self.chance.choice((0.05, 0.3, 1.0, 5.0)), SimNode.kill)
