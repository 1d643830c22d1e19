"""Who was heard on the LANs of this machine lately, and where each may be dialled.

Invariant: what is here was signed by the node it is about and is newer than all it said before; nodes that need not be
members, for anybody can make keys, have a small table of their own and never push a member out.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from pulse.core.messages import Beacon
from pulse.core.types import NodeId

SILENT_AFTER: Final = 240.0
"""Seconds after which a node is not on our LANs any more: three of its beacons are missing."""

MOST_MEMBERS: Final = 1024
"""Members kept; who was silent longest gives way."""

MOST_STRANGERS: Final = 64
"""The same of nodes whose certificates we do not hold."""

MOST_PLACES: Final = 4
"""Places of one node: IPv4 and IPv6 on two LANs."""


class Arrival(Enum):
    """What a beacon tells beside that its node is still there."""

    NOTHING = "nothing"
    COME = "it was not heard before, or elsewhere"
    RESTARTED = "it has another life"


@dataclass(frozen=True, slots=True)
class _Sighting:
    """What a node said last, from which places, and when."""

    beacon: Beacon
    places: tuple[str, ...]
    at: float

    def is_before(self, later: Beacon) -> bool:
        """True if that beacon is newer; a node that lost its boot count is told from an old beacon by its clock."""
        if later.boot == self.beacon.boot:
            return later.seq > self.beacon.seq
        return later.boot > self.beacon.boot or later.clock > self.beacon.clock

    def lacks(self, same: Beacon, place: str) -> bool:
        """True if that very beacon came from one more place, as over IPv6 after IPv4."""
        numbers = (same.boot, same.seq) == (self.beacon.boot, self.beacon.seq)
        return numbers and place not in self.places and len(self.places) < MOST_PLACES


@dataclass(slots=True)
class Heard:
    """The nodes by id, those silent longest first."""

    _members: dict[NodeId, _Sighting] = field(default_factory=dict)
    _strangers: dict[NodeId, _Sighting] = field(default_factory=dict)

    def is_news(self, node: NodeId, beacon: Beacon, place: str) -> bool:
        """True if nothing newer, and not just this, was heard of that node."""
        last = self._get(node)
        return last is None or last.is_before(beacon) or last.lacks(beacon, place)

    def is_believed(self, node: NodeId, beacon: Beacon) -> bool:
        """True if just this was believed before, so that nobody need look at its signature again."""
        last = self._get(node)
        return last is not None and last.beacon == beacon

    def take(self, node: NodeId, beacon: Beacon, place: str, now: float, *, is_member: bool) -> Arrival:
        """The node was heard, and it is news."""
        last = self._get(node)
        self.forget(node)
        places = (*last.places, place) if last and last.lacks(beacon, place) else (place,)
        table, most = (self._members, MOST_MEMBERS) if is_member else (self._strangers, MOST_STRANGERS)
        table[node] = _Sighting(beacon, places, now)
        if len(table) > most:
            del table[next(iter(table))]
        if last is not None and last.beacon.boot != beacon.boot:
            return Arrival.RESTARTED
        stayed = last is not None and (last.beacon.seq == beacon.seq or place in last.places)
        return Arrival.NOTHING if stayed else Arrival.COME

    def forget(self, node: NodeId) -> None:
        """Drop what was heard of a node."""
        self._members.pop(node, None)
        self._strangers.pop(node, None)

    def forget_silent(self, now: float) -> None:
        """Drop who was not heard for long."""
        for table in (self._members, self._strangers):
            for node in [node for node, last in table.items() if last.at + SILENT_AFTER <= now]:
                del table[node]

    def places_of(self, node: NodeId) -> tuple[str, ...]:
        """Where a node was when it was heard last; nowhere if it was not."""
        last = self._get(node)
        return last.places if last else ()

    def members(self) -> Collection[NodeId]:
        """The nodes whose certificates we hold."""
        return self._members.keys()

    def __len__(self) -> int:
        """Nodes heard lately."""
        return len(self._members) + len(self._strangers)

    def _get(self, node: NodeId) -> _Sighting | None:
        return self._members.get(node) or self._strangers.get(node)
