"""Places to dial: those a person named, whoever lives there, and those where a node was seen, or was heard on a LAN.

Invariant: what a person named is never forgotten; of the others the oldest gives way when the table is full; a place
where a node was merely heard is dialled once, and neither stands for another nor pushes it out.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from itertools import chain
from math import inf
from typing import Final

from pulse.core.paths.backoff import Backoff
from pulse.core.paths.endings import in_words
from pulse.core.types import NodeId

MOST_TARGETS: Final = 4096
"""Targets kept; the oldest learnt one without a link gives way."""

MOST_PLACES: Final = 4
"""Learnt addresses kept of one node, the newest: a peer that roams must not push the others out."""

MOST_HEARD: Final = 64
"""Places where a node was heard on a LAN that wait for their dial."""


@dataclass(slots=True)
class Target:
    """A place to dial: one a person named, whoever lives there, or one where a node was seen."""

    address: str
    configured: bool
    backoff: Backoff
    node: NodeId | None = None
    """Who was last met there."""
    next_try: float = 0.0
    dialling: bool = False
    ours: bool = False
    """We met ourselves there; a name or a floating address may lead elsewhere later."""
    heard: bool = False
    """The node only said so itself, on a LAN of ours: if it is not there, the place is forgotten."""
    last_error: str = ""

    @property
    def expect(self) -> NodeId | None:
        """Who must answer there: a machine that was set up anew behind a configured address is welcome."""
        return None if self.configured else self.node

    def take_off(self, _place: str) -> None:
        """It is being dialled."""
        self.dialling = True

    def landed(self, _place: str) -> None:
        """It is not any more."""
        self.dialling = False

    def parted(self, error: str, now: float) -> None:
        """It did not lead to a link, or the link it led to is gone."""
        self.last_error = in_words(error)
        self.next_try = now + self.backoff.next_delay()


@dataclass(frozen=True, slots=True)
class Hole:
    """Where probes of a node got through to us; what becomes of the dial is for others to mend."""

    node: NodeId
    attempt: int = 0
    """The one by birthday whose socket it is dialled from; 0 for the one we listen on."""

    @property
    def expect(self) -> NodeId:
        """Who must answer."""
        return self.node

    def take_off(self, place: str) -> None:
        """It is being dialled."""

    def landed(self, place: str) -> None:
        """It is not any more."""

    def plan(self, now: float) -> None:
        """It failed."""


@dataclass(slots=True)
class Targets:
    """All places, by address."""

    make_backoff: Callable[[], Backoff]
    is_idle: Callable[[Target], bool]
    """Nobody is linked with, or being dialled, at a target."""
    _all: dict[str, Target] = field(default_factory=dict)
    _heard: dict[tuple[NodeId, str], Target] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Target]:
        return chain(self._all.values(), self._heard.values())

    def get(self, address: str) -> Target | None:
        """What is known of a place."""
        return self._all.get(address)

    def name(self, address: str, now: float) -> None:
        """A person named a place: whoever was heard there is met by that."""
        self._heard = {key: target for key, target in self._heard.items() if target.address != address}
        target = self._all.get(address)
        if target is None:
            self._add(address, None, configured=True, now=now)
        else:
            target.configured = True

    def unname(self, address: str) -> None:
        """Nobody names that place any more: whoever was met there is looked for as others are."""
        target = self._all.get(address)
        if target is None:
            return
        target.configured = False
        if target.node is None:
            self.drop(target)

    def learn(self, node: NodeId, address: str, now: float) -> None:
        """`node` was seen at a place."""
        known = self._all.pop(address, None)
        if known is not None:
            # Put back as the newest: the oldest gives way.
            known.node = node
            self._all[address] = known
            return
        learnt = [each.address for each in self._all.values() if each.node == node and not each.configured]
        for oldest in learnt[: max(0, len(learnt) + 1 - MOST_PLACES)]:
            del self._all[oldest]
        self._add(address, node, configured=False, now=now)

    def hear(self, node: NodeId, address: str, now: float, lead: float) -> None:
        """`node` said at a place that it is there: dial it at once, `lead` seconds before its turn."""
        known = self._all.get(address)
        target = known if known and (known.configured or known.node == node) else self._heard.get((node, address))
        if target is None:
            target = self._heard[node, address] = Target(address, False, self.make_backoff(), node, heard=True)
            self._make_room_to_hear()
        target.backoff.reset()
        target.next_try = now - lead

    def banish(self, nodes: Collection[NodeId]) -> None:
        """Nobody is looked for any more where these nodes were seen."""
        for target in [each for each in self if each.node in nodes]:
            if target.configured:
                target.node = None
            else:
                self.drop(target)

    def drop(self, target: Target) -> None:
        """Forget this very target, unless its place has another by now."""
        if self._all.get(target.address) is target:
            del self._all[target.address]
        if target.node is not None and self._heard.get((target.node, target.address)) is target:
            del self._heard[target.node, target.address]

    def deadline(self) -> float | None:
        """When the first of those nobody is linked with is to be dialled."""
        due = inf
        for target in self:
            # Most have a link, and this is asked all the time: who cannot be the first is not looked at.
            if target.next_try < due and self.is_idle(target):
                due = target.next_try
        return due if due < inf else None

    def leading_to(self, node: NodeId) -> Iterator[Target]:
        """The places where `node` was met."""
        return (target for target in self if target.node == node)

    def _add(self, address: str, node: NodeId | None, *, configured: bool, now: float) -> None:
        has_room = len(self._all) < MOST_TARGETS or self._make_room()
        if has_room or configured:
            self._all[address] = Target(address, configured, self.make_backoff(), node, next_try=now)

    def _make_room(self) -> bool:
        victim = next((each for each in self._all.values() if not each.configured and self.is_idle(each)), None)
        if victim is None:
            return False
        del self._all[victim.address]
        return True

    def _make_room_to_hear(self) -> None:
        if len(self._heard) > MOST_HEARD:
            del self._heard[next(iter(self._heard))]
