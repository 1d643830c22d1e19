"""Who reaches whom in the shared labs, without a mesh."""

import pytest

from pulse.lab.lab import Lab
from pulse.lab.plan import Plan, check, hops
from pulse.lab.topologies import CHAIN, RELAY, TWO_RELAYS, cgnat, joined, nat, star
from tests.namespace import ip_json, require_root


@pytest.mark.parametrize("plan", [RELAY, TWO_RELAYS, CHAIN, star(5)])
def test_they_can_be_built_and_no_host_passes_anything_on(plan: Plan) -> None:
    check(plan)

    assert list(hops(plan)) == []


@pytest.mark.parametrize("plan", [nat(), cgnat()])
def test_hosts_at_home_reach_public_ones_and_nobody_reaches_them(plan: Plan) -> None:
    require_root()
    with Lab(plan) as lab:
        for home, public in (("a", "hub"), ("b", "far")):
            lab[home].run(["ping", "-c1", "-W5", str(lab[public].v4.ip)])
        for one, other in (("a", "b"), ("hub", "a"), ("nat-a", "b"), ("nat-a", "nat-b")):
            reached = lab[one].run(["ping", "-c1", "-W1", str(lab[other].v4.ip)], check=False).code == 0
            assert reached is (other == "nat-b")


def test_hosts_come_in_the_order_in_which_they_are_named() -> None:
    assert list(joined(("b", "a"), ("a", "c")).hosts) == ["b", "a", "c"]
    assert list(star(3).hosts) == ["h0", "h1", "h2"]


def test_hosts_on_a_switch_know_each_other_for_good() -> None:
    require_root()
    with Lab(star(5)) as lab:
        for host in (lab["h0"], lab["h4"]):
            host.run(["ping", "-c1", "-W5", str(lab["h2"].v4.ip)])
            host.run(["ping", "-c1", "-W5", str(lab["h2"].v6.ip)])

            known = [each for each in ip_json(host.namespace, "neighbour") if each["state"] == ["PERMANENT"]]

            others = [other for other in lab.hosts.values() if other is not host]
            assert {each["dst"] for each in known} == {str(a.ip) for other in others for a in (other.v4, other.v6)}


def test_the_inner_hosts_reach_the_relay_and_not_each_other() -> None:
    require_root()
    with Lab(RELAY) as lab:
        left, right, relay = lab["left"], lab["right"], lab["relay"]
        for host, number in ((left, 0), (right, 1)):
            host.run(["ping", "-c1", "-W5", str(relay.ports[number].v4.ip)])

        tried = left.run(["ping", "-c1", "-W1", str(right.v4.ip)], check=False)
        assert "Network is unreachable" in tried.stderr
        # Not even where somebody sends it over the relay on purpose: that passes nothing on.
        left.run(["ip", "route", "add", "198.18.1.0/24", "via", str(relay.v4.ip)])
        right.run(["ip", "route", "add", "198.18.0.0/24", "via", str(relay.ports[1].v4.ip)])
        assert left.run(["ping", "-c1", "-W1", str(right.v4.ip)], check=False).code != 0
