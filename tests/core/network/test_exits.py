"""Exits: healthy before near, sticky, and approved ranges that are never left to the network below."""

from ipaddress import ip_network

from pulse.core.cidr import Range
from pulse.core.effects import Log, RangeUse
from pulse.core.network.exits import MISSES, PACE, SPARE_PACE, Exits, Offer, approved_offers
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


def fails(exits: Exits, who: NodeId) -> None:
    """It gives no good answer as often as it takes."""
    assert [told(exits, who, well=False) for _ in range(MISSES)] == [*[[]] * (MISSES - 1), ["exit failed"]]


def told(exits: Exits, who: NodeId, *shut: str, well: bool) -> list[str]:
    """What is logged of an answer."""
    return [each.event for each in exits.answered(who, well=well, shut=shut)]


def asked(exits: Exits, now: float) -> list[NodeId]:
    """Who is asked by then."""
    return [each.node for each in exits.tick(now)]


def test_the_nearest_is_taken_and_kept_when_another_comes_nearer() -> None:
    exits = Exits()

    assert used(exits, offer(FAR, 50.0), offer(NEAR, 5.0)) == NEAR
    assert used(exits, offer(FAR, 1.0), offer(NEAR, 5.0)) == NEAR


def test_one_that_fails_gives_way_at_once_and_the_next_is_kept_when_it_is_back() -> None:
    exits = Exits()
    offers = offer(FAR, 50.0), offer(NEAR, 5.0)
    assert used(exits, *offers) == NEAR

    assert [told(exits, NEAR, well=False) for _ in range(3)] == [[], ["exit failed"], []]
    assert used(exits, *offers) == FAR
    assert [told(exits, NEAR, well=True) for _ in range(2)] == [["exit healthy"], []]
    assert used(exits, *offers) == FAR
    assert used(exits, offer(FAR, None), offer(NEAR, 5.0)) == NEAR


def test_one_that_is_well_but_for_a_range_is_left_for_that_range_alone() -> None:
    exits, both = Exits(), {INTERNET: [offer(NEAR, 5.0), offer(FAR, 50.0)], LAN: [offer(NEAR, 5.0, LAN)]}
    exits.chosen(both)
    said = Log("exit ranges changed", fields={"node": NEAR[:12], "shut": 1})
    assert exits.answered(NEAR, well=True, shut=["0.0.0.0/0", "rubbish"]) == [said]
    assert exits.answered(NEAR, well=True, shut=["0.0.0.0/0"]) == []

    assert exits.chosen(both) == (RangeUse("0.0.0.0/0", FAR), RangeUse("192.168.7.0/24", NEAR))
    assert (exits.failure(NEAR, INTERNET), exits.failure(NEAR, LAN)) == ("its machine has no route there", "")
    assert exits.answered(NEAR, well=True) == [Log("exit ranges changed", fields={"node": NEAR[:12], "shut": 0})]
    assert not exits.is_sick(NEAR, INTERNET)


def test_one_that_is_back_without_a_range_is_told_to_be_healthy_and_to_lack_it() -> None:
    exits = Exits()
    used(exits, offer(NEAR, 5.0))
    fails(exits, NEAR)

    assert told(exits, NEAR, "0.0.0.0/0", well=True) == ["exit healthy", "exit ranges changed"]
    fails(exits, NEAR)
    assert told(exits, NEAR, "0.0.0.0/0", well=True) == ["exit healthy"]


def test_without_a_healthy_exit_the_range_stays_and_has_nobody() -> None:
    exits = Exits()
    used(exits, offer(NEAR, 5.0))
    fails(exits, NEAR)

    assert exits.chosen({INTERNET: [offer(NEAR, 5.0), offer(FAR, None)]}) == (RangeUse("0.0.0.0/0", None),)
    assert exits.chosen({}) == ()


def test_the_one_in_use_is_asked_often_and_a_spare_one_now_and_then() -> None:
    exits = Exits()
    assert exits.deadline() is None
    used(exits, offer(NEAR, 5.0), offer(FAR, 50.0), offer(node("lost"), None))

    assert asked(exits, 100.0) == [NEAR, FAR]
    assert exits.deadline() == 100.0 + PACE
    assert asked(exits, 100.0 + PACE) == [NEAR]
    assert asked(exits, 100.0 + SPARE_PACE) == [NEAR, FAR]


def test_a_large_mesh_asks_one_exit_no_more_than_it_bears() -> None:
    exits = Exits(lambda: 1000)
    used(exits, offer(NEAR, 5.0))

    assert asked(exits, 0.0) == [NEAR]
    assert exits.deadline() == 5.0


def test_one_that_falls_silent_is_left_within_three_seconds() -> None:
    """Whenever it does: at worst just after it answered."""
    exits = Exits()
    offers = offer(NEAR, 5.0), offer(FAR, 50.0)
    used(exits, *offers)
    exits.tick(0.0)
    exits.answered(NEAR, well=True)
    exits.answered(FAR, well=True)

    now = 0.0
    while not exits.is_sick(NEAR, INTERNET):
        now = exits.deadline() or 0.0
        for each in exits.tick(now):
            if each.node == NEAR and exits.answered(NEAR, well=False):
                now += each.patience
    assert now <= 3.0
    assert used(exits, *offers) == FAR
    assert FAR in asked(exits, now), "at once, though it was asked as a spare one"


def test_what_nobody_asked_or_nothing_leads_to_any_more_says_nothing() -> None:
    exits = Exits()
    assert not exits.answered(NEAR, well=False)
    used(exits, offer(NEAR, 5.0))
    exits.answered(NEAR, well=False)

    used(exits, offer(NEAR, None))
    assert not exits.answered(NEAR, well=False)
    used(exits, offer(NEAR, 5.0))
    assert not exits.answered(NEAR, well=False), "a way that was lost and found begins anew"


def test_nobody_uses_what_is_not_approved() -> None:
    offers = [offer(NEAR, 5.0), offer(NEAR, 5.0, LAN)]

    assert approved_offers(offers, [route(NEAR, "0.0.0.0/0", approved=False)], {}, OURS) == {}
    found = approved_offers(offers, [route(NEAR, "192.168.7.0/24")], {}, OURS)
    assert found == {LAN: [offers[1]]}
    assert approved_offers(offers, [route(FAR, "0.0.0.0/0")], {}, OURS) == {INTERNET: []}


def test_a_tag_approves_a_part_of_its_range_and_never_the_internet() -> None:
    offers = [offer(NEAR, 5.0, INTERNET, "site"), offer(NEAR, 5.0, LAN, "site"), offer(FAR, 5.0, LAN)]

    assert approved_offers(offers, [], {"192.168.0.0/16": "site"}, OURS) == {LAN: [offers[1]]}
    pieces = [offer(NEAR, 5.0, ip_network(each), "site") for each in ("64.0.0.0/2", "2000::/3")]
    assert approved_offers(pieces, [], {"64.0.0.0/2": "site", "2000::/3": "site"}, OURS) == {}


def test_what_is_approved_stays_closed_without_anybody_who_leads_there_and_a_range_of_our_own_is_no_others() -> None:
    routes = [route(NEAR, "0.0.0.0/0"), route(FAR, "192.168.7.0/24")]

    assert approved_offers([], routes, {}, OURS) == {INTERNET: [], LAN: []}
    assert approved_offers([], routes, {}, frozenset({LAN})) == {INTERNET: []}
