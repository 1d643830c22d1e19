"""How the key of a network's CA is replaced: what the CA does next, by what it knows of the nodes.

First the next key is introduced, and the old one signs on; once every node that is reached believes it, the next one
signs, and nodes renew; once nobody has a certificate under the old one any more, that is retired.
Invariant: a step is taken only when nobody who is reached would be cut off by it, but for those a person gave up.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pulse.core.types import NodeId

INTRODUCED: Final = 3.0
"""Seconds for which all must have believed the next key: after a restart nodes come one after the other."""

ALONE: Final = 600.0
"""Seconds that a CA which reaches nobody waits for somebody before it goes on; who was away learns it on return."""

OVERDUE: Final = 2 * 3600.0
"""Seconds for which a node that is waited for has to have been reached in one step, all in all, to be named as a fault.
One that follows takes minutes, and a mesh that is upgraded node by node is through by then; yet who began it is told on
the same day. All in all: one that goes away now and then is no better."""

_GLANCE: Final = 10.0
"""Seconds between two looks that count at most: nobody saw what was in between."""


class Step(StrEnum):
    """Where a replacement stands."""

    INTRODUCING = "introducing"
    RENEWING = "renewing"
    RETIRING = "retiring"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Standing:
    """One node, ourselves included, as the CA sees it."""

    node: NodeId
    reached: bool
    chain: int
    """How many CA keys after the network's first it says it believes."""
    number: int
    """The place in the chain of the key that signed its newest certificate we have seen; -1 for none that counts."""
    until: float
    """When the last certificate ends, by the wall clock, that a key before the newest signed for it; 0 for none."""


class Rotation:
    """One replacement of the CA's key by the one with that place in the chain."""

    def __init__(self, step: Step, number: int, *, settle: float, now: float, without: Collection[NodeId] = ()) -> None:
        """`settle` is how many seconds links and sessions take until they show certificates that all nodes have.

        Nobody waits for the nodes in `without`.
        """
        self.step, self.number, self.without = step, number, frozenset(without)
        self._settle, self._begun = settle, now
        self._clear_since: float | None = None
        self._looked: float | None = None
        self._kept: dict[NodeId, float] = {}
        """For how many seconds of this step each node was reached and waited for."""

    def looked(self, nodes: Iterable[Standing], now: float, wall: float, *, retired: bool = False) -> Step:
        """The step it is at from now on; `retired` if the mesh holds the retirement already, as after a restore."""
        standings = [*nodes]
        if self.step in (Step.RETIRING, Step.DONE):
            return self.step
        awaited = self.awaited(standings, wall)
        self._count(awaited, now)
        if awaited or self._is_alone(standings, now):
            self._clear_since = None
        elif self._clear_since is None:
            self._clear_since = now
        pause = INTRODUCED if self.step is Step.INTRODUCING else self._settle
        if retired or (self._clear_since is not None and now - self._clear_since >= pause):
            self.step = Step.RENEWING if self.step is Step.INTRODUCING else Step.RETIRING
            self._clear_since = None
            self._kept.clear()
        return self.step

    def awaited(self, nodes: Iterable[Standing], wall: float) -> list[Standing]:
        """The nodes that keep it from the next step."""
        counted = (each for each in nodes if each.node not in self.without)
        match self.step:
            case Step.INTRODUCING:
                return [each for each in counted if each.reached and each.chain < self.number]
            case Step.RENEWING:
                return [each for each in counted if each.until >= wall and each.number < self.number]
            case Step.RETIRING | Step.DONE:
                return []

    def overdue(self, nodes: Iterable[Standing], wall: float) -> list[Standing]:
        """Those of `awaited` that were reached for so long that they do not follow by themselves."""
        return [each for each in self.awaited(nodes, wall) if self._kept.get(each.node, 0.0) >= OVERDUE]

    def _count(self, awaited: Iterable[Standing], now: float) -> None:
        passed = 0.0 if self._looked is None else min(now - self._looked, _GLANCE)
        self._looked = now
        for each in awaited:
            if each.reached:
                self._kept[each.node] = self._kept.get(each.node, 0.0) + passed

    def _is_alone(self, nodes: list[Standing], now: float) -> bool:
        """True while nobody else who is waited for could have heard of the next key."""
        if self.step is not Step.INTRODUCING or now - self._begun >= ALONE:
            return False
        counted = [each for each in nodes if each.node not in self.without]
        return len(counted) > 1 and sum(each.reached for each in counted) <= 1
