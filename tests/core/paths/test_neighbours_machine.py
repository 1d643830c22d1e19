"""Neighbours under any order of facts: the promises of the module hold in every state."""

from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pulse.core.effects import Dial, Effect
from pulse.core.facts import DialFailed, LinkDown
from pulse.core.paths.backoff import CAP
from pulse.core.paths.neighbours import MOST_DIALS, Neighbours
from pulse.core.types import LinkId, NodeId
from tests.authority import node
from tests.mint import link_up

NODES = [node(str(number)) for number in range(6)]
PLACES = [f"192.0.2.1:{port}" for port in range(1, 41)]

nodes = st.sampled_from(NODES)
places = st.sampled_from(PLACES)
codes = st.sampled_from(["timeout", "refused", "certificate", "self", "duplicate"])


class NeighboursMachine(RuleBasedStateMachine):
    """The world keeps its own account of dials and links, and compares."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: dict[NodeId, tuple[str, ...]] = {}
        self.neighbours = Neighbours(Random(1), lambda who: self.heard.get(who, ()))
        self.now = 0.0
        self.dials: dict[int, Dial] = {}
        self.links: dict[LinkId, NodeId] = {}
        self.newest_link = 0
        self.configured: set[str] = set()
        self.own: set[str] = set()
        """Places where we met ourselves at some time."""

    # What happens

    @rule(address=places)
    def a_person_names_a_peer(self, address: str) -> None:
        self.configured.add(address)
        self.take(self.neighbours.peer_configured(address, self.now))

    @rule(who=nodes, address=places)
    def a_peer_is_learnt(self, who: NodeId, address: str) -> None:
        self.take(self.neighbours.peer_learnt(who, address, self.now))

    @rule(everywhere=nodes)
    def a_peer_is_learnt_at_many_places(self, everywhere: NodeId) -> None:
        for number, address in enumerate(PLACES):
            who = NODES[number % len(NODES)] if number % 2 else everywhere
            self.take(self.neighbours.peer_learnt(who, address, self.now))

    @rule(who=nodes, address=places)
    def a_node_is_heard_on_the_lan(self, who: NodeId, address: str) -> None:
        self.heard[who] = (address,)
        self.take(self.neighbours.node_heard(who, address, self.now))

    @rule()
    def everybody_is_named(self) -> None:
        for address in PLACES:
            self.a_person_names_a_peer(address)

    @rule(who=nodes, address=places)
    def a_neighbour_links_with_us(self, who: NodeId, address: str) -> None:
        self.open(who, 0, address)

    @precondition(lambda self: self.dials)
    @rule(data=st.data(), who=nodes)
    def a_dial_succeeds(self, data: st.DataObject, who: NodeId) -> None:
        attempt, dial = data.draw(st.sampled_from(sorted(self.dials.items())))
        del self.dials[attempt]
        self.open(dial.expect or who, attempt, dial.address)

    @precondition(lambda self: self.dials)
    @rule(data=st.data(), code=codes, met=nodes)
    def a_dial_fails(self, data: st.DataObject, code: str, met: NodeId) -> None:
        attempt, dial = data.draw(st.sampled_from(sorted(self.dials.items())))
        del self.dials[attempt]
        if code == "self":
            self.own.add(dial.address)
        detail = dial.expect or met if code == "duplicate" else code
        self.take(self.neighbours.dial_failed(DialFailed(attempt, code, detail), self.now))

    @precondition(lambda self: self.links)
    @rule(data=st.data())
    def a_link_goes(self, data: st.DataObject) -> None:
        link = data.draw(st.sampled_from(sorted(self.links)))
        self.take(self.neighbours.link_closed(LinkDown(link, self.links.pop(link), "gone"), self.now))

    @rule(
        wanted=st.dictionaries(nodes, st.lists(places, max_size=3, unique=True).map(tuple), max_size=5),
        others=st.frozensets(nodes, max_size=2),
    )
    def other_nodes_are_wanted(self, wanted: dict[NodeId, tuple[str, ...]], others: frozenset[NodeId]) -> None:
        self.take(self.neighbours.nodes_wanted(wanted, others - wanted.keys(), self.now))

    @rule(who=nodes)
    def a_node_is_revoked(self, who: NodeId) -> None:
        self.take(self.neighbours.peers_banished({who}))

    @rule()
    def the_addresses_change(self) -> None:
        self.take(self.neighbours.addresses_changed(self.now))

    @rule(own=st.sets(places, max_size=3))
    def we_are_reached_at(self, own: set[str]) -> None:
        self.take(self.neighbours.own_addresses(own))

    @rule(seconds=st.floats(0, 90))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.take(self.neighbours.tick(self.now))

    # What holds

    @invariant()
    def it_knows_the_links_there_are(self) -> None:
        assert {each.link: each.node for each in self.neighbours.links()} == self.links
        for who in NODES:
            assert (self.neighbours.link_to(who) is not None) == (who in self.links.values())

    @invariant()
    def it_wakes_within_the_longest_backoff_if_anybody_is_to_be_dialled(self) -> None:
        flying = {dial.address for dial in self.dials.values()}
        raced = {dial.expect for dial in self.dials.values()}
        lost = self.neighbours.unreached()
        # A race goes on until all of its dials have ended.
        waiting = [each for each in lost if each.address not in flying and (each.configured or each.node not in raced)]
        deadline = self.neighbours.deadline()
        if waiting and len(self.dials) < MOST_DIALS:
            assert deadline is not None
            assert deadline <= self.now + CAP

    @invariant()
    def what_a_person_named_is_never_forgotten(self) -> None:
        missed = {each.address for each in self.neighbours.unreached() if each.configured}
        reached = {address for who in self.links.values() for address in self.neighbours.addresses_of(who)}
        assert self.configured - self.own <= missed | reached
        assert missed <= self.configured

    def teardown(self) -> None:
        """In the end everybody without a link is dialled, if only every dial ends."""
        wanted = {each.address for each in self.neighbours.unreached()}
        tried: set[str] = set()
        for _ in range(8):
            for attempt, dial in sorted(self.dials.items()):
                tried.add(dial.address)
                del self.dials[attempt]
                self.take(self.neighbours.dial_failed(DialFailed(attempt, "timeout", "no answer"), self.now))
            self.time_passes(CAP)
        assert wanted <= tried

    # Details

    def open(self, who: NodeId, attempt: int, address: str) -> None:
        self.newest_link += 1
        self.links[LinkId(self.newest_link)] = who
        self.take(self.neighbours.link_opened(link_up(who, self.newest_link, dial=attempt, observed=address), self.now))

    def take(self, effects: list[Effect]) -> None:
        missed = {each.address for each in self.neighbours.unreached()}
        for dial in effects:
            if isinstance(dial, Dial):
                assert dial.attempt not in self.dials
                assert dial.address in missed | self.own
                assert dial.expect not in self.links.values()
                assert dial.expect is None or dial.address not in self.configured
                self.dials[dial.attempt] = dial
        assert len(self.dials) <= MOST_DIALS


NeighboursMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestNeighbours = NeighboursMachine.TestCase
