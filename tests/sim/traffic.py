"""Where a frame would go now: the tables followed hop by hop, as the data plane follows them (protocol §4).

Invariant: an answer is "yes" only if every flow gets there, whichever of the viable hops its hash falls on.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from pulse.core.effects import Hop
from pulse.core.types import NodeId

if TYPE_CHECKING:
    from tests.sim.daemon import Daemon
    from tests.sim.link import End

MOST_HOPS = 15
"""A frame starts with ttl 16, and a hop that would leave 0 drops it."""


class Step(NamedTuple):
    """A frame about to leave by this end."""

    end: "End"
    last: bool


class Place(NamedTuple):
    """Where a frame is, and whom it came from."""

    at: "Daemon"
    came: "Daemon | None"


class Arrivals:
    """Who reaches one daemon; answers are kept, so ask a new one after anything changed."""

    def __init__(self, target: "Daemon") -> None:
        self.target = target
        self._known: dict[tuple[Place, bool], bool] = {}
        """By place and flag LAST, whether it gets there. False while it is being worked out."""

    def arrives(self, source: "Daemon") -> bool:
        """True if every flow of `source` gets to the target, and is let in there."""
        return self.target.id in source.admitted and source.id in self.target.admitted and self.meets(source)

    def meets(self, source: "Daemon") -> bool:
        """True if the two can hold a session, which needs no config yet."""
        return self._gets_on(source, None, last=False, hops=0)

    def gets_on_by(self, step: Step, at: "Daemon", hops: int = 0) -> bool:
        """True if what `at` sends by that hop gets there, or to whoever brings it there."""
        far = step.end.far.daemon
        return (
            step.end.link.delivers(step.end)
            and not (far.deaf and far is not self.target)
            and self._gets_on(far, at, last=step.last, hops=hops + 1)
        )

    def _gets_on(self, at: "Daemon", came: "Daemon | None", *, last: bool, hops: int) -> bool:
        if at is self.target:
            return True
        if hops >= MOST_HOPS:
            return False
        key = (Place(at, came), last)
        if key not in self._known:
            self._known[key] = False
            steps = [*self._steps(at, came, last=last)]
            self._known[key] = bool(steps) and all(self.gets_on_by(step, at, hops) for step in steps)
        return self._known[key]

    def _steps(self, at: "Daemon", came: "Daemon | None", *, last: bool) -> Iterator[Step]:
        if last:
            end = at.standing.get(self.target.id)
            return iter([Step(end, False)] if end else [])
        return iter(choices(at, self.target, came))


def arrives(source: "Daemon", target: "Daemon") -> bool:
    """True if every flow from `source` reaches `target` now."""
    return Arrivals(target).arrives(source)


def meet(one: "Daemon", other: "Daemon") -> bool:
    """True if the two can hold a session now."""
    return Arrivals(other).meets(one) and Arrivals(one).meets(other)


def hops(at: "Daemon", target: "Daemon") -> list[tuple[Hop, "End"]]:
    """Every way towards the target in the tables of `at` whose link is up."""
    table = at.tables.routes.get(target.mesh.me.addresses.v4, ())
    return [(hop, end) for hop in table if (end := at.ends.get(hop.link)) is not None]


def choices(at: "Daemon", target: "Daemon", came: "Daemon | None" = None) -> list[Step]:
    """The hops a flow may be hashed to, as `Routes::pick` chooses them in `tables.rs`.

    Never back; no suspect ones while there are others; backups only if no other is left.
    """
    tiers: dict[tuple[bool, bool], list[Step]] = {}
    for hop, end in hops(at, target):
        if end.far.daemon is not came:
            suspect = end.suspect or (target.id, end.id) in at.doubted
            tiers.setdefault((suspect, hop.weight == 0), []).append(Step(end, hop.last))
    return tiers[min(tiers)] if tiers else []


def route(source: "Daemon", target: "Daemon") -> list["Daemon"]:
    """The daemons a flow passes on its best way, both ends included; what there is of it if it does not arrive."""
    way, came, last = [source], None, False
    while way[-1] is not target and len(way) <= MOST_HOPS:
        at = way[-1]
        steps = choices(at, target, came)
        if last:
            steps = [Step(end, False)] if (end := at.standing.get(target.id)) else []
        if not steps or not steps[0].end.link.delivers(steps[0].end):
            break
        came, last = at, steps[0].last
        way.append(steps[0].end.far.daemon)
    return way


def latency(source: "Daemon", target: "Daemon") -> float:
    """Seconds one way over the best way."""
    way = route(source, target)
    underlay = source.world.underlay
    return sum(underlay.delay(one.machine, other.machine) for one, other in pairwise(way))


def loops(daemons: list["Daemon"]) -> list[tuple[NodeId, tuple[str, ...]]]:
    """Every circle frames could run in: destination, and the names on it from the least one on."""
    found: dict[tuple[NodeId, tuple[str, ...]], None] = {}
    for target in daemons:
        for circle in _circles(daemons, target):
            found[target.id, circle] = None
    return [*found]


def _circles(daemons: list["Daemon"], target: "Daemon") -> Iterator[tuple[str, ...]]:
    """A place on the way is a daemon and where the frame came from, for it never goes back there."""
    done: set[Place] = set()
    for start in daemons:
        trail: dict[Place, int] = {}
        pending: list[tuple[Daemon, Daemon | None, int]] = [(start, None, 0)]
        while pending:
            at, came, depth = pending.pop()
            for place in [*trail][depth:]:
                done.add(place)
                del trail[place]
            place = Place(at, came)
            if place in trail:
                yield _from_least([each.at.node.name for each in [*trail][trail[place] :]])
            elif place not in done and at is not target:
                trail[place] = depth
                ahead = choices(at, target, came)
                pending += [(step.end.far.daemon, at, depth + 1) for step in ahead if not step.last]
        done.update(trail)


def _from_least(names: list[str]) -> tuple[str, ...]:
    first = names.index(min(names))
    return (*names[first:], *names[:first])
