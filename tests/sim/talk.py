"""Traffic between two nodes, as far as the mesh notices it: it wants the peer, and probes each path to it.

Invariant: a path is told suspect after three probes in a row went unanswered, and recovered after one came back.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pulse.core.facts import PathSuspected
from pulse.core.types import LinkId
from tests.sim import traffic

if TYPE_CHECKING:
    from tests.sim.node import SimNode
    from tests.sim.world import World

EVERY = 1.0
MISSING = 3


@dataclass(eq=False, slots=True)
class Talk:
    """One end of a conversation; the other direction is another one."""

    world: "World"
    source: "SimNode"
    target: "SimNode"
    _missing: dict[LinkId, int] = field(default_factory=dict)

    def begin(self) -> None:
        """The first packet waits for a path."""
        self.source.wants(self.target)
        self._probe()

    def _probe(self) -> None:
        if self.source.alive:
            self._probe_all()
        self.world.after(EVERY, self._probe)

    def _probe_all(self) -> None:
        daemon, target = self.source.running, self.target.daemon
        if target is None:
            return
        arrivals, before = traffic.Arrivals(target), self._missing
        self._missing = {}
        for hop, end in traffic.hops(daemon, target):
            arrived = target.alive and arrivals.gets_on_by(traffic.Step(end, hop.last), daemon)
            self._missing[end.id] = 0 if arrived else before.get(end.id, 0) + 1
            path = (target.id, end.id)
            if self._missing[end.id] == MISSING:
                daemon.doubted[path] = None
                daemon.tell(PathSuspected(*path, suspect=True))
            elif arrived and path in daemon.doubted:
                del daemon.doubted[path]
                daemon.tell(PathSuspected(*path, suspect=False))


def silence(world: "World", source: "SimNode", target: "SimNode", seconds: float, step: float = 0.02) -> float:
    """Let time pass; the longest stretch of it in which what `source` sent did not arrive."""
    longest = current = 0.0
    for _ in range(round(seconds / step)):
        world.run(step)
        heard = source.alive and target.alive and traffic.arrives(source.running, target.running)
        current = 0.0 if heard else current + step
        longest = max(longest, current)
    return longest
