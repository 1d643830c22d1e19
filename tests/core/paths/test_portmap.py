"""Port mapping: when the router is asked, what its answers come to, and which addresses nobody is told."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from random import Random

import pytest

from pulse.core.effects import INFO, Log
from pulse.core.paths.portmap import (
    FIRST_WAIT,
    LEASE,
    LONGEST_WAIT,
    MOST_LEASE,
    RENEW_FROM,
    RENEW_TO,
    AskRouter,
    GiveBack,
    LookAtRouter,
    PortMap,
)
from tests.core.paths.homeward import GRANT, HOME, Node, home

# Asking


def test_a_router_is_asked_as_soon_as_there_is_one() -> None:
    node = Node()
    assert node.machine.deadline() is None

    assert node.at(HOME).all(AskRouter) == [AskRouter(HOME, None)]


def test_one_question_is_open_at_a_time() -> None:
    node = Node().at(HOME)

    node.at(HOME).take(node.machine.router_announced(node.now))

    assert node.machine.deadline() is None
    assert len(node.all(AskRouter)) == 1


def test_what_the_router_gave_is_told_and_shown() -> None:
    node = home()

    assert node.told() == ["203.0.113.7:8443"]
    assert node.machine.held is not None
    assert (node.machine.held.address, node.machine.held.until) == ("203.0.113.7:8443", node.now + LEASE)


@pytest.mark.parametrize("seed", range(20))
def test_a_lease_is_renewed_between_half_and_five_eighths_of_it(seed: int) -> None:
    node = Node(PortMap(Random(seed), lambda: None)).at(HOME).mapped(replace(GRANT, epoch=None))
    began = node.now
    node.effects.clear()
    while not node.all(AskRouter):
        if node.wakes().all(LookAtRouter):
            node.looked(None)

    assert RENEW_FROM * LEASE <= node.now - began <= RENEW_TO * LEASE


def test_who_granted_is_asked_first_for_what_it_granted_and_a_renewal_is_no_news() -> None:
    node = home()
    node.effects.clear()
    while not (asked := node.all(AskRouter)):
        if node.wakes().all(LookAtRouter):
            node.looked(GRANT.epoch + node.now - 5000.0 if GRANT.epoch else None)

    assert asked == [AskRouter(HOME, GRANT)]
    node.mapped()
    assert node.told() == []
    assert node.machine.held is not None
    assert node.machine.held.until == node.now + LEASE


def test_a_lease_without_end_is_one_of_a_day() -> None:
    node = Node().at(HOME).mapped(replace(GRANT, lease=2.0**32))

    assert node.machine.held is not None
    assert node.machine.held.until == node.now + MOST_LEASE


# Addresses nobody is told


@pytest.mark.parametrize(
    ("outer", "reason"),
    [
        ("192.168.178.20", "behind another NAT"),
        ("10.1.2.3", "behind another NAT"),
        ("172.31.0.1", "behind another NAT"),
        ("100.127.0.1", "behind another NAT"),
        ("100.64.3.4", "behind another NAT"),
        ("0.0.0.1", "no address outside"),
        ("127.0.0.1", "no address outside"),
        ("169.254.1.1", "no address outside"),
        ("224.0.0.1", "no address outside"),
        ("255.255.255.255", "no address outside"),
        ("192.168.1.2", "there is no NAT"),
    ],
)
def test_an_address_where_nobody_gets_to_us_is_given_back_and_no_candidate(outer: str, reason: str) -> None:
    grant = replace(GRANT, outer=IPv4Address(outer))
    node = Node().at(HOME).mapped(grant)

    assert node.told() == []
    assert node.machine.held is None
    assert node.all(GiveBack) == [GiveBack(HOME, grant)]
    (log,) = node.all(Log)
    assert (log.level, reason in str(log.fields)) == (INFO, True)


def test_an_address_of_the_mesh_itself_is_none() -> None:
    node = Node(PortMap(Random(1), lambda: IPv4Network("203.0.113.0/24"))).at(HOME).mapped()

    assert node.told() == []


def test_on_a_public_address_a_router_that_has_another_one_is_taken_at_its_word() -> None:
    public = replace(HOME, source=IPv4Address("198.51.100.9"))

    assert Node().at(public).mapped(gateway=public).told() == ["203.0.113.7:8443"]


@pytest.mark.parametrize("wrong", [{"port": 0}, {"port": 65536}, {"lease": 0.0}, {"lease": 59.0}])
def test_a_port_or_lease_that_is_none_is_refused(wrong: dict[str, float]) -> None:
    node = Node().at(HOME).mapped(replace(GRANT, **wrong))  # type: ignore[arg-type]

    assert node.told() == []
    assert len(node.all(GiveBack)) == 1


# Refusals and silence


def test_a_router_that_refuses_is_asked_ever_more_rarely_up_to_an_hour_and_one_line_is_logged() -> None:
    node = Node().at(HOME)
    waits = []
    for _ in range(200):
        node.refused().all(AskRouter)
        asked = node.now
        node.wakes()
        waits.append(node.now - asked)

    assert max(waits[:1]) <= FIRST_WAIT
    assert LONGEST_WAIT / 2 < max(waits) <= LONGEST_WAIT
    assert len(node.all(Log)) == 1
    assert node.told() == []


def test_another_reason_is_another_line() -> None:
    node = Node().at(HOME).refused("no")
    node.wakes().refused("no room")

    assert [each.fields["error"] for each in node.all(Log)] == ["no", "no room"]


def test_a_router_that_says_how_long_it_refuses_is_left_alone_so_long_but_an_hour_at_most() -> None:
    node = Node().at(HOME).refused(wait=1800.0)
    refused = node.now
    assert node.wakes().now - refused >= 1800.0

    node.refused(wait=1e9)
    refused = node.now
    assert node.wakes().now - refused == LONGEST_WAIT


def test_a_mapping_the_router_does_not_renew_is_gone_at_once() -> None:
    node = home()
    node.told()
    node.wakes().looked(3.0).refused()

    assert node.told() == [None]
    assert node.machine.held is None


def test_a_router_that_is_silent_keeps_us_the_port_until_its_lease_ends() -> None:
    node = home()
    node.told()
    while node.told() == []:
        node.wakes()
        for _ in node.all(LookAtRouter):
            node.take(node.machine.look_unanswered(HOME, node.now))
        for _ in node.all(AskRouter):
            node.take(node.machine.unanswered(HOME, node.now))

    assert node.now == 5000.0 + LEASE
    assert [each.event for each in node.all(Log) if each.level >= INFO] == ["port mapped", "port mapping lost"]


def test_where_no_router_answers_nothing_is_said_above_debug() -> None:
    node = Node().at(HOME)
    for _ in range(5):
        node.take(node.machine.unanswered(HOME, node.now))
        node.wakes()

    assert [each.level for each in node.all(Log) if each.level >= INFO] == []
    assert len(node.all(AskRouter)) == 6
