"""Our beacons and the time, told line by line: what comes from a LAN, and what we say there."""

from dataclasses import dataclass, field
from random import Random

from pulse.core.effects import SendBeacon
from pulse.core.messages import Beacon
from pulse.core.paths.beacon import Beacons
from pulse.core.paths.datagram import read_beacon
from pulse.core.paths.heard import Heard
from pulse.core.paths.news import NodeHeard, Outcome
from pulse.core.types import NodeId
from tests.authority import NOW, key, node
from tests.core.paths.calls import CA, PORT

ALICE, BOB, STRANGER = node("alice"), node("bob"), node("stranger")
THERE, V6_THERE, ELSEWHERE = "192.0.2.2", "fe80::2%3", "192.0.2.66"


@dataclass
class Story:
    """Our beacons and the time, told line by line."""

    linked: set[NodeId] = field(default_factory=set)
    members: set[NodeId] = field(default_factory=lambda: {ALICE, BOB})
    wanted: set[NodeId] = field(default_factory=set)
    revoked: set[NodeId] = field(default_factory=set)
    now: float = 1000.0
    sent: list[tuple[float, Beacon]] = field(default_factory=list)
    told: list[tuple[float, NodeHeard]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.beacons = Beacons(
            CA.network,
            key("me"),
            Random(1),
            Heard(),
            boot=7,
            linked=lambda: self.linked,
            knows=self.members.__contains__,
            wants=lambda node: node in self.wanted,
            revoked=lambda: self.revoked,
        )
        self.beacons.clock_read(NOW, self.now)

    def lans(self, count: int = 1) -> None:
        self.take(self.beacons.lans_changed(count, PORT, self.now))

    def hears(self, data: bytes, source: str = THERE, *, on_link: bool = True) -> list[NodeHeard]:
        """What the others are told of it."""
        return self.take(self.beacons.beacon_heard(data, source, self.now, on_link=on_link))

    def link(self, who: NodeId) -> None:
        self.linked.add(who)
        self.take(self.beacons.link_opened(who))

    def passed(self, seconds: float) -> list[float]:
        """When beacons went out meanwhile."""
        until, before = self.now + seconds, len(self.sent)
        while (due := self.beacons.deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            self.take(self.beacons.tick(self.now))
            after = self.beacons.deadline()
            assert after is None or after > self.now, "it does not wake itself in vain"
        self.now = until
        assert self.beacons.tick(self.now) == []
        return [at for at, _ in self.sent[before:]]

    def settled(self) -> "Story":
        """On a LAN for long, with a link to somebody who is elsewhere."""
        self.linked.add(node("far away"))
        self.lans()
        self.passed(1000.0)
        return self

    def count(self, what: str) -> int:
        return self.beacons.statistics()[what]

    def take(self, outcomes: list[Outcome]) -> list[NodeHeard]:
        for each in outcomes:
            if isinstance(each, SendBeacon):
                claim = read_beacon(each.data, CA.network)
                claim.vouched(CA.network)
                assert claim.node == node("me")
                self.sent.append((self.now, claim.beacon))
        found = [each for each in outcomes if isinstance(each, NodeHeard)]
        self.told += [(self.now, each) for each in found]
        return found
