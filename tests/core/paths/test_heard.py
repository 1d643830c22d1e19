"""Heard: who is on the LANs, by what each said last; and how little of it whoever lies there can make us keep."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.messages import Beacon
from pulse.core.paths import heard as module
from pulse.core.paths.heard import MOST_PLACES, SILENT_AFTER, Arrival, Heard
from pulse.core.types import NodeId
from tests.authority import NOW, node
from tests.core.paths.calls import beacon

ALICE, BOB = node("alice"), node("bob")
V4, V6, ELSEWHERE = "192.0.2.2:8443", "[fe80::2%3]:8443", "192.0.2.9:8443"


@pytest.fixture
def heard() -> Heard:
    return Heard()


def take(heard: Heard, said: Beacon, place: str = V4, now: float = 0.0, who: NodeId = ALICE) -> Arrival:
    """It is news, and taken."""
    assert heard.is_news(who, said, place)
    return heard.take(who, said, place, now, is_member=True)


def test_a_node_is_where_it_was_heard(heard: Heard) -> None:
    assert take(heard, beacon("alice")) is Arrival.COME

    assert (heard.places_of(ALICE), heard.places_of(BOB)) == ((V4,), ())
    assert [*heard.members()] == [ALICE]


def test_one_beacon_over_both_families_is_two_places_and_one_arrival(heard: Heard) -> None:
    take(heard, beacon("alice"))

    assert take(heard, beacon("alice"), V6) is Arrival.NOTHING
    assert heard.places_of(ALICE) == (V4, V6)


def test_what_was_believed_once_need_not_be_proven_again(heard: Heard) -> None:
    take(heard, beacon("alice"))

    assert heard.is_believed(ALICE, beacon("alice"))
    for other in (beacon("alice", port=1), beacon("alice", 2), beacon("alice", clock=NOW + 1)):
        assert not heard.is_believed(ALICE, other)
    assert not heard.is_believed(BOB, beacon("bob"))


def test_the_next_beacon_over_either_is_no_arrival(heard: Heard) -> None:
    take(heard, beacon("alice"))
    take(heard, beacon("alice"), V6)

    assert take(heard, beacon("alice", 2), V6) is Arrival.NOTHING
    assert take(heard, beacon("alice", 2), V4) is Arrival.NOTHING
    assert heard.places_of(ALICE) == (V6, V4)


def test_a_node_that_moved_comes_anew_and_is_only_where_it_is_now(heard: Heard) -> None:
    take(heard, beacon("alice"))

    assert take(heard, beacon("alice", 2), ELSEWHERE) is Arrival.COME
    assert heard.places_of(ALICE) == (ELSEWHERE,)


def test_a_node_that_started_again_has_another_life(heard: Heard) -> None:
    take(heard, beacon("alice", 7))

    assert take(heard, beacon("alice", 1, boot=2)) is Arrival.RESTARTED


@pytest.mark.parametrize(
    "old",
    [beacon("alice", 5, 3), beacon("alice", 4, 3), beacon("alice", 9, 2), beacon("alice", 9, 2, clock=NOW)],
    ids=["the same", "one before", "of an earlier life", "of an earlier life at the same time"],
)
def test_what_was_said_before_is_no_news(heard: Heard, old: Beacon) -> None:
    take(heard, beacon("alice", 5, 3))

    assert not heard.is_news(ALICE, old, V4)


def test_a_node_that_lost_its_boot_count_is_told_from_an_old_beacon_by_its_clock(heard: Heard) -> None:
    take(heard, beacon("alice", 5, 3))

    assert take(heard, beacon("alice", 1, 1, clock=NOW + 60)) is Arrival.RESTARTED


def test_the_last_beacon_sent_again_from_many_places_adds_few_and_the_next_one_ends_that(heard: Heard) -> None:
    take(heard, beacon("alice"))
    replayed = [f"192.0.2.{host}:8443" for host in range(10, 100)]
    for place in replayed:
        if heard.is_news(ALICE, beacon("alice"), place):
            take(heard, beacon("alice"), place)

    assert heard.places_of(ALICE) == (V4, *replayed[: MOST_PLACES - 1])
    take(heard, beacon("alice", 2))
    assert heard.places_of(ALICE) == (V4,)


def test_who_is_silent_for_long_is_gone(heard: Heard) -> None:
    take(heard, beacon("alice"), now=10.0)
    take(heard, beacon("bob"), now=20.0, who=BOB)

    heard.forget_silent(10.0 + SILENT_AFTER)

    assert [*heard.members()] == [BOB]
    assert heard.places_of(ALICE) == ()


def test_strangers_push_each_other_out_and_never_a_member(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_STRANGERS", 2)
    take(heard, beacon("alice"))
    for name in ("s1", "s2", "s3"):
        heard.take(node(name), beacon(name), V4, 0.0, is_member=False)

    assert [*heard.members()] == [ALICE]
    assert [bool(heard.places_of(node(name))) for name in ("s1", "s2", "s3")] == [False, True, True]


def test_a_stranger_whose_certificate_came_is_a_member_from_then_on(heard: Heard) -> None:
    heard.take(ALICE, beacon("alice"), V4, 0.0, is_member=False)
    assert [*heard.members()] == []

    assert take(heard, beacon("alice", 2)) is Arrival.NOTHING
    assert ([*heard.members()], len(heard)) == ([ALICE], 1)


NAMES = ("alice", "bob", "carol")
said = st.tuples(
    st.sampled_from(NAMES),
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(0, 3),
    st.sampled_from((V4, V6, ELSEWHERE)),
)


@given(st.lists(said, max_size=40))
def test_whatever_comes_in_any_order_nothing_goes_back(sequence: list[tuple[str, int, int, int, str]]) -> None:
    """Against what a plain list of all that was taken says."""
    heard, taken = Heard(), dict[str, list[tuple[int, int, int]]]()
    for name, boot, seq, minute, place in sequence:
        told = beacon(name, seq, boot, clock=NOW + 60 * minute)
        if not heard.is_news(node(name), told, place):
            continue
        heard.take(node(name), told, place, 0.0, is_member=True)
        before = taken.setdefault(name, [])
        if before:
            last_boot, last_seq, last_minute = before[-1]
            assert (boot, seq) >= (last_boot, last_seq) or (boot < last_boot and minute > last_minute)
        before.append((boot, seq, minute))
        assert heard.places_of(node(name))[-1] == place
        assert len(heard.places_of(node(name))) <= MOST_PLACES
    assert len(heard) == len(taken)
