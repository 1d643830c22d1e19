"""What happened, in order: a hash over all of it to compare runs by, and the newest part to show when one fails.

Invariant: nothing in a line depends on the process that ran it: no addresses of objects, no order of sets.
"""

import hashlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

KEPT = 20_000
"""Entries kept for the diagram: minutes of a small mesh, the last seconds of a big one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened at `node`, or between it and `other`."""

    when: float
    node: str
    other: str
    """The far end; empty if the thing concerns `node` alone."""
    what: object


class Flow:
    """The trace of a world. Hashing costs more than the simulation itself, so it is asked for."""

    def __init__(self, *, hashed: bool) -> None:
        self.entries: deque[Entry] = deque(maxlen=KEPT)
        self._hash = hashlib.sha256() if hashed else None

    def add(self, when: float, node: str, what: object, other: str = "") -> None:
        """Note one thing."""
        self.entries.append(Entry(when, node, other, what))
        if self._hash is not None:
            self._hash.update(f"{when:.9f} {node} {other} {what!r}\n".encode())

    def digest(self) -> str:
        """SHA-256 over everything so far, in hex."""
        if self._hash is None:
            raise ValueError("this world was not asked to hash its trace")
        return self._hash.hexdigest()

    def of(self, nodes: Sequence[str], since: float) -> list[Entry]:
        """What happened at or between these nodes, and to the whole world, oldest first."""
        wanted = {"", *nodes}
        return [each for each in self.entries if each.when >= since and each.node in wanted and each.other in wanted]
