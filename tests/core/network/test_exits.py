"""Exits: healthy before near, sticky, and approved ranges that are never left to the network below."""

from ipaddress import ip_network

from pulse.core.effects import RangeUse
from pulse.core.network.exits import Exits, Offer, approved_offers
from pulse.core.network.ranges import Range
from pulse.core.network.routes import Route
from pulse.core.trust.identity import node_bytes
from pulse.core.types import NodeId
from tests.authority import node

NEAR, FAR = sorted((node("near"), node("far")))
INTERNET: Range = ip_network("0.0.0.0/0")
LAN: Range = ip_network("192.168.7.0/24")
NOBODY = frozenset[NodeId]()
OURS = frozenset[Range]()


def offer(who: NodeId, score: float | None, cidr: Range = INTERNET, *tags: str) -> Offer:
    return Offer(who, tags, cidr, score)


def route(who: NodeId, cidr: str, *, approved: bool = True) -> Route:
    return Route(node_bytes(who), cidr, approved=approved)


def used(exits: Exits, *offers: Offer) -> NodeId | None:
    (use,) = exits.chosen({INTERNET: offers})
    return use.node


def test_the_nearest_is_taken_and_kept_when_another_comes_nearer() -> None:
    exits = Exits()

    assert used(exits, offer(FAR, 50.0), offer(NEAR, 5.0)) == NEAR
    assert used(exits, offer(FAR, 1.0), offer(NEAR, 5.0)) == NEAR


def test_one_that_fails_gives_way_at_once_and_the_next_is_kept_when_it_is_back() -> None:
    exits = Exits()
    offers = offer(FAR, 50.0), offer(NEAR, 5.0)
    assert used(exits, *offers) == NEAR

    assert exits.judged(NEAR, healthy=False)
    assert not exits.judged(NEAR, healthy=False)
    assert used(exits, *offers) == FAR
    assert exits.judged(NEAR, healthy=True)
    assert used(exits, *offers) == FAR
    assert used(exits, offer(FAR, None), offer(NEAR, 5.0)) == NEAR


def test_without_a_healthy_exit_the_range_stays_and_has_nobody() -> None:
    exits = Exits()
    exits.judged(NEAR, healthy=False)

    assert exits.chosen({INTERNET: [offer(NEAR, 5.0), offer(FAR, None)]}) == (RangeUse("0.0.0.0/0", None),)
    assert exits.chosen({}) == ()


def test_nobody_uses_what_is_not_approved() -> None:
    offers = [offer(NEAR, 5.0), offer(NEAR, 5.0, LAN)]

    assert approved_offers(offers, [route(NEAR, "0.0.0.0/0", approved=False)], {}, NOBODY, OURS) == {}
    found = approved_offers(offers, [route(NEAR, "192.168.7.0/24")], {}, NOBODY, OURS)
    assert found == {LAN: [offers[1]]}
    assert approved_offers(offers, [route(FAR, "0.0.0.0/0")], {}, NOBODY, OURS) == {INTERNET: []}


def test_a_tag_approves_a_part_of_its_range_and_never_the_internet() -> None:
    offers = [offer(NEAR, 5.0, INTERNET, "site"), offer(NEAR, 5.0, LAN, "site"), offer(FAR, 5.0, LAN)]

    assert approved_offers(offers, [], {"192.168.0.0/16": "site"}, NOBODY, OURS) == {LAN: [offers[1]]}


def test_a_route_of_a_revoked_node_and_a_range_of_our_own_are_no_others() -> None:
    routes = [route(NEAR, "0.0.0.0/0"), route(FAR, "192.168.7.0/24")]

    assert approved_offers([], routes, {}, frozenset({NEAR}), OURS) == {LAN: []}
    assert approved_offers([], routes, {}, NOBODY, frozenset({LAN})) == {INTERNET: []}
