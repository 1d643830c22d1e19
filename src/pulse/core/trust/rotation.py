"""How the key of a network's CA is replaced: what the CA does next, by what it knows of the nodes.

First the next key is introduced, and the old one signs on; once every node that is reached believes it, the next one
signs, and nodes renew; once nobody has a certificate under the old one any more, that is retired.
Invariant: a step is taken only when nobody who is reached would be cut off by it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pulse.core.types import NodeId

INTRODUCED: Final = 3.0
"""Seconds for which all must have believed the next key: after a restart nodes come one after the other."""

ALONE: Final = 600.0
"""Seconds that a CA which reaches nobody waits for somebody before it goes on; who was away learns it on return."""


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

    def __init__(self, step: Step, number: int, *, settle: float, now: float) -> None:
        """`settle` is how many seconds links and sessions take until they show certificates that all nodes have."""
        self.step, self.number = step, number
        self._settle, self._begun = settle, now
        self._clear_since: float | None = None

    def looked(self, nodes: Iterable[Standing], now: float, wall: float, *, retired: bool = False) -> Step:
        """The step it is at from now on; `retired` if the mesh holds the retirement already, as after a restore."""
        standings = [*nodes]
        if self.step in (Step.RETIRING, Step.DONE):
            return self.step
        if self.awaited(standings, wall) or self._is_alone(standings, now):
            self._clear_since = None
        elif self._clear_since is None:
            self._clear_since = now
        pause = INTRODUCED if self.step is Step.INTRODUCING else self._settle
        if retired or (self._clear_since is not None and now - self._clear_since >= pause):
            self.step = Step.RENEWING if self.step is Step.INTRODUCING else Step.RETIRING
            self._clear_since = None
        return self.step

    def awaited(self, nodes: Iterable[Standing], wall: float) -> list[Standing]:
        """The nodes that keep it from the next step."""
        match self.step:
            case Step.INTRODUCING:
                return [each for each in nodes if each.reached and each.chain < self.number]
            case Step.RENEWING:
                return [each for each in nodes if each.until >= wall and each.number < self.number]
            case Step.RETIRING | Step.DONE:
                return []

    def _is_alone(self, nodes: list[Standing], now: float) -> bool:
        """True while nobody else could have heard of the next key."""
        if self.step is not Step.INTRODUCING or now - self._begun >= ALONE:
            return False
        return len(nodes) > 1 and sum(each.reached for each in nodes) <= 1
