"""Where a frame would go now: the tables followed hop by hop, as the data plane follows them (protocol §4).

Invariant: an answer is "yes" only if every flow gets there, whichever of the viable hops its hash falls on.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address
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


class Arrivals:
    """Who reaches one daemon; answers are kept, so ask a new one after anything changed."""

    def __init__(self, target: "Daemon") -> None:
        self.target = target
        self._handle = target.mesh.me.addresses.v4
        self._known: dict[tuple[int, int, bool], bool] = {}
        """Daemon, the one it came from, flag LAST: whether it gets there. False while it is being worked out."""

    def arrives(self, source: "Daemon") -> bool:
        """True if every flow of `source` gets to the target, and is let in there."""
        return (
            self.target.id in source.admitted
            and source.id in self.target.admitted
            and self._gets_on(source, None, last=False, hops=0)
        )

    def _gets_on(self, at: "Daemon", came: "Daemon | None", *, last: bool, hops: int) -> bool:
        if at is self.target:
            return True
        if hops >= MOST_HOPS:
            return False
        key = (id(at), id(came), last)
        if key not in self._known:
            self._known[key] = False
            steps = [*self._steps(at, came, last=last)]
            self._known[key] = bool(steps) and all(self._arrives_by(step, at, hops) for step in steps)
        return self._known[key]

    def _steps(self, at: "Daemon", came: "Daemon | None", *, last: bool) -> Iterator[Step]:
        if last:
            end = at.standing.get(self.target.id)
            return iter([Step(end, False)] if end else [])
        return (step for step in choices(at, self._handle) if step.end.far.daemon is not came)

    def _arrives_by(self, step: Step, at: "Daemon", hops: int) -> bool:
        far = step.end.far.daemon
        return (
            step.end.link.delivers(step.end)
            and not (far.deaf and far is not self.target)
            and self._gets_on(far, at, last=step.last, hops=hops + 1)
        )


def arrives(source: "Daemon", target: "Daemon") -> bool:
    """True if every flow from `source` reaches `target` now."""
    return Arrivals(target).arrives(source)


def choices(at: "Daemon", handle: IPv4Address) -> list[Step]:
    """The hops a flow for `handle` may be hashed to: no suspect ones while there are others, backups last of all."""
    usable = [(hop, end) for hop in at.tables.routes.get(handle, ()) if (end := at.ends.get(hop.link)) is not None]
    return [Step(end, hop.last) for hop, end in min(_tiers(usable), key=_rank, default=[])]


def _tiers(usable: list[tuple[Hop, "End"]]) -> list[list[tuple[Hop, "End"]]]:
    tiers: dict[tuple[bool, bool], list[tuple[Hop, End]]] = {}
    for hop, end in usable:
        tiers.setdefault((end.suspect, hop.weight == 0), []).append((hop, end))
    return [*tiers.values()]


def _rank(tier: list[tuple[Hop, "End"]]) -> tuple[bool, bool]:
    hop, end = tier[0]
    return end.suspect, hop.weight == 0


def route(source: "Daemon", target: "Daemon") -> list["Daemon"]:
    """The daemons a flow passes on its best way, both ends included; what there is of it if it does not arrive."""
    handle, way, at, last = target.mesh.me.addresses.v4, [source], source, False
    while at is not target and len(way) <= MOST_HOPS:
        steps = choices(at, handle)
        if last:
            steps = [Step(end, False)] if (end := at.standing.get(target.id)) else []
        ahead = [step for step in steps if step.end.far.daemon not in way and step.end.link.delivers(step.end)]
        if not ahead:
            break
        at, last = ahead[0].end.far.daemon, ahead[0].last
        way.append(at)
    return way


def latency(source: "Daemon", target: "Daemon") -> float:
    """Seconds one way over the best way."""
    way = route(source, target)
    underlay = source.world.underlay
    return sum(underlay.delay(one.machine, other.machine) for one, other in zip(way, way[1:], strict=False))


def loops(daemons: list["Daemon"]) -> list[tuple[NodeId, tuple[str, ...]]]:
    """Every circle frames could run in: destination, and the names on it from the least one on."""
    found: dict[tuple[NodeId, tuple[str, ...]], None] = {}
    for target in daemons:
        for circle in _circles(daemons, target):
            found[target.id, circle] = None
    return [*found]


def _circles(daemons: list["Daemon"], target: "Daemon") -> Iterator[tuple[str, ...]]:
    handle = target.mesh.me.addresses.v4
    done: dict[int, None] = {id(target): None}
    for start in daemons:
        trail: list[Daemon] = []
        places: dict[int, int] = {}
        pending: list[tuple[Daemon, int]] = [(start, 0)]
        while pending:
            at, depth = pending.pop()
            for left in trail[depth:]:
                places.pop(id(left))
                done[id(left)] = None
            del trail[depth:]
            if id(at) in places:
                yield _from_least([each.node.name for each in trail[places[id(at)] :]])
                continue
            if id(at) in done:
                continue
            places[id(at)] = depth
            trail.append(at)
            pending += [(step.end.far.daemon, depth + 1) for step in choices(at, handle) if not step.last]
        for left in trail:
            done[id(left)] = None


def _from_least(names: list[str]) -> tuple[str, ...]:
    first = names.index(min(names))
    return (*names[first:], *names[:first])
