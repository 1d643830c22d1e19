"""A node that announces, driven to its deadlines in virtual time."""

from collections.abc import Sequence
from ipaddress import IPv4Address

from pulse.core.paths.announce import Announce
from pulse.core.paths.news import Outcome, RecordMade
from pulse.core.paths.noderecord import NodeRecord, Service
from tests.authority import key
from tests.core.paths.records import VERSION, cert, handle, machine


class Speaker:
    """A node that announces, and what it made so far."""

    def __init__(self, *, boot: int = 1, nodes: int = 2, services: Sequence[Service] = ()) -> None:
        self.announce = Announce(cert(1), key(machine(1)), boot=boot, version=VERSION, services=services)
        self.announce.mesh_size(nodes)
        self.now = 1000.0
        self.made: list[NodeRecord] = []
        self.said: list[Outcome] = []

    def take(self, outcomes: list[Outcome]) -> list[Outcome]:
        self.said += outcomes
        self.made += [each.record for each in outcomes if isinstance(each, RecordMade)]
        return outcomes

    def up(self, *places: int, rtt: float | None = 0.01) -> None:
        for place in places:
            self.take(self.announce.neighbour_up(handle(place), self.now, rtt))

    def down(self, place: int) -> None:
        self.take(self.announce.neighbour_down(handle(place), self.now))

    def measured(self, place: int, rtt: float, loss: float = 0.0) -> None:
        self.take(self.announce.quality_changed(handle(place), rtt, loss, self.now))

    def run(self, seconds: float) -> list[NodeRecord]:
        """What is made meanwhile."""
        before, end = len(self.made), self.now + seconds
        while (due := self.announce.deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.take(self.announce.tick(self.now))
        self.now = end
        return self.made[before:]

    def newest(self) -> NodeRecord:
        return self.made[-1]


def listed(made: NodeRecord) -> list[IPv4Address]:
    return [each.handle for each in made.adjacencies()]
