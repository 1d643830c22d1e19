"""Wanted: with whom to keep links."""

import itertools
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse.core.paths import wanted
from pulse.core.paths.news import NodesWanted
from pulse.core.paths.wanted import (
    ANSWER,
    BY_HASH,
    MOST_EXPIRED,
    MOST_REACHABLE,
    REACHABLE,
    RECENT,
    SMALL,
    TURN,
    TURNS_OFF,
    Wanted,
)
from tests.core.paths.atlas import number, record, who

START = 1000.0


class Choosing:
    """The choice of neighbours and the time."""

    def __init__(self, me: int = 0) -> None:
        self.nearby = {who(each) for each in range(0)}
        self.lacking = 0
        self.wanted = Wanted(who(me), lambda: self.nearby, lambda: self.lacking)
        self.now = START
        self.news: list[NodesWanted] = []

    def knows(self, *nodes: int, reachable: bool = False, at: str = "192.0.2.1:443") -> None:
        for each in nodes:
            self.wanted.record_accepted(record(each, reachable=reachable, candidates=(at,)), self.now)

    def passed(self, seconds: float = 1.0) -> list[NodesWanted]:
        """Time passes, in steps of the machine's own choosing; what came of it."""
        until = self.now + seconds
        self.news = []
        while (due := self.wanted.deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            self.news += self.wanted.tick(self.now)
            after = self.wanted.deadline()
            assert after is None or after > self.now, "it does not wake itself in vain"
        self.now = until
        assert self.wanted.tick(self.now) == []
        return self.news

    def nodes(self) -> set[int]:
        return {number(each) for each in self.wanted.nodes()}


@pytest.fixture
def choosing() -> Choosing:
    return Choosing()


@pytest.fixture
def crowd(choosing: Choosing) -> Choosing:
    """In a mesh of a hundred, nobody reachable."""
    choosing.knows(*range(1, 100))
    choosing.passed()
    return choosing


# Small and large


def test_without_others_nobody_is_wanted(choosing: Choosing) -> None:
    choosing.knows(0)

    assert choosing.wanted.deadline() is None
    assert choosing.passed() == []


def test_in_a_small_mesh_everybody_is_wanted_where_they_say_they_are(choosing: Choosing) -> None:
    choosing.knows(*range(1, SMALL))

    (news,) = choosing.passed()
    assert news.nodes == {who(each): ("192.0.2.1:443",) for each in range(1, SMALL)}
    assert news.others == frozenset()


def test_in_a_larger_mesh_a_few_are_wanted_and_the_others_are_known(choosing: Choosing) -> None:
    choosing.knows(*range(1, SMALL + 1))

    (news,) = choosing.passed()
    assert len(news.nodes) == BY_HASH
    assert news.others == {who(each) for each in range(1, SMALL + 1)} - set(news.nodes)


def test_the_same_are_wanted_whatever_the_order_in_which_they_became_known(crowd: Choosing) -> None:
    other = Choosing()
    other.knows(*range(99, 0, -1))
    other.passed()

    assert other.nodes() == crowd.nodes()


def test_another_node_changes_little(crowd: Choosing) -> None:
    before = crowd.nodes()
    crowd.knows(100)
    crowd.passed()

    assert len(before - crowd.nodes()) <= 1


@settings(max_examples=5)
@given(first=st.integers(0, 10_000))
def test_what_the_nodes_of_a_large_mesh_want_holds_it_together(first: int) -> None:
    mesh = range(first, first + 150)
    links: dict[int, set[int]] = {each: set() for each in mesh}
    for each in mesh:
        choosing = Choosing(each)
        choosing.knows(*mesh)
        choosing.passed()
        for other in choosing.nodes():
            links[each].add(other)
            links[other].add(each)

    seen, fringe = {first}, deque([first])
    while fringe:
        found = links[fringe.popleft()] - seen
        seen |= found
        fringe += found
    assert seen == set(mesh)


# Reachable ones


def test_two_reachable_nodes_are_wanted_beside_the_others(crowd: Choosing) -> None:
    before = crowd.nodes()
    crowd.knows(*range(200, 210), reachable=True)
    crowd.passed()

    reachable = crowd.nodes() & set(range(200, 210))
    assert len(reachable - before) >= REACHABLE


def test_more_reachable_nodes_are_tried_while_the_first_do_not_answer(crowd: Choosing) -> None:
    crowd.knows(*range(200, 250), reachable=True)
    counts = []
    for _ in range(10):
        crowd.passed(ANSWER)
        counts.append(len(crowd.nodes() & set(range(200, 250))))

    assert counts == sorted(counts)
    assert counts[-1] >= MOST_REACHABLE
    assert counts[2] < MOST_REACHABLE


def test_once_two_have_answered_no_more_are_tried_and_those_are_kept(crowd: Choosing) -> None:
    crowd.knows(*range(200, 250), reachable=True)
    crowd.passed(3 * ANSWER)
    answered = [200, 249]
    for each in answered:
        crowd.wanted.link_opened(who(each), crowd.now)
    crowd.passed()

    assert set(answered) <= crowd.nodes()
    assert len(crowd.nodes()) <= BY_HASH + REACHABLE
    before = crowd.nodes()
    crowd.passed(20 * ANSWER)
    assert crowd.nodes() == before


def test_a_reachable_node_that_went_away_is_made_up_for(crowd: Choosing) -> None:
    crowd.knows(200, 201, 202, reachable=True)
    crowd.wanted.link_opened(who(200), crowd.now)
    crowd.wanted.link_opened(who(201), crowd.now)
    crowd.wanted.link_opened(who(201), crowd.now)
    crowd.passed()
    crowd.wanted.link_closed(who(201), crowd.now)
    crowd.passed(3 * ANSWER)
    assert 202 not in crowd.nodes() or 202 in by_hash(crowd)

    crowd.wanted.link_closed(who(201), crowd.now)
    crowd.passed(3 * ANSWER)
    assert {200, 201, 202} <= crowd.nodes()


def by_hash(choosing: Choosing) -> set[int]:
    """Whom it would want of the same nodes if nobody were reachable."""
    other = Choosing()
    other.knows(*range(1, 100), 200, 201, 202)
    other.passed()
    return other.nodes()


# Traffic


def test_a_node_with_traffic_is_wanted_for_ten_minutes(crowd: Choosing) -> None:
    quiet = next(each for each in range(1, 100) if each not in crowd.nodes())
    crowd.wanted.peer_wanted(who(quiet), crowd.now)
    crowd.passed(0.0)
    assert quiet in crowd.nodes()

    crowd.passed(RECENT - 1)
    assert quiet in crowd.nodes()
    crowd.passed(1.0)
    assert quiet not in crowd.nodes()


def test_new_traffic_prolongs_it(crowd: Choosing) -> None:
    quiet = next(each for each in range(1, 100) if each not in crowd.nodes())
    crowd.wanted.peer_wanted(who(quiet), crowd.now)
    crowd.passed(RECENT - 1)
    crowd.wanted.peer_wanted(who(quiet), crowd.now)
    crowd.passed(RECENT - 1)

    assert quiet in crowd.nodes()


def test_traffic_for_a_node_nobody_knows_waits_for_its_record(crowd: Choosing) -> None:
    crowd.wanted.peer_wanted(who(300), crowd.now)
    crowd.passed()
    assert 300 not in crowd.nodes()

    crowd.knows(300)
    crowd.passed()
    assert 300 in crowd.nodes()


def test_the_nodes_wanted_for_traffic_are_bounded_and_the_latest_stay(
    crowd: Choosing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wanted, "MOST_RECENT", 2)
    quiet = [each for each in range(1, 100) if each not in crowd.nodes()][:3]
    for each in quiet:
        crowd.wanted.peer_wanted(who(each), crowd.now)
    crowd.passed()

    assert crowd.nodes() & set(quiet) == set(quiet[1:])


# Coming and going


def test_a_node_that_moved_is_wanted_where_it_is_now(choosing: Choosing) -> None:
    choosing.knows(1)
    choosing.passed()
    choosing.knows(1, at="198.51.100.1:443")

    (news,) = choosing.passed()
    assert news.nodes == {who(1): ("198.51.100.1:443",)}


def test_a_record_that_says_nothing_new_is_no_news(choosing: Choosing) -> None:
    choosing.knows(1)
    choosing.passed()
    choosing.knows(1)

    assert choosing.wanted.deadline() is None


def test_many_records_make_one_selection(choosing: Choosing) -> None:
    choosing.knows(1)
    assert len(choosing.passed(0.0)) == 1
    for each in range(2, 20):
        choosing.knows(each)
        assert choosing.passed(0.01) == []

    assert len(choosing.passed()) == 1


def test_a_forgotten_node_is_not_wanted(choosing: Choosing) -> None:
    choosing.knows(1, 2)
    choosing.passed()
    choosing.wanted.record_forgotten(who(1))
    choosing.wanted.record_forgotten(who(77))
    choosing.passed()

    assert choosing.nodes() == {2}


# Expired ones


def test_an_expired_node_is_tried_now_and_then(choosing: Choosing) -> None:
    choosing.knows(1, 2)
    choosing.passed()
    choosing.wanted.node_expired(who(1), choosing.now)
    choosing.wanted.node_expired(who(77), choosing.now)
    choosing.passed()
    assert choosing.nodes() == {2}

    wanted = []
    for _ in range(40):
        choosing.passed(TURN)
        wanted.append(1 in choosing.nodes())
    assert 3 <= sum(wanted) <= 4
    assert not any(one and other for one, other in itertools.pairwise(wanted))


def test_of_many_expired_nodes_all_have_their_turn_and_few_at_one_time(choosing: Choosing) -> None:
    gone = set(range(1, 21))
    choosing.knows(*gone, 99)
    for each in gone:
        choosing.wanted.node_expired(who(each), choosing.now)
    tried: set[int] = set()
    choosing.passed(TURNS_OFF)
    for _ in range(12):
        choosing.passed(TURN)
        assert len(choosing.nodes() & gone) <= MOST_EXPIRED
        tried |= choosing.nodes()

    assert tried == {*gone, 99}


def test_an_expired_node_that_returned_is_wanted_as_before(choosing: Choosing) -> None:
    choosing.knows(1, 2)
    choosing.wanted.node_expired(who(1), choosing.now)
    choosing.passed()
    choosing.wanted.node_returned(who(1), choosing.now)
    choosing.passed()
    choosing.wanted.node_returned(who(1), choosing.now)

    assert choosing.nodes() == {1, 2}
    assert choosing.passed(TURNS_OFF) == []


def test_traffic_for_an_expired_node_makes_it_wanted(choosing: Choosing) -> None:
    choosing.knows(1, 2)
    choosing.wanted.node_expired(who(1), choosing.now)
    choosing.wanted.peer_wanted(who(1), choosing.now)
    choosing.passed()

    assert choosing.nodes() == {1, 2}


def test_if_all_are_expired_the_trouble_is_ours_and_everybody_is_wanted(choosing: Choosing) -> None:
    choosing.knows(1, 2)
    for each in (1, 2):
        choosing.wanted.node_expired(who(each), choosing.now)
    choosing.passed()

    assert choosing.nodes() == {1, 2}


def test_a_change_of_our_addresses_gives_every_expired_node_its_turn(choosing: Choosing) -> None:
    choosing.knows(1, 2)
    choosing.wanted.node_expired(who(1), choosing.now)
    choosing.passed()
    assert choosing.nodes() == {2}

    choosing.wanted.addresses_changed(choosing.now)
    choosing.passed()
    assert choosing.nodes() == {1, 2}


def test_the_neighbour_a_pin_names_is_wanted_in_a_crowd_until_the_pin_is_taken_back(crowd: Choosing) -> None:
    stranger = min(set(range(1, 100)) - crowd.nodes())
    before = crowd.nodes()
    crowd.wanted.pins_changed(frozenset({who(stranger), who(777)}))
    crowd.passed()
    assert crowd.nodes() == before | {stranger}, "nobody knows the other one"

    crowd.wanted.pins_changed(frozenset())
    crowd.passed()
    assert crowd.nodes() == before


# On our LANs


def test_in_a_large_mesh_those_on_our_lan_are_wanted_too_though_nobody_else_would_be(crowd: Choosing) -> None:
    near = sorted({*range(1, 100)} - crowd.nodes())[:BY_HASH]
    crowd.nearby = {who(each) for each in near}
    crowd.wanted.node_heard(crowd.now)
    crowd.passed()

    assert crowd.nodes() > {*near}


def test_of_a_large_lan_a_few_are_enough(crowd: Choosing) -> None:
    crowd.nearby = {who(each) for each in range(1, 60)} | {who(500)}
    crowd.wanted.node_heard(crowd.now)
    crowd.passed()

    assert BY_HASH < len(crowd.nodes()) <= 2 * BY_HASH


def test_in_a_small_mesh_the_lan_changes_nothing(choosing: Choosing) -> None:
    choosing.knows(1, 2, 3)
    choosing.passed()
    choosing.nearby = {who(1)}
    choosing.wanted.node_heard(choosing.now)

    assert choosing.passed() == []
