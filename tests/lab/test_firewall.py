"""A firewall shuts UDP both ways, to a host or to all behind a router, from the start or while they run."""

import msgspec
import pytest

from pulse.lab.lab import Lab
from pulse.lab.plan import Firewall, HostPlan, Plan
from pulse.lab.topologies import nat
from tests.lab.datagrams import datagrams
from tests.namespace import require_root

PORT = 8443


@pytest.mark.parametrize("where", ["nat-a", "a"])
def test_udp_is_shut_both_ways_and_everything_else_passes(where: str) -> None:
    require_root()
    with Lab(nat()) as lab, datagrams((lab["a"], PORT), (lab["hub"], 0)) as (a, hub):
        seen = a.seen_by(hub)
        lab.set_firewall(where, Firewall.UDP)
        if where == "nat-a":
            a.send(hub.address, "out")
        else:
            with pytest.raises(PermissionError):
                a.send(hub.address, "out")
        hub.send(seen, "in")
        lab["a"].run(["ping", "-c1", "-W5", str(lab["hub"].v4.ip)])
        lab.set_firewall(where, None)
        a.send(hub.address, "again")
        hub.send(seen, "end")

        assert hub.until("again") == []
        assert a.until("end") == []


def test_a_host_behind_a_firewall_from_the_start_sends_none() -> None:
    require_root()
    shut = HostPlan(firewall=Firewall.UDP)
    plan = msgspec.structs.replace(nat(), hosts={**nat().hosts, "far": shut})
    with Lab(plan) as lab, datagrams((lab["far"], PORT), (lab["hub"], 0)) as (far, hub):
        with pytest.raises(PermissionError):
            far.send(hub.address)
        lab["far"].run(["ping", "-c1", "-W5", str(lab["hub"].v4.ip)])


def test_programs_of_a_host_that_is_shut_still_talk_to_one_another() -> None:
    require_root()
    with (
        Lab(Plan({"a": HostPlan(firewall=Firewall.UDP)})) as lab,
        datagrams((lab["a"], PORT), (lab["a"], 0)) as (one, other),
    ):
        other.send(("127.0.0.1", PORT), "loopback")
        assert one.next()[0] == "loopback"
