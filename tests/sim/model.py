"""The reference: who must reach whom, worked out from the underlay and from what each node can know, not from the mesh.

Two nodes must reach each other once things settled if a chain of nodes connects them, each of which could dial the
next or be dialled by it at an address it knows. Who had traffic must have a direct link, or cannot, as the NATs say
(`verdict.py`). Invariant: the model never asks the mesh how to route.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from pulse.core.paths.holepunch import GIVE_UP
from pulse.core.paths.traversal import ANSWER, RECENT, RETRIES
from pulse.core.types import SHORT_ID, NodeId
from tests.sim import face, traffic
from tests.sim.dial import NO_ANSWER
from tests.sim.node import SimNode
from tests.sim.verdict import Direct, between
from tests.sim.world import World

LOOPS_LAST = 5.0
"""Seconds a circle of next hops may stand: news is on its way round the mesh meanwhile."""

LOOKED_EVERY = 2.5

SPREAD = 2.0
"""Seconds in which a node record crosses the mesh."""

MET_WITHIN = RETRIES[-1] + ANSWER + GIVE_UP + NO_ANSWER
"""Seconds of quiet after which whoever had traffic has a direct link, if the NATs between them allow one."""

NONE = (0, 0)
"""Stands for the numbers of a record that is not held."""

Group = list[SimNode]


@dataclass(slots=True)
class Model:
    """What must hold in a world; `check` raises with seed and diagram what does not."""

    world: World
    revoked: list[SimNode] = field(default_factory=list)
    _known: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    """Who knows whom at which addresses, since things last settled."""
    _lives: dict[str, int] = field(default_factory=dict)
    _circles: dict[tuple[object, ...], float] = field(default_factory=dict)
    """Circles seen, and since when."""
    _swaps: int = -1
    _held: dict[str, tuple[tuple[int, ...], int]] = field(default_factory=dict)
    """Number of roles and config each life of a node held."""

    def check(self) -> None:
        """Things had time to settle: everything must be as it should."""
        groups = self.groups()
        for group in groups:
            self._all_reach_each_other(group)
            self._all_hold_the_same(group)
            self._nobody_reaches_the_revoked(group)
        self._nobody_meets_through_walls()
        self._records_spread(groups)
        self._nothing_went_back()
        self._learn()

    def ask(self) -> bool:
        """Let there be traffic between all that do not reach each other; True if there were any.

        In a large mesh nobody has links with everybody, so a handful that was cut off together may have none among
        themselves, and find each other only once one of them wants to.
        """
        missing = [pair for group in self.groups() for pair in self._apart(group)]
        for source, target in missing:
            source.wants(target)
        return bool(missing)

    def unmet(self) -> list[tuple[SimNode, SimNode]]:
        """Pairs with traffic that have no direct link and must have one in the end."""
        return [
            (source, target)
            for group in self.groups()
            for source in group
            for name, when in source.traffic.items()
            if self.world.now - when < RECENT
            and (target := self.world.nodes[name]) in group
            and not _are_linked(source, target)
            and self._must_meet(source, target, group)
        ]

    def check_met(self) -> None:
        """All was quiet for `MET_WITHIN`: whoever must have a direct link has one."""
        for source, target in self.unmet():
            raise self.world.failure(f"{source.name} has no direct link with {target.name}", source.name, target.name)

    def watch(self) -> None:
        """Look for circles every now and then, for ever."""
        self._look_for_circles()
        self.world.after(LOOKED_EVERY, self.watch)

    def groups(self) -> list[Group]:
        """Nodes that must reach each other, by group."""
        left = [node for node in self.world.nodes.values() if node.alive and node not in self.revoked]
        groups: list[Group] = []
        while left:
            group, left = [left[0]], left[1:]
            for node in group:
                linked = [other for other in left if self.may_link(node, other)]
                group += linked
                left = [other for other in left if other not in linked]
            groups.append(group)
        return groups

    def may_link(self, one: SimNode, other: SimNode) -> bool:
        """True if one of the two could dial the other now, and knows where."""
        underlay = self.world.underlay
        return (
            underlay.carries(one.machine, other.machine)
            and underlay.carries(other.machine, one.machine)
            and (self._finds(one, other) or self._finds(other, one))
        )

    # Details

    def _must_meet(self, one: SimNode, other: SimNode, group: Group) -> bool:
        """True if a hole can be punched by what nodes in public, whom both have links with, tell them of themselves."""
        carries = self.world.underlay.carries
        seen = [
            node for node in group if node.machine.is_public and self.may_link(node, one) and self.may_link(node, other)
        ]
        return (
            bool(seen)
            and carries(one.machine, other.machine)
            and carries(other.machine, one.machine)
            and between(one.machine, other.machine) is Direct.MUST
        )

    def _nobody_meets_through_walls(self) -> None:
        for daemon in self.world.daemons():
            for end in daemon.standing.values():
                far = end.far.daemon
                if between(daemon.machine, far.machine) is Direct.CANNOT and end.link.whole():
                    names = daemon.node.name, far.node.name
                    raise self.world.failure(f"{names[0]} has a link with {names[1]}, whatever the NATs say", *names)

    def _finds(self, one: SimNode, other: SimNode) -> bool:
        answering = self.world.underlay.answering
        return any(answering(one.machine, address) is other.machine for address in self._addresses(one, other))

    def _addresses(self, one: SimNode, other: SimNode) -> Iterator[str]:
        yield from one.configured
        if kept := one.disk.peers.get(other.id):
            yield from kept[1]
        if self._lives.get(one.name) == one.disk.boot:
            yield from self._known.get(one.name, {}).get(other.name, ())

    def _learn(self) -> None:
        for group in self.groups():
            for node in group:
                before = self._known.get(node.name, {}) if self._lives.get(node.name) == node.disk.boot else {}
                self._known[node.name] = before | {other.name: other.machine.addresses for other in group}
                self._lives[node.name] = node.disk.boot

    def _all_reach_each_other(self, group: Group) -> None:
        for source, target in self._apart(group):
            way = [each.node.name for each in traffic.route(source.running, target.running)]
            raise self.world.failure(
                f"{source.name} does not reach {target.name} (gets as far as {' > '.join(way)})",
                *(source.name, target.name, *way),
            )

    def _apart(self, group: Group) -> Iterator[tuple[SimNode, SimNode]]:
        """Pairs of a group of which the first should reach the second and does not."""
        served = [node for node in group if self._serves(group, node)]
        for target in served:
            arrivals = traffic.Arrivals(target.running)
            for source in served:
                if source is not target and not arrivals.arrives(source.running):
                    yield source, target

    def _serves(self, group: Group, node: SimNode) -> bool:
        """True if somebody there holds a config at or above the node's floor."""
        floors = node.disk.floors
        numbers = [config.number for each in group if (config := each.running.mesh.statements.config)]
        return max(numbers, default=(-1, 0)) >= (floors.scribe_epoch, floors.generation)

    def _all_hold_the_same(self, group: Group) -> None:
        first, held = group[0], face.held(group[0].running.mesh)
        for other in group[1:]:
            for (what, ours), theirs in zip(held.items(), face.held(other.running.mesh).values(), strict=True):
                if ours != theirs:
                    differing = f"{what}: {_unlike(ours, theirs)}"
                    raise self.world.failure(
                        f"{first.name} and {other.name} hold different {differing}", first.name, other.name
                    )

    def _records_spread(self, groups: Sequence[Group]) -> None:
        """What somebody holds now, everybody who hears of it holds a little later: new ones are made all the time."""
        newest: list[dict[NodeId, tuple[int, int]]] = []
        for group in groups:
            all_held = [face.records(node.running.mesh) for node in group]
            abouts = dict.fromkeys(chain(*all_held))
            newest.append({about: max(held.get(about, NONE) for held in all_held) for about in abouts})
        self.world.run(SPREAD)
        for group, numbers in zip(groups, newest, strict=True):
            for node in group:
                held = face.records(node.running.mesh)
                late = [about for about, wanted in numbers.items() if held.get(about, NONE) < wanted]
                if late:
                    missing = ", ".join(f"{about[:SHORT_ID]} {numbers[about]}" for about in late[:4])
                    raise self.world.failure(f"{node.name} misses node records others hold: {missing}", node.name)

    def _nobody_reaches_the_revoked(self, group: Group) -> None:
        out = group[0].running.mesh.statements.revoked()
        for node in [each for each in self.revoked if each.alive and each.id in out]:
            to, arrivals = node.running, traffic.Arrivals(node.running)
            for other in group:
                if arrivals.arrives(other.running) or traffic.arrives(to, other.running):
                    raise self.world.failure(
                        f"{node.name} is revoked, and {other.name} talks to it", node.name, other.name
                    )

    def _nothing_went_back(self) -> None:
        for node in self.world.nodes.values():
            if not node.alive:
                continue
            floors = node.running.mesh.statements.newest()
            numbers = (floors.roles_epoch, floors.scribe_epoch, floors.generation)
            before, boot = self._held.get(node.name, ((), 0))
            if boot == node.disk.boot and numbers < before:
                raise self.world.failure(f"{node.name} held {before} and now holds {numbers}", node.name)
            self._held[node.name] = numbers, node.disk.boot

    def _look_for_circles(self) -> None:
        if self._swaps == self.world.swaps:
            circles: dict[tuple[object, ...], float] = self._circles
        else:
            self._swaps = self.world.swaps
            found = traffic.loops(self.world.daemons())
            circles = {circle: self._circles.get(circle, self.world.now) for circle in found}
        self._circles = circles
        for circle, since in circles.items():
            if self.world.now - since > LOOPS_LAST:
                target, names = circle
                raise self.world.failure(f"frames for {str(target)[:SHORT_ID]} run in a circle: {names}", *names)  # type: ignore[misc]


def _are_linked(one: SimNode, other: SimNode) -> bool:
    end = one.running.standing.get(other.id)
    return end is not None and end.link.delivers(end) and end.link.delivers(end.far)


def _unlike(ours: object, theirs: object) -> str:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        keys = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
        return ", ".join(f"{str(key)[:SHORT_ID]} {ours.get(key)} {theirs.get(key)}" for key in keys[:4])
    return f"{ours} {theirs}"
