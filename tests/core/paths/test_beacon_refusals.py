"""Beacons of liars: how little whoever lies on a LAN gets out of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse.core.paths.beacon import (
    ALONE_EVERY,
    CHECK_RATE,
    CHECKS,
    JITTER,
    STRANGERS_TOLD,
    TOLD,
    TOLD_RATE,
    UNPLANNED,
    UNPLANNED_RATE,
)
from pulse.core.paths.heard import MOST_STRANGERS
from pulse.core.paths.news import NodeHeard
from pulse.core.types import NodeId
from tests.authority import Ca, node
from tests.core.paths.calls import datagram
from tests.core.paths.lan import ALICE, BOB, ELSEWHERE, STRANGER, THERE, V6_THERE, Story


@pytest.fixture
def story() -> Story:
    return Story()


def test_a_beacon_from_off_the_lan_is_not_even_opened(story: Story) -> None:
    assert story.hears(datagram("alice"), "203.0.113.7", on_link=False) == []
    assert (story.count("elsewhere"), story.count("nodes")) == (1, 0)


@pytest.mark.parametrize("data", [b"", bytes(200), datagram("alice", network=Ca("other ca").network)])
def test_another_networks_beacon_and_noise_are_counted_and_nothing_else(story: Story, data: bytes) -> None:
    assert story.hears(data) == []
    assert (story.count("foreign"), story.count("nodes")) == (1, 0)


def test_a_forged_one_moves_nothing(story: Story) -> None:
    story.hears(datagram("alice"))

    assert story.hears(datagram("alice", 2, signer="mallory"), ELSEWHERE) == []
    assert story.count("forged") == 1
    assert story.beacons.heard.places_of(ALICE) == ("192.0.2.2:8443",)
    assert story.hears(datagram("alice", 2)) == [NodeHeard(ALICE, "192.0.2.2:8443")]


def test_a_recorded_one_that_is_sent_again_later_redirects_nothing(story: Story) -> None:
    recorded = datagram("alice")
    story.hears(recorded)
    story.hears(datagram("alice", 2))

    assert story.hears(recorded, ELSEWHERE) == []
    assert story.count("stale") == 1
    assert story.beacons.heard.places_of(ALICE) == ("192.0.2.2:8443",)


def test_one_with_another_port_under_a_number_that_was_heard_is_no_news(story: Story) -> None:
    story.hears(datagram("alice"))

    assert story.hears(datagram("alice", port=1, signer="mallory"), ELSEWHERE) == []
    assert story.beacons.heard.places_of(ALICE) == ("192.0.2.2:8443",)
    assert story.count("forged") == 1


def test_one_sent_again_at_once_from_everywhere_costs_a_few_dials_and_no_more(story: Story) -> None:
    for host in range(10, 250):
        story.hears(datagram("alice"), f"192.0.2.{host}")
        story.now += 0.1

    assert len(story.told) <= TOLD


def test_a_revoked_node_is_not_heard(story: Story) -> None:
    story.revoked.add(ALICE)

    assert story.hears(datagram("alice")) == []
    assert (story.count("revoked"), story.count("nodes")) == (1, 0)


def test_a_node_whose_certificate_we_do_not_hold_is_met_too(story: Story) -> None:
    assert story.hears(datagram("stranger")) == [NodeHeard(STRANGER, "192.0.2.2:8443")]

    assert STRANGER not in story.beacons.heard.members()


def test_who_makes_keys_all_day_has_us_dial_now_and_then_and_fills_nothing(story: Story) -> None:
    story.hears(datagram("alice"))
    story.passed(100.0)
    story.told.clear()
    for number in range(300):
        story.hears(datagram(f"key {number}"))
        story.now += 0.1

    assert STRANGERS_TOLD <= len(story.told) <= STRANGERS_TOLD + 30 * TOLD_RATE + 1
    assert story.count("nodes") == MOST_STRANGERS + 1
    assert ALICE in story.beacons.heard.members()


def test_meanwhile_a_member_is_met_as_ever(story: Story) -> None:
    for number in range(20):
        story.hears(datagram(f"key {number}"))

    assert story.hears(datagram("alice")) == [NodeHeard(ALICE, "192.0.2.2:8443")]


def test_in_a_flood_so_many_signatures_are_looked_at_and_the_rest_is_counted(story: Story) -> None:
    for seq in range(300):
        story.hears(datagram("alice", seq, signer="mallory"))

    assert (story.count("forged"), story.count("throttled")) == (CHECKS, 300 - CHECKS)
    story.now += 2 / CHECK_RATE
    story.hears(datagram("alice", signer="mallory"))
    assert story.count("forged") == CHECKS + 1


MACHINES = ("alice", "bob", "stranger", "key 1", "key 2", "me")
events = st.one_of(
    st.tuples(st.just("passes"), st.floats(0, 90)),
    st.tuples(st.just("lans"), st.integers(0, 2)),
    st.tuples(
        st.just("hears"),
        st.tuples(
            st.sampled_from(MACHINES),
            st.integers(1, 4),
            st.integers(1, 3),
            st.sampled_from((THERE, V6_THERE, ELSEWHERE)),
            st.sampled_from((None, None, None, "mallory")),
        ),
    ),
    st.tuples(st.just("link"), st.sampled_from((ALICE, BOB, STRANGER))),
    st.tuples(st.just("parts"), st.just(None)),
)


@settings(max_examples=60)
@given(st.lists(events, max_size=40))
def test_whatever_happens_what_we_say_and_dial_stays_within_its_bounds(happened: list[tuple[str, object]]) -> None:
    story, said = Story(), set[tuple[str, int, int]]()
    for what, detail in happened:
        match what, detail:
            case "passes", float(seconds):
                story.passed(seconds)
            case "lans", int(count):
                story.lans(count)
            case "hears", (str(machine), int(seq), int(boot), str(source), signer):
                said |= {(machine, seq, boot)} if signer is None else set()
                for told in story.hears(datagram(machine, seq, boot, signer=signer), source):  # type: ignore[arg-type]
                    assert told.node not in story.linked
                    assert (machine, seq, boot) in said, "what it never said is not believed"
            case "link", str(who):
                story.link(NodeId(who))
            case "parts", _:
                story.linked.clear()
    elapsed = story.now - 1000.0
    planned = elapsed / (ALONE_EVERY * (1 - JITTER)) + 1
    assert len(story.sent) <= UNPLANNED + elapsed * UNPLANNED_RATE + planned + 1
    assert len({said.seq for _, said in story.sent}) == len(story.sent)
    for who in {each.node for _, each in story.told}:
        most = TOLD if who in story.members else STRANGERS_TOLD
        assert sum(each.node == who for _, each in story.told) <= most + elapsed * TOLD_RATE + 1


def test_of_a_crowd_few_dial_a_newcomer_and_whoever_wants_it(story: Story) -> None:
    names = [f"n{number}" for number in range(60)]
    story.settled()
    story.members |= {node(name) for name in names}
    for name in names:
        story.hears(datagram(name))
        story.passed(1.0)

    dialled = [name for name in names if story.hears(datagram(name, 2))]
    left = next(name for name in names if name not in dialled)
    assert 0 < len(dialled) < 20
    story.wanted.add(node(left))
    assert story.hears(datagram(left, 3)) == [NodeHeard(node(left), "192.0.2.2:8443")]
