"""Gossip under any order of mishaps: links come and go, messages get lost, nodes restart; in the end all agree."""

from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pulse.core.effects import WARNING
from tests.core.paths.crowd import Crowd, nobody
from tests.core.paths.records import cert

if TYPE_CHECKING:
    from pulse.core.paths.noderecord import NodeRecord

PLACES = range(1, 6)
places = st.sampled_from(PLACES)
pairs = st.tuples(places, places).filter(lambda pair: pair[0] != pair[1]).map(lambda pair: (min(pair), max(pair)))


class GossipMachine(RuleBasedStateMachine):
    """The model is a dictionary: what each node said last."""

    def __init__(self) -> None:
        super().__init__()
        self.crowd = Crowd(PLACES)
        self.said: dict[int, NodeRecord] = {}
        self.links: set[tuple[int, int]] = set()
        self.seen: dict[tuple[int, int], tuple[int, int]] = {}
        """Numbers of the second one's record that the first one held last."""
        for place in PLACES:
            self.a_node_speaks(place)

    @rule(place=places)
    def a_node_speaks(self, place: int) -> None:
        self.said[place] = self.crowd.announce(place)

    @rule(pair=pairs, delay=st.floats(0.001, 0.3))
    def a_link_comes(self, pair: tuple[int, int], delay: float) -> None:
        if pair not in self.links:
            self.links.add(pair)
            self.crowd.link(*pair, delay)

    @precondition(lambda self: self.links)
    @rule(data=st.data())
    def a_link_goes(self, data: st.DataObject) -> None:
        pair = data.draw(st.sampled_from(sorted(self.links)))
        self.links.remove(pair)
        self.crowd.cut(*pair)

    @rule(pair=pairs)
    def messages_between_two_get_lost(self, pair: tuple[int, int]) -> None:
        self.crowd.drop = lambda sender, receiver: {sender, receiver} == {*pair}

    @rule(place=places)
    def a_node_restarts_with_nothing_but_its_numbers(self, place: int) -> None:
        for pair in [each for each in self.links if place in each]:
            self.links.remove(pair)
            self.crowd.cut(*pair)
        fresh = Crowd([place]).members[place]
        fresh.seq = self.crowd.members[place].seq
        self.crowd.members[place] = fresh
        self.seen = {pair: numbers for pair, numbers in self.seen.items() if pair[0] != place}
        self.a_node_speaks(place)

    @rule(seconds=st.floats(0, 70))
    def time_passes(self, seconds: float) -> None:
        self.crowd.run(seconds)

    @invariant()
    def nobody_goes_back_or_holds_what_was_never_said(self) -> None:
        for place, member in self.crowd.members.items():
            for other in PLACES:
                held = member.gossip.record(cert(other).node_id)
                if held is not None:
                    assert held.numbers <= self.said[other].numbers
                    assert held.numbers >= self.seen.get((place, other), (0, 0))
                    self.seen[place, other] = held.numbers

    @invariant()
    def honest_nodes_find_no_fault_with_each_other(self) -> None:
        for member in self.crowd.members.values():
            assert member.closed == {}
            assert [log.event for log in member.logs if log.level >= WARNING] == []

    def teardown(self) -> None:
        """Once everybody is linked with everybody again, all hold what each said last."""
        self.crowd.drop = nobody
        for place in PLACES[1:]:
            if (place - 1, place) not in self.links:
                self.crowd.link(place - 1, place)
        self.crowd.run(60.0 * len(PLACES))
        for member in self.crowd.members.values():
            assert {each.data for each in member.gossip.records()} == {each.data for each in self.said.values()}


GossipMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30)
TestGossip = GossipMachine.TestCase
