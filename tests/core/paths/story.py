"""Neighbours and the time, told line by line."""

from collections.abc import Collection

from pulse.core.effects import CloseSession, Dial, Effect, Log
from pulse.core.facts import DialFailed, LinkDown
from pulse.core.paths.neighbours import Neighbours
from pulse.core.types import LinkId, NodeId
from tests.authority import node
from tests.mint import Latest, link_up

ALICE, BOB = node("alice"), node("bob")
HOME, WORK = "192.0.2.1:443", "198.51.100.1:443"


class Story:
    """Neighbours and the time, told line by line; each line returns the dials it caused."""

    def __init__(self) -> None:
        self.heard_at: dict[NodeId, tuple[str, ...]] = {}
        """Where nodes were heard on our LANs."""
        self.neighbours = Neighbours(Latest(), lambda who: self.heard_at.get(who, ()))
        self.now = 1000.0
        self.links = 0
        self.logs: list[Log] = []
        self.sessions_closed: list[CloseSession] = []

    def configured(self, address: str) -> list[Dial]:
        return self._dials(self.neighbours.peer_configured(address, self.now))

    def published(self, *relays: str) -> list[Dial]:
        return self._dials(self.neighbours.relays_published(relays, self.now))

    def learnt(self, who: NodeId, address: str) -> list[Dial]:
        return self._dials(self.neighbours.peer_learnt(who, address, self.now))

    def heard(self, who: NodeId, place: str) -> list[Dial]:
        self.heard_at[who] = (place,)
        return self._dials(self.neighbours.node_heard(who, place, self.now))

    def wanted(self, nodes: dict[NodeId, tuple[str, ...]], others: frozenset[NodeId] = frozenset()) -> list[Dial]:
        return self._dials(self.neighbours.nodes_wanted(nodes, others, self.now))

    def moved(self) -> list[Dial]:
        return self._dials(self.neighbours.addresses_changed(self.now))

    def owns(self, own: Collection[str]) -> None:
        assert self.neighbours.own_addresses(own) == []

    def opened(
        self,
        who: NodeId,
        *,
        dial: int = 0,
        observed: str = "192.0.2.9:1234",
        boot: bytes = bytes(16),
        transport: str = "quic",
    ) -> LinkId:
        self.links += 1
        fact = link_up(who, self.links, dial=dial, observed=observed, boot=boot, transport=transport)
        self._dials(self.neighbours.link_opened(fact, self.now))
        return LinkId(self.links)

    def closed(self, who: NodeId, link: LinkId, reason: str = "idle") -> list[Dial]:
        return self._dials(self.neighbours.link_closed(LinkDown(link, who, reason), self.now))

    def suspected(self, link: LinkId, suspect: bool) -> list[Dial]:
        return self._dials(self.neighbours.link_suspected(link, suspect, self.now))

    def seen_at(self, link: LinkId, observed: str) -> list[Dial]:
        return self._dials(self.neighbours.link_moved(link, observed, self.now))

    def leaves_from_elsewhere(self, *links: LinkId) -> list[Dial]:
        return self._dials(self.neighbours.sources_changed(links, self.now))

    def renewed(self, who: NodeId | None, spread: float) -> list[Dial]:
        return self._dials(self.neighbours.certificate_renewed(who, spread, self.now))

    def shows_old(self, who: NodeId, spread: float) -> list[Dial]:
        return self._dials(self.neighbours.old_certificate_shown(who, spread, self.now))

    def woke(self) -> list[Dial]:
        return self._dials(self.neighbours.woke(self.now))

    def failed(self, dial: Dial, code: str = "timeout", detail: str = "no answer") -> list[Dial]:
        return self._dials(self.neighbours.dial_failed(DialFailed(dial.attempt, code, detail), self.now))

    def banished(self, *nodes: NodeId) -> None:
        assert self.neighbours.peers_banished(nodes) == []

    def passed(self, seconds: float) -> list[Dial]:
        self.now += seconds
        return self._dials(self.neighbours.tick(self.now))

    def until_next_dial(self) -> Dial:
        deadline = self.neighbours.deadline()
        assert deadline is not None
        (dial,) = self.passed(max(0.0, deadline - self.now))
        return dial

    def unreached(self) -> list[str]:
        return [each.address for each in self.neighbours.unreached()]

    def _dials(self, effects: list[Effect]) -> list[Dial]:
        self.logs += [effect for effect in effects if isinstance(effect, Log)]
        self.sessions_closed += [effect for effect in effects if isinstance(effect, CloseSession)]
        return [effect for effect in effects if isinstance(effect, Dial)]
