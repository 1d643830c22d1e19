"""Port mapping: routers that restart, gateways that change, and nodes that stop."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from pulse.core.effects import Log
from pulse.core.paths.portmap import (
    ASK_LEAST,
    LONGEST_WAIT,
    LOOK,
    LOOK_LEAST,
    LOOK_SOON,
    AskRouter,
    GiveBack,
    LookAtRouter,
)
from tests.core.paths.homeward import CAFE, GRANT, HOME, Node, home

# The router restarts


def test_the_router_is_looked_at_each_minute() -> None:
    node = home()

    assert node.wakes().all(LookAtRouter) == [LookAtRouter(HOME, GRANT)]
    assert node.now == 5000.0 + LOOK
    node.looked(1000.0 + LOOK).wakes()
    assert node.now == 5000.0 + 2 * LOOK


@pytest.mark.parametrize(
    ("passed", "epoch", "restarted"),
    [
        (60.0, 1060.0, False),
        (60.0, 1051.0, False),
        (60.0, 1068.0, False),
        (60.0, 1049.0, True),
        (60.0, 3.0, True),
        (60.0, 1073.0, True),
        (1.0, 999.0, False),
    ],
)
def test_a_router_whose_age_does_not_go_with_the_time_has_restarted(
    passed: float, epoch: float, restarted: bool
) -> None:
    node = home()
    node.effects.clear()
    node.now += passed
    node.take(node.machine.router_announced(node.now))
    node.looked(epoch).sleeps(ASK_LEAST)

    assert bool(node.all(AskRouter)) is restarted


def test_after_a_restart_the_port_is_asked_for_again_and_is_no_news_if_it_is_the_same() -> None:
    node = home()
    node.told()
    node.wakes().looked(3.0)

    assert node.all(AskRouter)[1:] == [AskRouter(HOME, GRANT)]
    node.mapped(replace(GRANT, epoch=4.0))
    assert node.told() == []


def test_another_outer_address_is_told_in_place_of_the_one_before() -> None:
    node = home()
    node.told()
    elsewhere = IPv4Address("203.0.113.99")
    node.wakes().looked(1000.0 + LOOK, elsewhere)
    node.mapped(replace(GRANT, outer=elsewhere, epoch=1000.0 + LOOK))

    assert node.told() == ["203.0.113.99:8443"]


def test_a_router_that_says_nothing_of_its_age_is_believed_to_be_the_same() -> None:
    node = Node().at(HOME).mapped(replace(GRANT, epoch=None))
    node.all(AskRouter)
    node.wakes().looked(5.0).sleeps(ASK_LEAST)

    assert node.all(AskRouter) == []


def test_a_router_that_is_silent_is_looked_at_again_soon() -> None:
    node = home().wakes()
    looked = node.now
    node.take(node.machine.look_unanswered(HOME, node.now))

    assert node.wakes().now - looked == LOOK_SOON


def test_a_router_that_answers_a_look_with_a_refusal_is_asked_for_the_port() -> None:
    node = home()
    node.all(AskRouter)
    node.wakes()
    node.take(node.machine.look_refused(HOME, node.now))

    assert node.all(AskRouter) == [AskRouter(HOME, GRANT)]


def test_announcements_lead_to_a_look_at_once_and_a_flood_of_them_to_few() -> None:
    node = home()
    for _ in range(100):
        node.now += 0.1
        node.take(node.machine.router_announced(node.now))
        for _ in node.all(LookAtRouter):
            node.looked(1000.0 + node.now - 5000.0)
            node.effects.append(Log("looked"))

    assert 1 <= len([each for each in node.all(Log) if each.event == "looked"]) <= 10 / LOOK_LEAST + 1


def test_a_router_that_always_claims_to_be_new_is_asked_only_so_often() -> None:
    node = home()
    asked = 0
    for _ in range(600):
        node.now += 0.1
        node.take(node.machine.router_announced(node.now))
        for _ in node.all(LookAtRouter):
            node.looked(0.0)
        for _ in node.all(AskRouter):
            asked += 1
            node.mapped()

    assert asked <= 60 / ASK_LEAST + 1


def test_a_router_that_refused_and_announces_itself_is_asked_again() -> None:
    node = Node().at(HOME).refused(wait=LONGEST_WAIT)
    node.all(AskRouter)
    node.now += 60.0
    node.take(node.machine.router_announced(node.now))

    assert node.all(AskRouter) == [AskRouter(HOME, None)]


# The network changes


def test_at_another_gateway_the_port_is_asked_for_at_once_and_the_old_address_told_no_more() -> None:
    node = home()
    node.told()
    node.all(AskRouter)
    node.at(CAFE)

    assert node.told() == [None]
    assert node.all(AskRouter) == [AskRouter(CAFE, None)]
    assert node.all(GiveBack) == []


def test_a_refusal_of_the_gateway_before_does_not_count_for_this_one() -> None:
    node = Node().at(HOME).refused(wait=LONGEST_WAIT).at(CAFE)

    assert [each.gateway for each in node.all(AskRouter)] == [HOME, CAFE]


def test_what_the_gateway_before_answers_late_counts_for_nothing() -> None:
    node = Node().at(HOME).at(CAFE).mapped().refused().looked(1.0)
    node.take(node.machine.unanswered(HOME, node.now))
    node.take(node.machine.look_refused(HOME, node.now))
    node.take(node.machine.look_unanswered(HOME, node.now))

    assert node.told() == []
    assert node.all(Log) == []
    assert node.mapped(gateway=CAFE).told() == ["203.0.113.7:8443"]


def test_without_a_gateway_nothing_is_asked() -> None:
    node = home()
    node.told()
    node.at(None)

    assert node.told() == [None]
    assert node.machine.deadline() is None


def test_a_change_of_the_network_that_leaves_the_gateway_has_the_router_looked_at() -> None:
    node = home()
    node.now += 5.0

    assert node.at(HOME).all(LookAtRouter) == [LookAtRouter(HOME, GRANT)]
    assert node.told() == ["203.0.113.7:8443"]


def test_a_change_of_the_network_does_not_hurry_a_router_that_refused() -> None:
    node = Node().at(HOME).refused(wait=LONGEST_WAIT)
    node.all(AskRouter)
    node.now += 600.0

    assert node.at(HOME).all(AskRouter) == []


# The end


def test_a_node_that_stops_gives_the_port_back() -> None:
    node = home()

    assert node.machine.stopped() == [GiveBack(HOME, GRANT)]
    assert node.machine.deadline() is None
    assert node.machine.stopped() == []


def test_a_node_that_stops_without_a_port_gives_nothing_back() -> None:
    assert Node().at(HOME).machine.stopped() == []
    assert Node().machine.stopped() == []
