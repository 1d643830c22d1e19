"""A mesh on paper: numbered nodes, the links between them, and what each node knows and decides."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from pulse.core.effects import Hop
from pulse.core.paths.graph import Graph, OwnLink, Told, build
from pulse.core.paths.linkstate import LinkState
from pulse.core.paths.news import GraphChanged, Outcome
from pulse.core.paths.noderecord import HUB, REACHABLE, NodeRecord
from pulse.core.paths.pins import Standing
from pulse.core.paths.routing import Routing
from pulse.core.types import LinkId, NodeId

Figures = tuple[float, float]
"""Round trip in seconds, loss from 0 to 1."""


def who(number: int) -> NodeId:
    """The node with that number."""
    return NodeId(f"{number:04x}" * 16)


def number(node: NodeId) -> int:
    """The number of a node."""
    return int(node[:4], 16)


def handle(number: int) -> IPv4Address:
    """Its handle."""
    return IPv4Address("10.100.0.0") + number


def record(
    of: int,
    links: Mapping[int, Figures] | None = None,
    *,
    hub: bool = False,
    reachable: bool = False,
    candidates: tuple[str, ...] = (),
) -> NodeRecord:
    """What node `of` announces, as if checked: its neighbours by number, with round trip and loss of each."""
    neighbours = b"".join(
        struct.pack(">4sHB", handle(each).packed, round(rtt * 10_000), round(loss * 255))
        for each, (rtt, loss) in (links or {}).items()
    )
    return NodeRecord(
        data=b"",
        node=who(of),
        handle=handle(of),
        certificate=b"",
        boot=1,
        seq=1,
        candidates=candidates,
        flags=(HUB if hub else 0) | (REACHABLE if reachable else 0),
        exits=(),
        services=(),
        neighbours=neighbours,
        chain=0,
        version="",
    )


def link(to: int) -> LinkId:
    """Our link with a node."""
    return LinkId(1000 + to)


@dataclass
class Atlas:
    """Links between nodes, each announced by both of its ends unless it is kept silent."""

    links: dict[tuple[int, int], Figures] = field(default_factory=dict)
    hubs: set[int] = field(default_factory=set)
    silent: set[tuple[int, int]] = field(default_factory=set)
    """Who does not announce a link with whom."""

    def join(self, one: int, other: int, ms: float = 10.0, loss: float = 0.0) -> "Atlas":
        """Draw a link."""
        self.links[one, other] = (ms / 1000, loss)
        return self

    def nodes(self) -> set[int]:
        """Everybody with a link."""
        return {end for ends in self.links for end in ends}

    def around(self, node: int) -> dict[int, Figures]:
        """The links of a node."""
        ends = {(one, other): figures for (one, other), figures in self.links.items() if node in (one, other)}
        return {other if one == node else one: figures for (one, other), figures in ends.items()}

    def record(self, node: int) -> NodeRecord:
        """What a node announces."""
        told = {other: figures for other, figures in self.around(node).items() if (node, other) not in self.silent}
        return record(node, told, hub=node in self.hubs)

    def graph(self, me: int = 0) -> Graph:
        """The graph one of them has in mind."""
        told = {who(each): Told.of(self.record(each)) for each in sorted(self.nodes())}
        own = {who(each): OwnLink(link(each), *figures, False) for each, figures in self.around(me).items()}
        return build(who(me), told, own)


class Mind:
    """What one node of an atlas knows and decides, told line by line."""

    def __init__(self, atlas: Atlas, me: int = 0) -> None:
        self.me = me
        self.now = 1000.0
        self.linkstate = LinkState(who(me))
        self.routing = Routing(self.linkstate.graph)
        self.outcomes: list[object] = []
        for each in sorted(atlas.nodes()):
            self.linkstate.record_accepted(atlas.record(each), self.now)
        for other, (rtt, loss) in atlas.around(me).items():
            self.opened(other)
            self.measured(other, rtt * 1000, loss)
        self.passed(1.0)

    def opened(self, other: int, as_link: LinkId | None = None) -> None:
        self.linkstate.link_opened(as_link or link(other), who(other), self.now)

    def closed(self, other: int) -> None:
        self.linkstate.link_closed(link(other), self.now)

    def measured(self, other: int, ms: float, loss: float = 0.0) -> None:
        self.linkstate.sampled(link(other), ms / 1000, loss)

    def link_suspected(self, other: int, *, suspect: bool = True) -> None:
        self.linkstate.link_suspected(link(other), suspect)

    def path_suspected(self, to: int, first: int, *, suspect: bool = True) -> None:
        self.outcomes += self.routing.path_suspected(who(to), link(first), suspect, self.now)

    def pinned(self, *pins: tuple[int, int]) -> list[object]:
        """A person pins nodes to neighbours; these are all pins. What came of it at once."""
        self.routing.pins_changed({who(node): who(via) for node, via in pins}, self.now)
        return self.passed(0.0)

    def standing(self, to: int) -> Standing | None:
        """How the pin of a node stands."""
        pin = self.routing.pin_of(who(to))
        return pin.standing if pin else None

    def told(self, record: NodeRecord) -> None:
        self.linkstate.record_accepted(record, self.now)

    def passed(self, seconds: float = 0.1) -> list[object]:
        """Time passes, in steps of the machines' own choosing; what came of it."""
        until = self.now + seconds
        self.outcomes = []
        while (due := self._deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            self._tick()
        self.now = until
        self._tick()
        return self.outcomes

    def hops(self, to: int) -> tuple[Hop, ...]:
        return self.routing.routes().get(who(to), ())

    def shares(self, to: int) -> dict[int, int]:
        """Neighbour to weight, best first."""
        return {hop.link - 1000: hop.weight for hop in self.hops(to)}

    def best(self, to: int) -> int:
        """The neighbour that gets most of what is for `to`."""
        return next(iter(self.shares(to)))

    def _deadline(self) -> float | None:
        dues = [each for each in (self.linkstate.deadline(), self.routing.deadline()) if each is not None]
        return min(dues, default=None)

    def _tick(self) -> None:
        told: list[Outcome] = self.linkstate.tick(self.now)
        for each in told:
            if isinstance(each, GraphChanged):
                self.outcomes += self.routing.graph_changed(each.graph, self.now)
            else:
                self.outcomes.append(each)
        self.outcomes += self.routing.tick(self.now)


def triangle(direct: float = 20.0, first: float = 15.0, second: float = 15.0) -> Mind:
    """Node 0 with a link to node 1, and another way to it over node 2; figures in ms."""
    return Mind(Atlas().join(0, 1, ms=direct).join(0, 2, ms=first).join(1, 2, ms=second))


def diamond(one: float = 10.0, other: float = 10.0) -> Mind:
    """Node 0 and node 3, with nodes 1 and 2 in between, each so many ms from us and 10 ms from it."""
    return Mind(Atlas().join(0, 1, ms=one).join(0, 2, ms=other).join(1, 3, ms=10).join(2, 3, ms=10))
