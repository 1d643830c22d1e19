"""Through which node each approved range beyond the mesh is reached.

Healthy exits go before others, then the nearest, and the one in use stays while it is healthy. Invariant: a range
that is approved is never left to the network below: while no exit of it is healthy its packets are refused.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pulse.core.effects import RangeUse
from pulse.core.network.ranges import Range, range_of
from pulse.core.network.routes import Route, is_approved
from pulse.core.trust.identity import node_from_bytes
from pulse.core.types import NodeId


class Offer(NamedTuple):
    """A range that a node says it leads to."""

    node: NodeId
    tags: tuple[str, ...]
    cidr: Range
    score: float | None
    """How far it is; None while nothing leads there."""


@dataclass(slots=True)
class Exits:
    """The exits in use on this node, and which exits failed."""

    _used: dict[Range, NodeId] = field(default_factory=dict)
    _sick: set[NodeId] = field(default_factory=set)

    # Facts

    def judged(self, node: NodeId, *, healthy: bool) -> bool:
        """An exit answered, or failed to; True if that is news."""
        if healthy is (node not in self._sick):
            return False
        if healthy:
            self._sick.discard(node)
        else:
            self._sick.add(node)
        return True

    def chosen(self, approved: Mapping[Range, Sequence[Offer]]) -> tuple[RangeUse, ...]:
        """Who is used from now on for each of these ranges, the first of equals by node id."""
        used: dict[Range, NodeId] = {}
        for cidr, offers in approved.items():
            fit = [each for each in offers if each.score is not None and each.node not in self._sick]
            if self._used.get(cidr) in {each.node for each in fit}:
                used[cidr] = self._used[cidr]
            elif fit:
                used[cidr] = min(fit, key=lambda each: (each.score or 0.0, each.node)).node
        self._used = used
        self._sick &= {each.node for offers in approved.values() for each in offers}
        return tuple(RangeUse(str(cidr), used.get(cidr)) for cidr in approved)

    # Queries

    def user_of(self, cidr: Range) -> NodeId | None:
        """The exit in use for a range."""
        return self._used.get(cidr)

    def is_sick(self, node: NodeId) -> bool:
        """True for an exit that failed."""
        return node in self._sick


def approved_offers(
    offers: Iterable[Offer],
    routes: Sequence[Route],
    auto: Mapping[str, str],
    revoked: frozenset[NodeId],
    ours: frozenset[Range],
) -> dict[Range, list[Offer]]:
    """Approved ranges in a fixed order, and who may lead there; `ours` lie behind this node itself.

    One that the scribe approved is there though nobody offers it: it is not to be reached otherwise meanwhile.
    """
    found: dict[Range, list[Offer]] = {}
    for each in routes:
        cidr = range_of(each.announced)
        if each.approved and cidr is not None and node_from_bytes(each.node) not in revoked:
            found.setdefault(cidr, [])
    for offer in offers:
        if is_approved(offer.node, offer.tags, offer.cidr, routes, auto):
            found.setdefault(offer.cidr, []).append(offer)
    ordered = sorted((cidr for cidr in found if cidr not in ours), key=lambda each: (each.version, str(each)))
    return {cidr: found[cidr] for cidr in ordered}
