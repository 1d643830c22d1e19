"""From the graph to routes: which links lead to which node, and in which shares.

Invariant: a node has a route exactly while counted links lead to it, so the data plane says so instead of
guessing; and tables change only when it matters.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from pulse.core.effects import DEBUG, Effect, Hop, Log
from pulse.core.paths.choice import Choice, choose
from pulse.core.paths.doubts import Doubts
from pulse.core.paths.graph import Graph, OwnLink
from pulse.core.paths.news import RoutesChanged
from pulse.core.paths.pins import Pin, Pins, Standing
from pulse.core.paths.shares import FULL_SHARE
from pulse.core.paths.ways import Survey, Way, survey
from pulse.core.types import SHORT_ID, LinkId, NodeId

SAMPLE_GAP: Final = 1.0
"""Seconds between two looks that count as samples, at least."""

SAMPLE_PACE: Final = 0.005
"""The same for each node of the mesh."""

PACE: Final = 0.0005
"""Seconds a node of the mesh between two looks of our own accord: holds of many paths end one after the other."""

MOST_KEPT: Final = 16
"""Ways to one node that are weighed."""

MOST_DETOURS: Final = 4
"""Sets of suspect neighbours around which other ways are sought at one time: each costs a tree."""


@dataclass(frozen=True, slots=True)
class Path:
    """One way to a node, as people and other machines see it."""

    link: LinkId
    """Our first link."""
    via: NodeId | None
    """Whose link that is, if it is not the node itself."""
    hops: tuple[NodeId, ...]
    """Every node on the way, the last one included."""
    latency: float
    """Round trip in seconds, from end to end."""
    loss: float
    score: float
    last: bool = False
    """That neighbour sends over its own link to the node, whatever its own best path is."""

    @property
    def direct(self) -> bool:
        """Nobody is in between."""
        return self.via is None


class _Route(NamedTuple):
    """What is kept for one node."""

    choice: Choice
    hops: tuple[Hop, ...]
    path: Path
    is_pinned: bool
    """A pin chose it."""


class Routing:
    """The best ways to every node, slow to change for the better and quick to leave what fails."""

    def __init__(self, graph: Callable[[], Graph]) -> None:
        """`graph` tells the counted links as they are when it is called."""
        self._graph = graph
        self._doubts = Doubts()
        self._pins = Pins()
        self._routes: dict[NodeId, _Route] = {}
        self._own: dict[NodeId, OwnLink] = {}
        """The link that served each neighbour at the last look."""
        self._sampled = self._weighed = float("-inf")
        self._due: float | None = None

    # Facts

    def graph_changed(self, graph: Graph, now: float) -> list[Effect | RoutesChanged]:
        """Links or their figures changed."""
        own = {graph.nodes[number]: link for number, link in graph.own.items()}
        self._doubts.links_seen(self._own, own, now)
        self._own = own
        return self._weigh(graph, now)

    def path_suspected(self, node: NodeId, link: LinkId, suspect: bool, now: float) -> list[Effect | RoutesChanged]:
        """What is sent to `node` over this link of ours does not arrive, or does again."""
        first = next((each for each, serving in self._own.items() if serving.link == link), None)
        if first is not None and self._doubts.path_suspected(node, first, suspect, now):
            self._due = max(now, self._weighed + PACE * len(self._routes))
            fields = {"node": node[:SHORT_ID], "via": first[:SHORT_ID]}
            return [Log("path suspect" if suspect else "path recovered", DEBUG, fields)]
        return []

    def pins_changed(self, vias: Mapping[NodeId, NodeId], now: float) -> list[Effect | RoutesChanged]:
        """A person pinned nodes, or took pins back: these are all, node to the neighbour to reach it by."""
        self._pins.changed(vias)
        self._due = now
        return []

    # The machine's face

    def deadline(self) -> float | None:
        """When a hold ends, or when a change of mind wants another sample."""
        return self._due

    def tick(self, now: float) -> list[Effect | RoutesChanged]:
        """Weigh everything again if it is time."""
        return self._weigh(self._graph(), now) if self._due is not None and now >= self._due else []

    # Queries

    def routes(self) -> dict[NodeId, tuple[Hop, ...]]:
        """The hops towards every node that can be reached, best first, at last the backup with weight 0."""
        return {node: route.hops for node, route in self._routes.items()}

    def path_to(self, node: NodeId) -> Path | None:
        """The best path to `node`."""
        route = self._routes.get(node)
        return route.path if route else None

    def pin_of(self, node: NodeId) -> Pin | None:
        """The pin of `node`, and how it stands."""
        return self._pins.of(node)

    # Details

    def _weigh(self, graph: Graph, now: float) -> list[Effect | RoutesChanged]:
        seen = survey(graph, self._pins.neighbours())
        gap = max(SAMPLE_GAP, SAMPLE_PACE * len(graph.nodes))
        counts = now >= self._sampled + gap
        if counts:
            self._sampled = now
        self._weighed = now
        self._doubts.passed(now)
        pinned = self._pinned(seen)
        self._add_detours(seen)
        before, self._routes = self._routes, {}
        outcomes: list[Effect | RoutesChanged] = []
        changed = False
        for number in seen.mine.order:
            node = graph.nodes[number]
            old = before.pop(node, None)
            new = self._routes[node] = self._route(seen, number, old, pinned.get(node), now, counts=counts)
            changed = changed or old is None or new.hops is not old.hops
            if old is not None and old.path.direct is not new.path.direct:
                outcomes.append(_moved(node, new.path))
        outcomes += self._judged(pinned)
        wake = self._next_wake(now, self._sampled + gap)
        self._due = None if wake is None else max(wake, now + PACE * len(self._routes))
        return [*outcomes, *([RoutesChanged()] if changed or before else [])]

    def _route(
        self, seen: Survey, number: int, old: _Route | None, pinned: Way | None, now: float, *, counts: bool
    ) -> _Route:
        node = seen.graph.nodes[number]
        fit, rest = self._doubts.sorted_out(node, seen.ways[number], MOST_KEPT)
        choice = choose(fit, old.choice if old else None, now, counts=counts)
        shares = choice.share(fit, rest, now, counts=counts)
        followed = pinned is not None and self._doubts.is_as_good(node, pinned.neighbour, fit[0].neighbour)
        if pinned is not None and followed:
            spare = next((way for way, _ in shares if way.neighbour != pinned.neighbour), None)
            shares = [(pinned, FULL_SHARE), *([(spare, 0)] if spare else [])]
        hops = tuple(Hop(way.link, weight, way.last) for way, weight in shares)
        if old is not None and hops == old.hops:
            hops = old.hops
        return _Route(choice, hops, _path(seen, shares[0][0], number), followed)

    def _pinned(self, seen: Survey) -> dict[NodeId, Way]:
        """The ways that pins name, as far as they are there; before detours are among them, which may lead back."""
        if not (vias := self._pins.all()):
            return {}
        wanted = (
            (number, node, vias[node]) for number in seen.mine.order if (node := seen.graph.nodes[number]) in vias
        )
        found = ((node, seen.pinned(number, via)) for number, node, via in wanted)
        return {node: way for node, way in found if way is not None}

    def _judged(self, pinned: Mapping[NodeId, Way]) -> list[Log]:
        """What to say of pins that stand otherwise than before."""
        standings = {node: self._stands(node, via, pinned) for node, via in self._pins.all().items()}
        return [log for node, standing in standings.items() for log in self._pins.stands(node, standing)]

    def _stands(self, node: NodeId, via: NodeId, pinned: Mapping[NodeId, Way]) -> Standing:
        if node in pinned:
            return Standing.FOLLOWED if self._routes[node].is_pinned else Standing.FAILED
        return Standing.NO_WAY if via in self._own and via != node else Standing.NOT_LINKED

    def _add_detours(self, seen: Survey) -> None:
        stuck: dict[frozenset[NodeId], list[int]] = {}
        for number in seen.mine.order:
            node = seen.graph.nodes[number]
            if self._doubts.all_suspect(node, seen.ways[number]):
                stuck.setdefault(self._doubts.shunned(node), []).append(number)
        for shunned, numbers in sorted(stuck.items(), key=lambda each: -len(each[1]))[:MOST_DETOURS]:
            for number, way in seen.detours(numbers, shunned):
                seen.ways[number].append(way)

    def _next_wake(self, now: float, next_sample: float) -> float | None:
        wakes = (route.choice.next_wake(next_sample) for route in self._routes.values())
        held = self._doubts.next_change(now)
        return min((wake for wake in (*wakes, held) if wake is not None), default=None)


def _path(seen: Survey, way: Way, number: int) -> Path:
    via = None if way.direct else way.neighbour
    return Path(way.link, via, seen.route(way, number), way.latency, way.loss, way.score, way.last)


def _moved(node: NodeId, path: Path) -> Log:
    via = "" if path.via is None else path.via[:SHORT_ID]
    return Log("path changed", DEBUG, {"node": node[:SHORT_ID], "via": via})
