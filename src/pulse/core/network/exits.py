"""Through which node each approved range beyond the mesh is reached.

Healthy exits go before others, then the nearest, and the one in use stays while it is healthy; each is asked again and
again whether it is. Invariant: a range that is approved is never left to the network below: while no exit of it is
healthy its packets are refused.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from pulse.core.cidr import Range, range_of
from pulse.core.effects import INFO, AskExit, Log, RangeUse
from pulse.core.network.routes import Route, is_approved
from pulse.core.types import SHORT_ID, NodeId

PACE: Final = 0.7
"""Seconds between two questions to an exit in use, and how long it has to answer."""

PACE_A_NODE: Final = 0.005
"""The same for each node of the mesh: all of them ask one exit."""

SPARE_PACE: Final = 5.0
"""Seconds between two questions to one that is not in use, or failed."""

MISSES: Final = 2
"""Questions without a good answer after which an exit has failed: 2.1 s at most with the pace of a small mesh."""


LONGEST: Final = 1024
"""Bytes of an answer of an exit at most."""

_WELL, _ILL, _PARTLY = b"\x01", b"\x00", b"\x02"
"""An exit's answers; behind the last stand the ranges that lead nowhere, a line each."""


class Offer(NamedTuple):
    """A range that a node says it leads to."""

    node: NodeId
    tags: tuple[str, ...]
    cidr: Range
    score: float | None
    """How far it is; None while nothing leads there."""


@dataclass(slots=True)
class Exits:
    """The exits in use on this node, when each is asked next, and which failed."""

    members: Callable[[], int] = lambda: 1
    """How many nodes the mesh has."""
    _used: dict[Range, NodeId] = field(default_factory=dict, init=False)
    _sick: set[NodeId] = field(default_factory=set, init=False)
    _misses: dict[NodeId, int] = field(default_factory=dict, init=False)
    """Of each that something leads to: questions since its last good answer that it did not answer well."""
    _shut: dict[NodeId, frozenset[Range]] = field(default_factory=dict, init=False)
    """Ranges of a healthy one that lead nowhere behind it."""
    _due: dict[NodeId, float] = field(default_factory=dict, init=False)

    # Facts

    def answered(self, node: NodeId, *, well: bool, shut: Iterable[str] = ()) -> list[Log]:
        """An exit that was asked says that it is well, but for ranges that are shut, or says not.

        Somebody else may be chosen for whatever that changes.
        """
        if node not in self._misses:
            return []
        self._misses[node] = 0 if well else self._misses[node] + 1
        who = {"node": node[:SHORT_ID]}
        if not well:
            if self._misses[node] < MISSES or node in self._sick:
                return []
            self._sick.add(node)
            return [Log("exit failed", INFO, who)]
        told = []
        if node in self._sick:
            self._sick.discard(node)
            told.append(Log("exit healthy", INFO, who))
        ranges = frozenset(each for each in map(range_of, shut) if each is not None)
        if ranges != self._shut.get(node, frozenset()):
            self._shut[node] = ranges
            told.append(Log("exit ranges changed", INFO, who | {"shut": len(ranges)}))
        return told

    def chosen(self, approved: Mapping[Range, Sequence[Offer]]) -> tuple[RangeUse, ...]:
        """Who is used from now on for each of these ranges, the first of equals by node id."""
        used: dict[Range, NodeId] = {}
        for cidr, offers in approved.items():
            fit = [each for each in offers if each.score is not None and not self.is_sick(each.node, cidr)]
            if self._used.get(cidr) in {each.node for each in fit}:
                used[cidr] = self._used[cidr]
            elif fit:
                used[cidr] = min(fit, key=lambda each: (each.score or 0.0, each.node)).node
        fresh = {*used.values()} - {*self._used.values()}
        self._used = used
        self._sick &= {each.node for offers in approved.values() for each in offers}
        known = {each.node for offers in approved.values() for each in offers if each.score is not None}
        self._misses = {node: self._misses.get(node, 0) for node in known}
        self._shut = {node: shut for node, shut in self._shut.items() if node in known}
        # One that is used from now on is asked at once, whatever it said as a spare one.
        self._due = {node: 0.0 if node in fresh else self._due.get(node, 0.0) for node in known}
        return tuple(RangeUse(str(cidr), used.get(cidr)) for cidr in approved)

    # Time

    def deadline(self) -> float | None:
        """When the next one is to be asked."""
        return min(self._due.values(), default=None)

    def tick(self, now: float) -> list[AskExit]:
        """Ask those whose time has come."""
        pace = max(PACE, PACE_A_NODE * self.members())
        used = {*self._used.values()}
        due = sorted(node for node, at in self._due.items() if at <= now)
        self._due |= {node: now + (pace if node in used else max(pace, SPARE_PACE)) for node in due}
        return [AskExit(node, PACE) for node in due]

    # Queries

    def user_of(self, cidr: Range) -> NodeId | None:
        """The exit in use for a range."""
        return self._used.get(cidr)

    def is_sick(self, node: NodeId, cidr: Range) -> bool:
        """True for an exit that failed, or for which that range leads nowhere."""
        return bool(self.failure(node, cidr))

    def failure(self, node: NodeId, cidr: Range) -> str:
        """Why nobody gets there through that exit, as a word for people; empty if they do."""
        if node in self._sick:
            return "it says that it is not well, or nothing"
        return "its machine has no route there" if cidr in self._shut.get(node, ()) else ""


def approved_offers(
    offers: Iterable[Offer],
    routes: Sequence[Route],
    auto: Mapping[str, str],
    ours: frozenset[Range],
) -> dict[Range, list[Offer]]:
    """Approved ranges in a fixed order, and who may lead there; `ours` lie behind this node itself.

    One that the scribe approved is there though nobody offers it, be it as its node is revoked: till the route is
    removed nobody is to get there otherwise.
    """
    found: dict[Range, list[Offer]] = {}
    for each in routes:
        cidr = range_of(each.announced)
        if each.approved and cidr is not None:
            found.setdefault(cidr, [])
    for offer in offers:
        if is_approved(offer.node, offer.tags, offer.cidr, routes, auto):
            found.setdefault(offer.cidr, []).append(offer)
    ordered = sorted((cidr for cidr in found if cidr not in ours), key=lambda each: (each.version, str(each)))
    return {cidr: found[cidr] for cidr in ordered}


def health(served: Sequence[str], shut: Sequence[str]) -> bytes:
    """What an exit answers that serves these ranges, of which some lead nowhere behind it."""
    if len(shut) == len(served):
        return _ILL
    return _PARTLY + "\n".join(shut).encode() if shut else _WELL


def read_health(answer: bytes) -> tuple[bool, tuple[str, ...]]:
    """Whether an exit that answered so is well, and which ranges of it are shut; whatever else it said is no."""
    if answer[:1] == _PARTLY and len(answer) <= LONGEST:
        return True, tuple(answer[1:].decode("ascii", "replace").split("\n"))
    return answer == _WELL, ()
