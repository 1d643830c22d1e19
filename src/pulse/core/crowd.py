"""Who has how many of the places that there are: those who take what they can leave room for whoever comes.

Invariant: nobody has more than are left for others (dynamic thresholds, Choudhury and Hahne 1998), nor than one may.
"""

from collections import Counter
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

STREAMS: Final = 4096
"""Streams open at a node in all, and connections at one of its doors; each holds a descriptor."""

OF_ONE_NODE: Final = STREAMS // 2
"""Of them, those with one node, whoever opened them; a session holds 4,096."""

OF_ONE_PROGRAM: Final = OF_ONE_NODE // 2
"""Of them, those of one program of this machine: others get to the same node, too."""

Who = TypeVar("Who", bound=Hashable)


class Crowd(Generic[Who]):
    """Places, and who has them."""

    def __init__(self, most: int, of_one: int) -> None:
        """So many in all, and for one at most."""
        self.most, self.of_one = most, of_one
        self.total = 0
        """Places taken now."""
        self._taken: Counter[Who] = Counter()

    def is_full(self, who: Who) -> bool:
        """True if they may take no more now."""
        return self._taken[who] >= min(self.of_one, self.most - self.total)

    def take(self, who: Who) -> None:
        """One more is theirs."""
        self._taken[who] += 1
        self.total += 1

    def leave(self, who: Who) -> None:
        """One of theirs is free again."""
        self.total -= 1
        self._taken[who] -= 1
        if not self._taken[who]:
            del self._taken[who]
