"""Sight: what neighbours say of us counts while they are there, and has a place among what this machine knows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.effects import CloseLink, Log, SendMessage
from pulse.core.messages import Observed, decode
from pulse.core.paths.nat import Mapping, Nat
from pulse.core.paths.sight import CLOCK_TOLERANCE, OBSERVED_TOLD, SIGHTING_RATE, SIGHTINGS, Sight
from pulse.core.types import LinkId
from tests.authority import node
from tests.mint import link_up

ONE, TWO, THREE = LinkId(1), LinkId(2), LinkId(3)
LAN = tuple(f"192.168.1.{number}:443" for number in range(5))


@pytest.fixture
def sight() -> Sight:
    return Sight()


# Addresses


def test_a_neighbour_is_told_where_it_is_seen_unless_that_is_the_far_end_of_a_websocket(sight: Sight) -> None:
    (told,) = sight.link_opened(link_up(node("alice"), 1, observed="203.0.113.7:443"))
    assert isinstance(told, SendMessage)
    assert decode(told.payload) == Observed("203.0.113.7", 443)

    assert sight.link_opened(link_up(node("alice"), 2, observed="203.0.113.7:50123", transport="websocket")) == []


def test_a_neighbour_that_moved_is_told_so_no_more_often_than_it_would_listen(sight: Sight) -> None:
    sight.link_opened(link_up(node("alice"), 1, observed="203.0.113.7:443"))
    told = [effect for port in range(1, 100) for effect in sight.link_moved(ONE, f"203.0.113.7:{port}", 0.0)]
    assert [decode(each.payload) for each in told if isinstance(each, SendMessage)] == [
        Observed("203.0.113.7", port) for port in range(1, SIGHTINGS)
    ]

    assert sight.link_moved(ONE, "203.0.113.7:443", 1 / SIGHTING_RATE) != []
    sight.link_closed(ONE)
    assert sight.link_moved(TWO, "203.0.113.7:443", 0.0) != []


def test_an_address_two_neighbours_see_is_one_until_both_are_gone(sight: Sight) -> None:
    for link in (ONE, TWO):
        assert sight.observed(link, "203.0.113.7", 443, 0.0) == []
    sight.observed(THREE, "2001:DB8::7", 443, 0.0)
    assert sight.addresses() == ["203.0.113.7:443", "[2001:db8::7]:443"]

    sight.link_closed(ONE)
    assert "203.0.113.7:443" in sight.addresses()
    sight.link_closed(TWO)
    assert sight.addresses() == ["[2001:db8::7]:443"]


def test_where_a_socket_is_seen_that_one_link_has_for_itself_is_no_place_of_ours(sight: Sight) -> None:
    for number, name in enumerate(("alice", "bob", "carol"), 1):
        sight.link_opened(link_up(node(name), number), apart=number == THREE)
    sight.observed(ONE, "203.0.113.7", 40_001, 0.0)
    sight.observed(TWO, "203.0.113.7", 40_002, 0.0)
    sight.observed(THREE, "203.0.113.7", 40_001, 0.0)

    assert sight.nat() == Nat(Mapping.SYMMETRIC, 2)
    sight.link_closed(THREE)
    sight.link_opened(link_up(node("carol"), THREE))
    sight.observed(THREE, "203.0.113.7", 40_001, 0.0)
    assert sight.nat() == Nat(Mapping.CONE, 3)


def test_the_places_seen_through_a_nat_are_those_no_interface_has(sight: Sight) -> None:
    sight.addresses_changed(LAN)
    for link, host in ((ONE, "192.168.1.0"), (TWO, "203.0.113.7"), (THREE, "2001:db8::7")):
        sight.observed(link, host, 443, 0.0)

    assert sight.outer() == ["203.0.113.7:443"]


def test_a_neighbour_that_sees_us_elsewhere_by_now_counts_once(sight: Sight) -> None:
    sight.observed(ONE, "203.0.113.7", 443, 0.0)
    sight.observed(ONE, "203.0.113.8", 443, 0.0)

    assert sight.addresses() == ["203.0.113.8:443"]


def test_the_zone_of_an_address_is_dropped(sight: Sight) -> None:
    sight.observed(ONE, "2001:db8::1%eth0", 443, 0.0)

    assert sight.addresses() == ["[2001:db8::1]:443"]


@pytest.mark.parametrize("host", ["fe80::1", "fe80::1%eth0", "169.254.7.7"])
def test_an_address_that_means_something_on_one_lan_only_is_not_told(sight: Sight, host: str) -> None:
    assert sight.observed(ONE, host, 443, 0.0) == []

    assert sight.addresses() == []


@pytest.mark.parametrize(("host", "port"), [("", 443), ("vm-01", 443), ("300.1.1.1", 443), ("203.0.113.7", 0)])
def test_a_neighbour_that_sees_us_at_no_address_is_closed(sight: Sight, host: str, port: int) -> None:
    close, log = sight.observed(ONE, host, port, 0.0)

    assert close == CloseLink(ONE, "protocol")
    assert isinstance(log, Log)
    assert sight.addresses() == []


def test_what_most_neighbours_see_goes_first_whatever_a_single_one_makes_up(sight: Sight) -> None:
    sight.observed(ONE, "1.1.1.1", 1, 0.0)
    for link in (TWO, THREE):
        sight.observed(link, "203.0.113.7", 443, 0.0)

    assert sight.candidates() == ("203.0.113.7:443", "1.1.1.1:1")


def test_a_neighbour_that_sees_us_elsewhere_all_day_is_listened_to_now_and_then(sight: Sight) -> None:
    heard = set[str]()
    for port in range(1, 100):
        sight.observed(ONE, "203.0.113.7", port, 0.0)
        heard.update(sight.addresses())
    assert len(heard) == SIGHTINGS

    sight.observed(TWO, "203.0.113.7", 443, 0.0)
    sight.observed(ONE, "203.0.113.7", 443, 1 / SIGHTING_RATE)
    assert sight.addresses() == ["203.0.113.7:443"]


# Candidates


def test_what_neighbours_see_stands_behind_the_best_of_what_the_machine_knows(sight: Sight) -> None:
    sight.addresses_changed(LAN)
    for link in range(1, 6):
        sight.observed(LinkId(link), f"203.0.113.{link}", 443, 0.0)
    seen = tuple(f"203.0.113.{link}:443" for link in range(1, 1 + OBSERVED_TOLD))

    assert sight.candidates() == (*LAN[:OBSERVED_TOLD], *seen, *LAN[OBSERVED_TOLD:])


def test_a_mapped_port_goes_first_and_is_told_once(sight: Sight) -> None:
    sight.addresses_changed(LAN[:1])
    sight.observed(ONE, "203.0.113.1", 443, 0.0)
    sight.port_mapped("203.0.113.7:8443")
    assert sight.candidates() == ("203.0.113.7:8443", *LAN[:1], "203.0.113.1:443")

    sight.observed(ONE, "203.0.113.7", 8443, 0.0)
    assert sight.candidates() == ("203.0.113.7:8443", *LAN[:1])
    sight.port_mapped(None)
    assert sight.candidates() == (*LAN[:1], "203.0.113.7:8443")


def test_an_address_the_machine_knows_itself_is_told_once(sight: Sight) -> None:
    sight.addresses_changed(LAN[:1])
    sight.observed(ONE, "192.168.1.0", 443, 0.0)

    assert sight.candidates() == LAN[:1]


def test_a_machine_that_has_other_addresses_by_now_tells_only_those(sight: Sight) -> None:
    sight.addresses_changed(LAN)
    sight.addresses_changed(LAN[4:])

    assert sight.candidates() == LAN[4:]


# The clock


def test_our_clock_is_judged_by_the_median_of_the_neighbours(sight: Sight) -> None:
    assert sight.clock_offset() == 0.0
    for link, offset in ((ONE, -2.0), (TWO, 1.0), (THREE, 90000.0)):
        sight.clock_compared(link, offset)
    assert sight.clock_offset() == 1.0

    sight.link_closed(THREE)
    assert sight.clock_offset() == 0.0
    sight.link_closed(TWO)
    assert sight.clock_offset() == -2.0


@pytest.mark.parametrize("lie", [3600.0, -3600.0, 7973 * 365 * 86400.0])
@pytest.mark.parametrize("honest", [1, 2, 3, 4])
def test_one_neighbour_that_lies_about_its_clock_switches_no_rules_off_where_another_is_honest(
    sight: Sight, lie: float, honest: int
) -> None:
    for link in range(honest):
        sight.clock_compared(LinkId(link + 1), 0.5 * link)
    sight.clock_compared(LinkId(9), lie)

    assert sight.clock_agrees()
    assert abs(sight.clock_offset()) <= 1.0


@pytest.mark.parametrize("neighbours", [1, 2, 3, 4])
def test_a_clock_that_is_wrong_is_found_by_neighbours_that_agree_however_few(sight: Sight, neighbours: int) -> None:
    for link in range(neighbours):
        sight.clock_compared(LinkId(link + 1), 7200.0 + link)

    assert not sight.clock_agrees()
    assert 7200.0 <= sight.clock_offset() <= 7203.0


def test_a_clock_that_is_wrong_is_found_by_two_of_three_though_the_third_says_it_is_right(sight: Sight) -> None:
    for link, offset in ((ONE, -7200.0), (TWO, -7201.0), (THREE, 0.0)):
        sight.clock_compared(link, offset)

    assert sight.clock_offset() == -7200.0


def test_two_links_with_one_neighbour_are_one_voice_about_the_clock(sight: Sight) -> None:
    for link, transport in ((1, "quic"), (2, "websocket")):
        sight.link_opened(link_up(node("alice"), link, transport=transport))
        sight.clock_compared(LinkId(link), 3600.0)
    sight.link_opened(link_up(node("bob"), 3))
    sight.clock_compared(THREE, 0.0)

    assert sight.clock_agrees()
    assert not sight.clock_vouched()


@pytest.mark.parametrize("offset", [CLOCK_TOLERANCE, -CLOCK_TOLERANCE])
def test_a_clock_is_vouched_for_by_neighbours_that_agree_and_by_nobody_else(sight: Sight, offset: float) -> None:
    assert not sight.clock_vouched()

    sight.clock_compared(ONE, offset)
    assert sight.clock_vouched()
    sight.clock_compared(ONE, offset * 1.01)
    assert not sight.clock_vouched()


def test_a_clock_is_not_vouched_for_by_half_of_the_neighbours_nor_by_two_lies_that_meet_there(sight: Sight) -> None:
    sight.clock_compared(ONE, 86400.0)
    sight.clock_compared(TWO, 0.0)
    assert not sight.clock_vouched()
    sight.clock_compared(TWO, -86400.0)
    assert not sight.clock_vouched()

    for link in (TWO, THREE):
        sight.clock_compared(link, 1.0)
    assert sight.clock_vouched()


def test_a_clock_that_was_set_right_is_right_for_the_neighbours_of_before_too(sight: Sight) -> None:
    sight.clock_read(1000.0, 50.0)
    sight.clock_compared(ONE, -7200.0)
    assert not sight.clock_agrees()

    sight.clock_read(8210.0, 60.0)
    assert sight.clock_agrees()
    assert sight.clock_offset() == 0.0


@given(offsets=st.dictionaries(st.integers(1, 9).map(LinkId), st.floats(-1e6, 1e6), min_size=1))
def test_whatever_neighbours_say_our_clock_is_no_further_off_than_the_worst_of_them(
    offsets: dict[LinkId, float],
) -> None:
    sight = Sight()
    for link, offset in offsets.items():
        sight.clock_compared(link, offset)

    assert min(0.0, *offsets.values()) <= sight.clock_offset() <= max(0.0, *offsets.values())


def test_a_place_that_one_neighbour_alone_sees_us_at_may_be_another_nodes(sight: Sight) -> None:
    sight.addresses_changed(LAN[:1])
    sight.observed(ONE, "203.0.113.7", 443, 0.0)
    assert sight.own() == LAN[:1]

    sight.observed(TWO, "203.0.113.7", 443, 0.0)
    assert sight.own() == (LAN[0], "203.0.113.7:443")


def test_two_links_with_one_neighbour_are_one_voice(sight: Sight) -> None:
    for link in (1, 2):
        sight.link_opened(link_up(node("alice"), link, observed="198.51.100.1:443"))
        sight.observed(LinkId(link), "203.0.113.7", 443, 0.0)

    assert sight.own() == ()
    assert sight.nat().observers == 1
