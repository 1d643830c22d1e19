"""LinkState: when it looks, who is reached, who is gone."""

import pytest

from pulse.core.effects import INFO, Log
from pulse.core.paths.graph import OwnLink
from pulse.core.paths.linkstate import (
    EXPIRED_AFTER,
    FIGURES_PACE,
    FRESH_RTT,
    LEAST_FIGURES_PACE,
    LINKS_PACE,
    NEWS_PACE,
    OWN_PACE,
    LinkState,
)
from pulse.core.paths.news import GraphChanged, NodeExpired, NodeReturned
from pulse.core.paths.noderecord import NodeRecord
from pulse.core.types import LinkId
from tests.core.paths.atlas import link, number, record, who

START = 1000.0
FAR_AWAY = {2: (0.01, 0.0)}


class State:
    """A link state and the time."""

    def __init__(self) -> None:
        self.linkstate = LinkState(who(0))
        self.now = START

    def opened(self, other: int, as_link: LinkId | None = None) -> None:
        assert self.linkstate.link_opened(as_link or link(other), who(other), self.now) == []

    def closed(self, other: int) -> None:
        assert self.linkstate.link_closed(link(other), self.now) == []

    def told(self, *records: NodeRecord) -> None:
        for each in records:
            assert self.linkstate.record_accepted(each, self.now) == []

    def looks(self, after: float = 0.0) -> bool:
        """Whether it looked at the whole by itself after so many seconds."""
        self.now += after
        due = self.linkstate.deadline()
        outcomes = self.linkstate.tick(self.now)
        looked = any(isinstance(each, GraphChanged) for each in outcomes)
        assert not looked or (due is not None and due <= self.now)
        return looked

    def settled(self, after: float = 10.0) -> list[object]:
        """What came of it, the graph apart."""
        self.now += after
        return [each for each in self.linkstate.tick(self.now) if not isinstance(each, GraphChanged)]

    def own(self) -> dict[int, OwnLink]:
        graph = self.linkstate.graph()
        return {number(graph.nodes[each]): link for each, link in graph.own.items()}


@pytest.fixture
def state() -> State:
    return State()


@pytest.fixture
def crowd(state: State) -> State:
    """A state that knows a thousand nodes and has just looked."""
    state.told(*(record(each) for each in range(1, 1001)))
    state.opened(1)
    assert state.looks(10.0)
    return state


# When it looks


def test_without_news_nothing_is_looked_at(state: State) -> None:
    assert state.linkstate.deadline() is None
    assert not state.looks()


def test_a_link_of_our_own_is_looked_at_at_once_and_many_facts_in_one_look(state: State) -> None:
    state.opened(1)
    state.opened(2)

    assert state.looks()
    assert not state.looks(10.0)
    state.closed(1)
    assert state.looks()


def test_in_a_large_mesh_links_of_our_own_wait_until_the_last_look_has_paid_off(crowd: State) -> None:
    crowd.closed(1)

    assert not crowd.looks(OWN_PACE * 999)
    assert crowd.looks(OWN_PACE * 10)


def test_links_of_others_that_came_wait_longer_than_those_that_went(crowd: State) -> None:
    crowd.told(record(7, {8: (0.01, 0.0)}))
    assert not crowd.looks(NEWS_PACE * 999)
    assert crowd.looks(NEWS_PACE * 10)

    crowd.told(record(7))
    assert not crowd.looks(LINKS_PACE * 999)
    assert crowd.looks(LINKS_PACE * 10)


def test_a_mesh_with_more_links_is_looked_at_more_seldom(crowd: State) -> None:
    pairs = [(each, each + 1) for each in range(1, 1000, 2)]
    crowd.told(*(record(one, {other: (0.01, 0.0)}) for pair in pairs for one, other in (pair, pair[::-1])))
    assert crowd.looks(10.0)

    crowd.closed(1)
    assert not crowd.looks(OWN_PACE * 1999)
    assert crowd.looks(OWN_PACE * 10)


def test_figures_of_others_wait_longest(crowd: State) -> None:
    crowd.told(record(7, {8: (0.01, 0.0)}))
    assert crowd.looks(10.0)
    crowd.told(record(7, {8: (0.02, 0.0)}))

    assert not crowd.looks(FIGURES_PACE * 999)
    assert crowd.looks(FIGURES_PACE * 10)


def test_in_a_small_mesh_figures_are_looked_at_once_a_second_and_links_at_once(state: State) -> None:
    state.told(record(1, FAR_AWAY))
    assert state.looks()
    state.told(record(1, {2: (0.02, 0.0)}))
    assert not state.looks(LEAST_FIGURES_PACE - 0.1)
    assert state.looks(0.1)
    state.told(record(1, {3: (0.02, 0.0)}))
    assert state.looks(0.1)


def test_a_record_that_says_nothing_new_of_links_is_not_looked_at(state: State) -> None:
    state.told(record(1, FAR_AWAY))
    assert state.looks()
    state.told(record(1, FAR_AWAY, candidates=("192.0.2.1:443",)))

    assert state.linkstate.deadline() == state.now + EXPIRED_AFTER


@pytest.mark.parametrize(
    ("rtt", "loss", "noticed"),
    [(0.0202, 0.0, False), (0.0212, 0.0, True), (0.0188, 0.0, True), (0.02, 0.005, False), (0.02, 0.02, True)],
)
def test_our_own_figures_are_looked_at_if_they_moved(state: State, rtt: float, loss: float, *, noticed: bool) -> None:
    state.opened(1)
    state.linkstate.sampled(link(1), 0.02, 0.0)
    assert state.looks()

    state.linkstate.sampled(link(1), rtt, loss)

    assert state.looks(LEAST_FIGURES_PACE) is noticed
    assert state.own()[1].rtt == rtt


def test_a_few_microseconds_are_no_move_however_short_the_link(state: State) -> None:
    state.opened(1)
    state.linkstate.sampled(link(1), 0.0001, 0.0)
    assert state.looks()

    state.linkstate.sampled(link(1), 0.0003, 0.0)
    assert not state.looks(LEAST_FIGURES_PACE)


def test_the_first_figures_of_a_link_are_looked_at_at_once(state: State) -> None:
    state.opened(1)
    assert state.looks()
    state.linkstate.sampled(link(1), None, 0.0)
    assert not state.looks()
    state.linkstate.sampled(link(1), 0.3, 0.0)
    assert state.looks(0.01)


def test_a_suspicion_of_a_link_is_looked_at_at_once_and_once(state: State) -> None:
    state.opened(1)
    assert state.looks()
    state.linkstate.link_suspected(link(1), True)
    assert state.looks(0.01)
    assert state.own()[1].suspect

    state.linkstate.link_suspected(link(1), True)
    assert not state.looks(10.0)


def test_facts_about_links_that_are_gone_change_nothing(state: State) -> None:
    state.closed(1)
    state.linkstate.sampled(link(1), 0.02, 0.0)
    state.linkstate.link_suspected(link(1), True)
    state.linkstate.record_forgotten(who(1))

    assert state.linkstate.deadline() is None


# Which link serves


def test_a_link_is_used_before_its_first_echo(state: State) -> None:
    state.opened(1)

    assert state.own() == {1: OwnLink(link(1), FRESH_RTT, 0.0, False)}


def test_of_two_links_with_a_node_the_newest_serves_unless_it_alone_is_suspect(state: State) -> None:
    older, newer = LinkId(7), LinkId(8)
    state.opened(1, older)
    state.opened(1, newer)
    assert state.own()[1].link == newer

    state.linkstate.link_suspected(newer, True)
    assert state.own()[1].link == older
    state.linkstate.link_suspected(older, True)
    assert state.own()[1].link == newer


# Who is reached, who is gone


def test_a_node_behind_a_neighbour_is_reached_over_counted_links(state: State) -> None:
    state.opened(1)
    state.told(record(1, FAR_AWAY), record(2, {1: (0.01, 0.0)}), record(3, {2: (0.01, 0.0)}))
    state.settled()

    assert state.linkstate.graph().reached() == {who(1), who(2)}
    assert state.linkstate.deadline() == state.now + EXPIRED_AFTER


def test_when_a_node_was_reached_last_is_known_of_those_that_were_reached_once(state: State) -> None:
    state.opened(1)
    state.told(record(1, FAR_AWAY), record(2, {1: (0.01, 0.0)}), record(3))
    state.settled()
    assert [state.linkstate.last_reached(who(each)) for each in (1, 2, 3)] == [None, None, None]

    state.closed(1)
    state.settled()
    left = state.now
    state.settled(EXPIRED_AFTER)
    assert [state.linkstate.last_reached(who(each)) for each in (1, 2, 3)] == [left, left, None]

    state.opened(1)
    state.settled()
    assert state.linkstate.last_reached(who(1)) is None


def test_a_node_that_cannot_be_reached_for_five_minutes_is_expired_and_returns(state: State) -> None:
    state.told(record(1))
    state.settled(0.0)
    assert state.linkstate.deadline() == START + EXPIRED_AFTER
    assert state.settled(EXPIRED_AFTER - 1) == []

    said = Log("nodes expired", INFO, {"count": 1, "nodes": who(1)[:12]})
    assert state.settled(1.0) == [NodeExpired(who(1)), said]
    assert state.linkstate.deadline() is None

    state.opened(1)
    said = Log("nodes returned", INFO, {"count": 1, "nodes": who(1)[:12]})
    assert state.settled(0.0) == [NodeReturned(who(1)), said]


def test_a_node_that_is_back_in_time_does_not_expire(state: State) -> None:
    state.opened(1)
    state.settled(1.0)
    state.told(record(1))
    state.closed(1)
    state.settled(1.0)
    state.settled(EXPIRED_AFTER - 1)
    state.opened(1)
    state.settled(1.0)
    state.closed(1)
    state.settled(1.0)

    assert state.settled(EXPIRED_AFTER - 1) == []
    assert state.settled(1.0)[0] == NodeExpired(who(1))


def test_of_very_many_nodes_a_few_are_named(state: State) -> None:
    state.told(*(record(each) for each in range(1, 101)))
    state.settled(0.0)

    log = state.settled(EXPIRED_AFTER)[-1]
    assert isinstance(log, Log)
    assert log.fields["count"] == 100
    assert len(str(log.fields["nodes"]).split()) == 8


def test_a_node_that_is_forgotten_is_neither_missed_nor_expired(state: State) -> None:
    state.told(record(1), record(2))
    state.settled(0.0)
    state.settled(EXPIRED_AFTER)
    state.linkstate.record_forgotten(who(1))
    state.settled()
    state.opened(1)
    state.opened(2)

    assert [each for each in state.settled() if isinstance(each, NodeReturned)] == [NodeReturned(who(2))]


def test_a_revoked_node_has_no_links_and_gets_none(state: State) -> None:
    state.opened(1)
    state.opened(2)
    state.told(record(1, FAR_AWAY))
    state.settled()
    state.linkstate.revocations_changed(frozenset({who(1)}))
    state.opened(1)
    state.told(record(1, FAR_AWAY))
    state.settled()

    assert set(state.own()) == {2}
    assert state.linkstate.graph().reached() == {who(2)}
    assert state.linkstate.deadline() is None


def test_a_node_that_is_in_again_has_links_again(state: State) -> None:
    state.opened(1)
    state.linkstate.revocations_changed(frozenset({who(1)}))
    state.settled()
    state.linkstate.revocations_changed(frozenset())
    state.opened(1)
    state.told(record(1, FAR_AWAY))
    state.settled()

    assert set(state.own()) == {1}
    assert who(1) in state.linkstate.graph().reached()
