"""When this node speaks of itself: at once where it matters, seldom where it does not, never twice the same."""

from itertools import pairwise

import pytest

from pulse.core.effects import WARNING, Log, StoreBoot
from pulse.core.messages import RECORD_LIMIT
from pulse.core.paths.announce import (
    AT_ONCE,
    CLONE_MOST,
    FIGURES,
    FIGURES_MOST,
    GATHER_MOST,
    PEACE,
    REACHABLE_FOR,
)
from pulse.core.paths.noderecord import (
    EXIT,
    MOST_CANDIDATES,
    NUMBER_LIMIT,
    REACHABLE,
    UNMEASURED,
    Service,
    certificate_hash,
)
from tests.authority import NOW
from tests.core.paths.records import CA, VERSION, cert, handle, machine
from tests.core.paths.speaker import Speaker, listed

HOME = "203.0.113.7:443"


@pytest.fixture
def speaker() -> Speaker:
    speaker = Speaker()
    speaker.take(speaker.announce.addresses_changed([HOME], speaker.now))
    speaker.up(2)
    speaker.run(10.0)
    return speaker


def test_every_version_says_what_listens_here() -> None:
    postgres = Service("postgres", 5432, 10)
    speaker = Speaker(services=[postgres])
    speaker.up(2)
    speaker.run(10.0)
    speaker.up(3)
    speaker.run(10.0)
    assert [made.services for made in speaker.made] == [(postgres,), (postgres,)]


# Links


def test_without_a_neighbour_there_is_nobody_to_tell() -> None:
    speaker = Speaker()
    speaker.take(speaker.announce.addresses_changed([HOME], speaker.now))
    assert speaker.announce.deadline() is None
    assert speaker.announce.numbers == (1, 0)


def test_the_first_version_says_all_there_is(speaker: Speaker) -> None:
    (made,) = speaker.made
    assert made.numbers == speaker.announce.numbers == (1, 1)
    assert (made.node, made.certificate) == (cert(1).node_id, certificate_hash(cert(1)))
    assert (made.candidates, made.version, made.flags) == ((HOME,), VERSION, 0)
    (neighbour,) = made.adjacencies()
    assert neighbour == (handle(2), 0.01, 0.0)


def test_ranges_offered_are_told_with_their_flag_and_taken_back(speaker: Speaker) -> None:
    speaker.take(speaker.announce.exits_offered(["0.0.0.0/0", "192.168.7.0/24"], speaker.now))
    speaker.run(1.0)
    speaker.take(speaker.announce.exits_offered([], speaker.now))
    speaker.run(1.0)

    assert [(each.exits, each.flags) for each in speaker.made[1:]] == [(("0.0.0.0/0", "192.168.7.0/24"), EXIT), ((), 0)]


def test_what_a_record_cannot_hold_costs_it_its_last_candidates_and_no_link() -> None:
    services = [Service(f"a-long-service{place}"[:15], 65535, 65535) for place in range(8)]
    speaker = Speaker(boot=NUMBER_LIMIT, services=services)
    candidates = [f"[2001:db8:1111:2222:3333:4444:5555:{place}666]:65535" for place in range(1, 7)]
    ranges = [f"2001:db8:1111:2222:3333:4444:5555:{place}660/124" for place in range(1, 9)]
    speaker.take(speaker.announce.addresses_changed(candidates, speaker.now))
    speaker.take(speaker.announce.exits_offered(ranges, speaker.now))
    speaker.up(*range(2, 34))
    speaker.run(60.0)

    made = speaker.newest()
    assert (len(listed(made)), made.services, made.exits) == (32, tuple(services), tuple(ranges))
    assert len(made.data) <= RECORD_LIMIT
    assert 0 < len(made.candidates) < len(candidates)
    assert made.candidates == tuple(candidates[: len(made.candidates)]), "the best ones"


def test_links_of_one_moment_make_one_version(speaker: Speaker) -> None:
    speaker.up(3, 4)
    speaker.down(2)
    (made,) = speaker.run(AT_ONCE)
    assert listed(made) == [handle(3), handle(4)]


def test_a_link_that_came_and_went_before_it_was_told_makes_no_version(speaker: Speaker) -> None:
    speaker.up(3)
    speaker.down(3)
    speaker.down(3)
    assert speaker.run(10.0) == []


def test_two_links_with_one_neighbour_are_one(speaker: Speaker) -> None:
    speaker.up(2)
    assert speaker.announce.deadline() is None


def test_in_a_big_mesh_a_link_that_went_is_told_at_once_and_new_ones_together() -> None:
    speaker = Speaker(nodes=1000)
    speaker.up(2)
    assert speaker.run(GATHER_MOST / 2) == []
    speaker.up(3)
    (first,) = speaker.run(GATHER_MOST / 2)
    assert listed(first) == [handle(2), handle(3)]
    speaker.up(4)
    assert speaker.run(4.9) == []
    speaker.down(2)
    (second,) = speaker.run(AT_ONCE)
    assert listed(second) == [handle(3), handle(4)]


def test_a_link_not_measured_yet_is_far_away_until_it_is(speaker: Speaker) -> None:
    speaker.up(3, rtt=None)
    (made,) = speaker.run(1.0)
    assert [each.rtt for each in made.adjacencies()] == [0.01, UNMEASURED]
    speaker.measured(3, 0.02)
    (made,) = speaker.run(1.0)
    assert [each.rtt for each in made.adjacencies()] == [0.01, 0.02]


def test_the_first_figures_of_a_link_do_not_wait_their_turn_with_others() -> None:
    speaker = Speaker(nodes=1000)
    speaker.up(2)
    speaker.run(400.0)
    speaker.measured(2, 0.5)
    speaker.run(0.0)
    speaker.up(3, rtt=None)
    speaker.run(10.0)
    speaker.measured(3, 0.02)
    assert [each.rtt for each in speaker.run(10.0)[-1].adjacencies()] == [0.5, 0.02]


# Figures


@pytest.mark.parametrize(
    ("before", "after", "loss", "told"),
    [
        (0.010, 0.014, 0.0, False),
        (0.010, 0.016, 0.0, True),
        (0.100, 0.110, 0.0, False),
        (0.100, 0.121, 0.0, True),
        (0.100, 0.079, 0.0, True),
        (0.001, 0.001, 0.5, False),
        (0.100, 0.100, 0.1, True),
    ],
)
def test_figures_are_told_if_they_changed_much_and_by_much(
    before: float, after: float, loss: float, told: bool
) -> None:
    speaker = Speaker()
    speaker.up(2, rtt=before)
    speaker.run(10.0)
    speaker.measured(2, after, loss)
    assert len(speaker.run(FIGURES)) == told


def test_figures_that_went_back_before_their_time_are_not_told(speaker: Speaker) -> None:
    speaker.measured(2, 0.050)
    speaker.run(0.0)
    speaker.measured(2, 0.100)
    speaker.measured(2, 0.050)
    assert speaker.run(600.0) == []
    assert [each.rtt for each in speaker.newest().adjacencies()] == [0.050]


def test_figures_that_go_on_changing_are_told_ever_more_seldom(speaker: Speaker) -> None:
    times = []
    for second in range(1200):
        speaker.measured(2, 0.05 if second % 2 else 0.5)
        if speaker.run(1.0):
            times.append(second)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps[0] <= FIGURES + 1
    assert all(later >= earlier - 2 for earlier, later in pairwise(gaps))
    assert gaps[-1] >= FIGURES_MOST - 2
    assert len(times) < 15


def test_after_calm_figures_are_told_soon_again(speaker: Speaker) -> None:
    for second in range(100):
        speaker.measured(2, 0.05 if second % 2 else 0.5)
        speaker.run(1.0)
    speaker.run(700.0)
    speaker.measured(2, 0.2)
    assert len(speaker.run(0.0)) == 1
    speaker.measured(2, 0.1)
    assert len(speaker.run(FIGURES)) == 1


def test_in_a_big_mesh_figures_wait_longer() -> None:
    speaker = Speaker(nodes=100)
    speaker.up(2)
    speaker.run(100.0)
    speaker.measured(2, 0.1)
    assert len(speaker.run(0.0)) == 1
    speaker.measured(2, 0.2)
    assert speaker.run(29.0) == []
    assert len(speaker.run(2.0)) == 1


def test_figures_of_a_stranger_mean_nothing(speaker: Speaker) -> None:
    speaker.measured(9, 0.5)
    assert speaker.announce.deadline() is None
    speaker.up(3)
    speaker.measured(3, 0.5)
    (made,) = speaker.run(1.0)
    assert [each.rtt for each in made.adjacencies()] == [0.01, 0.5]


# What else it says


def test_only_places_others_may_dial_are_candidates(speaker: Speaker) -> None:
    many = [f"203.0.113.{number}:443" for number in range(1, 10)]
    speaker.take(speaker.announce.addresses_changed(["127.0.0.1:1", "[fe80::1]:1", *many, many[0]], speaker.now))
    (made,) = speaker.run(1.0)
    assert list(made.candidates) == many[:MOST_CANDIDATES]
    speaker.take(speaker.announce.addresses_changed(many, speaker.now))
    assert speaker.run(1.0) == []


def test_an_inbound_link_makes_it_reachable_for_a_day(speaker: Speaker) -> None:
    speaker.take(speaker.announce.inbound_link_accepted(speaker.now))
    (made,) = speaker.run(1.0)
    assert made.flags == REACHABLE
    speaker.run(REACHABLE_FOR / 2)
    speaker.take(speaker.announce.inbound_link_accepted(speaker.now))
    assert speaker.run(REACHABLE_FOR * 0.9) == []
    (made,) = speaker.run(REACHABLE_FOR * 0.2)
    assert made.flags == 0


def test_a_renewed_certificate_is_named_at_once(speaker: Speaker) -> None:
    renewed = CA.certificate(machine(1), addresses=cert(1).addresses, not_before=NOW)
    speaker.take(speaker.announce.certificate_renewed(renewed, speaker.now))
    (made,) = speaker.run(AT_ONCE)
    assert made.certificate == certificate_hash(renewed)


# Clones and lost state


def test_a_newer_record_of_its_key_makes_it_go_above(speaker: Speaker) -> None:
    told = speaker.take(speaker.announce.own_record_seen(7, 90, same_numbers=False, now=speaker.now))
    assert told[:2] == [StoreBoot(8), Log("clone or lost state", WARNING, {"boot": 8})]
    assert speaker.newest().numbers == speaker.announce.numbers == (8, 1)
    assert listed(speaker.newest()) == [handle(2)]


def test_its_own_numbers_with_other_bytes_do_too(speaker: Speaker) -> None:
    speaker.take(speaker.announce.own_record_seen(1, 1, same_numbers=True, now=speaker.now))
    assert speaker.newest().numbers == (2, 1)


@pytest.mark.parametrize(("boot", "seq"), [(0, 9), (1, 0), (1, 1)])
def test_what_it_has_passed_is_no_news(speaker: Speaker, boot: int, seq: int) -> None:
    assert speaker.announce.own_record_seen(boot, seq, same_numbers=False, now=speaker.now) == []
    assert speaker.announce.deadline() is None


def test_with_a_living_clone_it_quarrels_ever_more_slowly(speaker: Speaker) -> None:
    times = []
    for second in range(3600):
        boot = speaker.announce.numbers[0]
        speaker.take(speaker.announce.own_record_seen(boot + 1, 1, same_numbers=False, now=speaker.now))
        speaker.run(1.0)
        if speaker.announce.numbers[0] != boot:
            times.append(second)
    assert len(times) < 25
    assert times[-1] - times[-2] >= CLONE_MOST - 1
    speaker.run(PEACE + CLONE_MOST)
    before = speaker.announce.numbers[0]
    speaker.take(speaker.announce.own_record_seen(before, 99, same_numbers=False, now=speaker.now))
    assert speaker.announce.numbers[0] == before + 1


def test_at_the_end_of_all_boot_counts_it_goes_above_in_seq(speaker: Speaker) -> None:
    speaker.take(speaker.announce.own_record_seen(NUMBER_LIMIT, 5, same_numbers=False, now=speaker.now))
    assert speaker.newest().numbers == (NUMBER_LIMIT, 6)
    speaker.now += 2 * PEACE
    made = len(speaker.made)
    speaker.take(speaker.announce.own_record_seen(NUMBER_LIMIT, NUMBER_LIMIT, same_numbers=False, now=speaker.now))
    speaker.up(3)
    speaker.run(10.0)
    assert len(speaker.made) == made
