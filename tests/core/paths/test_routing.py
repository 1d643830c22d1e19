"""Routing: neighbours have routes, everybody has addresses, nobody else has either."""

from pulse.core.effects import Owner
from pulse.core.paths.neighbours import Neighbour
from pulse.core.paths.routing import FULL_SHARE, direct_routes, owners
from pulse.core.types import LinkId
from tests.authority import Ca, node
from tests.mint import member

CA = Ca()
ME, ALICE, BOB = (member(CA, name, place) for place, name in enumerate(("me", "alice", "bob"), start=1))
HANDLES = {each.node_id: each.addresses.v4 for each in (ME, ALICE, BOB)}


def neighbour(link: int, name: str) -> Neighbour:
    return Neighbour(LinkId(link), node(name), "quic", "192.0.2.1:443", dialled=True, since=0.0)


def test_a_neighbour_is_reached_by_its_link() -> None:
    assert direct_routes([neighbour(7, "alice")], HANDLES) == {ALICE.addresses.v4: ((LinkId(7), FULL_SHARE),)}


def test_of_two_links_with_a_node_the_newest_serves() -> None:
    routes = direct_routes([neighbour(7, "alice"), neighbour(9, "alice")], HANDLES)

    assert routes[ALICE.addresses.v4] == ((LinkId(9), FULL_SHARE),)


def test_a_node_without_a_link_has_no_route() -> None:
    assert BOB.addresses.v4 not in direct_routes([neighbour(7, "alice")], HANDLES)


def test_a_link_with_a_node_whose_certificate_is_unknown_has_no_route() -> None:
    assert direct_routes([neighbour(7, "stranger")], HANDLES) == {}


def test_every_member_but_us_owns_its_two_addresses_and_no_more() -> None:
    assert owners([ME, ALICE], ME.node_id, packets=True) == (
        Owner("10.100.0.2/32", ALICE.node_id, destination=True, source=True),
        Owner(f"{ALICE.addresses.v6}/128", ALICE.node_id, destination=True, source=True),
    )


def test_a_node_without_a_device_talks_in_sessions_and_lets_no_packet_in_or_out() -> None:
    without = owners([ME, ALICE], ME.node_id, packets=False)

    assert len(without) == 2
    assert not any(owner.destination or owner.source for owner in without)
