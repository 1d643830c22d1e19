"""The graph of counted links as whole numbers: built when it is needed, thrown away after use.

Nodes are numbered, we are number 0. Invariant: of what others announce only counted links are in it: both ends
say so (the worse figures hold), or one does and the other is a hub, which cannot list all it has; our own links
are in it exactly as long as they are up.
"""

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Final, NamedTuple

from pulse.core.paths.noderecord import UNMEASURED, NodeRecord
from pulse.core.paths.scores import MICRO, cost, micro
from pulse.core.types import LinkId, NodeId

ME: Final = 0
"""Our own number."""

GUESSED: Final = 50_000
"""µs that stand for an announced link nobody has measured yet."""

_NOT_MEASURED: Final = micro(UNMEASURED)

Edge = tuple[int, int, int, int]
"""One direction of a link: the other node, cost, round trip in µs, loss in millionths."""


class OwnLink(NamedTuple):
    """The link that serves a neighbour, with our own figures."""

    link: LinkId
    rtt: float
    """Seconds."""
    loss: float
    """From 0 to 1."""
    suspect: bool


@dataclass(frozen=True, slots=True)
class Told:
    """What a node's record says of its links, packed: kept for every known node."""

    handle: int
    hub: bool
    links: "array[int]"
    """Handle, round trip in µs and loss in millionths of each, one after the other."""

    @classmethod
    def of(cls, record: NodeRecord) -> "Told":
        """The part of a record that matters here."""
        triples = sorted((int(each.handle), micro(each.rtt), micro(each.loss)) for each in record.adjacencies())
        return cls(int(record.handle), record.hub, array("I", chain.from_iterable(triples)))

    def triples(self) -> Iterator[tuple[int, int, int]]:
        """Handle, round trip and loss of each link."""
        parts = iter(self.links)
        return zip(parts, parts, parts, strict=True)

    def ends(self) -> "array[int]":
        """The handles it announces a link with."""
        return self.links[::3]


@dataclass(frozen=True, slots=True)
class Graph:
    """All counted links at one moment."""

    nodes: list[NodeId]
    """Who has which number."""
    links: list[list[Edge]]
    """The links of each number."""
    own: dict[int, OwnLink]
    """Our neighbours' numbers and the link that serves each."""

    def reached(self) -> set[NodeId]:
        """Every node that counted links lead to, ourselves left out."""
        seen = {ME}
        fringe = [ME]
        while fringe:
            found = {edge[0] for number in fringe for edge in self.links[number]} - seen
            seen |= found
            fringe = list(found)
        return {self.nodes[number] for number in seen if number != ME}


_Figures = tuple[int, int]
"""Round trip in µs, loss in millionths."""


def build(me: NodeId, told: Mapping[NodeId, Told], own: Mapping[NodeId, OwnLink]) -> Graph:
    """The graph of what was told and of our own links; what we announce ourselves may be in `told` too."""
    others = [node for node in told if node != me]
    nodes = [me, *others, *(node for node in own if node not in told)]
    announced = _Announced(nodes, told)
    links: list[list[Edge]] = [[] for _ in nodes]
    for one, other, rtt, loss in announced.counted():
        _join(links, one, other, rtt, loss)
    number_of = {node: number for number, node in enumerate(nodes)}
    ours = {number_of[node]: link for node, link in own.items()}
    for number, link in ours.items():
        # Others reckon with the announced figures, so we do too: distances must be the same everywhere.
        rtt, loss = announced.figures(ME, number) or (micro(link.rtt), micro(link.loss))
        _join(links, ME, number, rtt, loss)
    return Graph(nodes, links, ours)


def _join(links: list[list[Edge]], one: int, other: int, rtt: int, loss: int) -> None:
    weight = cost(rtt, loss)
    links[one].append((other, weight, rtt, loss))
    links[other].append((one, weight, rtt, loss))


class _Announced:
    """Who said what of which link, by number."""

    def __init__(self, nodes: list[NodeId], told: Mapping[NodeId, Told]) -> None:
        self._size = len(nodes)
        self._hubs = [node in told and told[node].hub for node in nodes]
        places = _places(nodes, told)
        self._said: dict[int, _Figures] = {
            number * self._size + place: (rtt, loss)
            for number, node in enumerate(nodes)
            if node in told
            for handle, rtt, loss in told[node].triples()
            if (place := places.get(handle, number)) != number
        }

    def counted(self) -> Iterator[tuple[int, int, int, int]]:
        """Every counted link between two others, once: both ends and the figures."""
        size, said = self._size, self._said
        for key in said:
            one, other = divmod(key, size)
            if ME in (one, other) or (one > other and other * size + one in said):
                continue
            found = self.figures(one, other)
            if found is not None:
                yield one, other, *found

    def figures(self, one: int, other: int) -> _Figures | None:
        """The figures of a link that counts by what was announced; None if it does not."""
        forth = self._said.get(one * self._size + other)
        back = self._said.get(other * self._size + one)
        if forth is None or back is None:
            single = forth or back
            if single is None or not self._hubs[other if back is None else one]:
                return None
            forth = back = single
        rtt, loss = _worse(forth[0], back[0]), max(forth[1], back[1])
        return None if loss >= MICRO else (rtt, loss)


def _worse(one: int, other: int) -> int:
    if one >= _NOT_MEASURED:
        return other if other < _NOT_MEASURED else GUESSED
    return one if other >= _NOT_MEASURED or other < one else other


def _places(nodes: list[NodeId], told: Mapping[NodeId, Told]) -> dict[int, int]:
    """Who has which handle; of two that claim one it is the lower id, at every node alike."""
    places: dict[int, int] = {}
    for number, node in enumerate(nodes):
        if node in told:
            holder = places.setdefault(told[node].handle, number)
            if node < nodes[holder]:
                places[told[node].handle] = number
    return places
