"""Each class of NAT is what RFC 4787 and everybody's notion of the name say, on the real kernel, by plain sockets."""

from collections.abc import Iterator
from itertools import product

import pytest

from pulse.errors import NotFound
from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from pulse.lab.nat import constant, gateway, rules
from pulse.lab.plan import HostPlan, Nat, NetworkPlan, Plan
from pulse.lab.topologies import cgnat, nat
from tests.lab.datagrams import Datagrams, datagrams
from tests.namespace import ip, require_root

CONES = [Nat.FULL_CONE, Nat.ADDRESS_RESTRICTED, Nat.PORT_RESTRICTED]
PORT = 8443

HOME = Plan(
    {"hub": HostPlan(), "nat": HostPlan(nat=Nat.PORT_RESTRICTED), "x": HostPlan(), "y": HostPlan()},
    (NetworkPlan(("hub", "nat")), NetworkPlan(("nat", "x", "y"))),
)
"""Two hosts behind one NAT."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    require_root()
    with Lab(nat()) as lab:
        yield lab


@pytest.fixture(scope="module")
def home() -> Iterator[Lab]:
    require_root()
    with Lab(HOME) as lab:
        yield lab


# Mapping


@pytest.mark.parametrize("kind", CONES)
def test_a_cone_shows_one_port_to_all_and_it_is_not_the_inner_one(lab: Lab, kind: Nat) -> None:
    lab.set_nat("nat-a", kind)
    with datagrams((lab["a"], PORT), (lab["hub"], 0), (lab["hub"], 0), (lab["far"], 0)) as (a, *others):
        seen = {a.seen_by(other) for other in others}

    ((address, port),) = seen
    assert address == str(lab["nat-a"].v4.ip)
    assert port != PORT


def test_a_symmetric_nat_shows_another_port_to_each_address_and_port(lab: Lab) -> None:
    lab.set_nat("nat-a", Nat.SYMMETRIC)
    with datagrams((lab["a"], PORT), (lab["hub"], 0), (lab["hub"], 0), (lab["far"], 0)) as (a, *others):
        first = [a.seen_by(other) for other in others]
        again = [a.seen_by(other) for other in others]

    assert len(set(first)) == 3
    assert again == first


def test_a_symmetric_nat_gives_ports_of_its_block(lab: Lab) -> None:
    lab.set_nat("nat-a", Nat.SYMMETRIC, ports=(30_000, 30_003))
    # To two places the same port may be drawn; to a dozen it is not.
    with datagrams((lab["a"], PORT), *[(lab["hub"], 0)] * 12) as (a, *others):
        seen = {a.seen_by(other)[1] for other in others}

    assert len(seen) > 1
    assert seen <= {*range(30_000, 30_004)}


@pytest.mark.parametrize("kind", CONES)
@pytest.mark.parametrize("port", [PORT, 500])
def test_hosts_inside_that_use_one_port_get_two(home: Lab, kind: Nat, port: int) -> None:
    home.set_nat("nat", kind)
    with datagrams((home["hub"], 0), (home["hub"], 0), (home["x"], port), (home["y"], port)) as (hub, other, x, y):
        assert x.seen_by(hub) == x.seen_by(other)
        assert y.seen_by(hub) == y.seen_by(other)
        assert x.seen_by(hub) != y.seen_by(hub)


def test_outer_ports_of_hosts_and_of_turns_differ() -> None:
    for place in range(100):
        assert len({constant(place, turn) for turn in range(1000)}) == 1000
    assert len({constant(place, 0) for place in range(1000)}) == 1000
    assert all(0 < constant(place, turn) < 1024 for place, turn in product(range(50), range(50)))


# Filtering


@pytest.mark.parametrize(
    ("kind", "let_in"),
    [
        (Nat.FULL_CONE, ["same port", "other port", "other host"]),
        (Nat.ADDRESS_RESTRICTED, ["same port", "other port"]),
        (Nat.PORT_RESTRICTED, ["same port"]),
        (Nat.SYMMETRIC, ["same port"]),
    ],
)
def test_who_may_send_in_follows_from_whom_was_sent_to(lab: Lab, kind: Nat, let_in: list[str]) -> None:
    lab.set_nat("nat-a", kind)
    with datagrams((lab["a"], PORT), (lab["hub"], 0), (lab["hub"], 0), (lab["far"], 0)) as (a, hub, beside, far):
        seen = a.seen_by(hub)
        hub.send(seen, "same port")
        beside.send(seen, "other port")
        far.send(seen, "other host")
        hub.send(seen, "end")

        assert a.until("end") == let_in


@pytest.mark.parametrize("kind", Nat)
def test_a_port_nobody_inside_has_leads_nowhere(lab: Lab, kind: Nat) -> None:
    lab.set_nat("nat-a", kind)
    with datagrams((lab["a"], PORT), (lab["hub"], 0), (lab["far"], 0)) as (a, hub, far):
        seen = a.seen_by(hub)
        for port in (PORT, seen[1] ^ 1, seen[1] ^ 2):
            far.send((seen[0], port), "lost")
            hub.send((seen[0], port), "lost")
        hub.send(seen, "end")

        assert a.until("end") == []


def test_tcp_goes_out_and_does_not_come_in(lab: Lab) -> None:
    lab.set_nat("nat-a", Nat.FULL_CONE)
    hub, a = lab["hub"], lab["a"]
    server = ["python3", "-c", "import socket; s = socket.create_server(('', 7000)); s.accept()[0].send(b'in')"]
    serving = hub.popen(server)
    wait_until(lambda: hub.run(["ss", "-Htln"]).stdout, "hub listens")
    client = "import socket, sys; print(socket.create_connection((sys.argv[1], 7000), 1).recv(2).decode())"

    assert a.run(["python3", "-c", client, str(hub.v4.ip)]).stdout == "in\n"
    serving.wait()
    a.popen(server)
    wait_until(lambda: a.run(["ss", "-Htln"]).stdout, "a listens")
    assert "timed out" in hub.run(["python3", "-c", client, str(lab["nat-a"].v4.ip)], check=False).stderr


# Punching

FAIL = {(Nat.PORT_RESTRICTED, Nat.SYMMETRIC), (Nat.SYMMETRIC, Nat.PORT_RESTRICTED), (Nat.SYMMETRIC, Nat.SYMMETRIC)}


@pytest.mark.parametrize(("ours", "theirs"), list(product(Nat, Nat)))
def test_which_pairs_can_be_punched(lab: Lab, ours: Nat, theirs: Nat) -> None:
    lab.set_nat("nat-a", ours)
    lab.set_nat("nat-b", theirs)
    with datagrams((lab["hub"], 0), (lab["a"], PORT), (lab["b"], PORT)) as (hub, a, b):
        assert punch(hub, a, b) == ((ours, theirs) not in FAIL)


def punch(hub: Datagrams, a: Datagrams, b: Datagrams) -> bool:
    """Let both send to where the hub sees the other, and answer what comes; true if both heard the other."""
    outer_a, outer_b = a.seen_by(hub), b.seen_by(hub)
    goals = {a: outer_b, b: outer_a}
    heard = set()
    for _ in range(3):
        for end in (a, b):
            end.send(goals[end], "probe")
        for end, outer in ((a, outer_a), (b, outer_b)):
            hub.send(outer, "end")
            while (came := end.next())[0] != "end":
                heard.add(end)
                goals[end] = came[1]
    return heard == {a, b}


@pytest.mark.parametrize("kind", CONES)
def test_a_probe_that_comes_too_early_moves_no_port(lab: Lab, kind: Nat) -> None:
    lab.set_nat("nat-a", kind)
    lab.set_nat("nat-b", kind)
    with datagrams((lab["hub"], 0), (lab["far"], 0), (lab["a"], PORT), (lab["b"], PORT)) as (hub, far, a, b):
        outer_a, outer_b = a.seen_by(hub), b.seen_by(hub)
        for _ in range(3):
            a.send(outer_b, "early")
        b.send(outer_a, "answer")
        hub.send(outer_a, "end")

        assert a.next() == ("answer", outer_b)
        assert (a.seen_by(far), b.seen_by(far)) == (outer_a, outer_b)


# Hairpin


@pytest.mark.parametrize("kind", Nat)
def test_without_hairpin_hosts_inside_do_not_meet_outside(home: Lab, kind: Nat) -> None:
    home.set_nat("nat", kind, hairpin=False)
    with datagrams((home["hub"], 0), (home["x"], PORT), (home["y"], PORT)) as (hub, x, y):
        assert not punch(hub, x, y)


@pytest.mark.parametrize("kind", CONES)
def test_with_hairpin_they_do_and_see_outer_addresses(home: Lab, kind: Nat) -> None:
    home.set_nat("nat", kind, hairpin=True)
    with datagrams((home["hub"], 0), (home["x"], PORT), (home["y"], PORT)) as (hub, x, y):
        outer_x, outer_y = x.seen_by(hub), y.seen_by(hub)
        x.send(outer_y, "first")
        y.send(outer_x, "second")
        x.send(outer_y, "third")

        assert x.next() == ("second", outer_y)
        # What is not filtered for strangers is not for neighbours either.
        assert y.next() == ("first" if kind is Nat.FULL_CONE else "third", outer_x)


def test_hairpin_between_symmetric_mappings_is_filtered(home: Lab) -> None:
    home.set_nat("nat", Nat.SYMMETRIC, hairpin=True)
    with datagrams((home["hub"], 0), (home["x"], PORT), (home["y"], PORT)) as (hub, x, y):
        assert not punch(hub, x, y)


# Two in a row


def test_behind_two_nats_the_outer_one_is_seen_and_the_inner_one_filters() -> None:
    require_root()
    with (
        Lab(cgnat(Nat.PORT_RESTRICTED, Nat.FULL_CONE)) as lab,
        datagrams((lab["hub"], 0), (lab["far"], 0), (lab["a"], PORT), (lab["b"], PORT)) as (hub, far, a, b),
    ):
        seen = a.seen_by(hub)
        assert seen[0] == str(lab["carrier"].v4.ip)
        assert a.seen_by(far) == seen

        with datagrams((lab["hub"], 0)) as (stranger,):
            stranger.send(seen, "stranger")
            hub.send(seen, "end")
            assert a.until("end") == []
        assert punch(hub, a, b)  # The carrier turns it back; each home lets in what it sent to.


# While hosts run


@pytest.mark.parametrize("kind", Nat)
def test_a_nat_that_rebinds_shows_other_ports_and_the_old_lead_nowhere(lab: Lab, kind: Nat) -> None:
    lab.set_nat("nat-a", kind)
    with datagrams((lab["a"], PORT), (lab["hub"], 0)) as (a, hub):
        before = a.seen_by(hub)
        lab.rebind_nat("nat-a")
        hub.send(before, "old")
        after = a.seen_by(hub)
        hub.send(before, "old")
        hub.send(after, "new")

        assert after != before
        assert a.until("new") == []


def test_another_class_counts_from_the_next_packet_on(lab: Lab) -> None:
    with datagrams((lab["a"], PORT), (lab["hub"], 0), (lab["far"], 0)) as (a, hub, far):
        lab.set_nat("nat-a", Nat.FULL_CONE)
        open_to_all = a.seen_by(hub)
        lab.set_nat("nat-a", Nat.PORT_RESTRICTED)
        far.send(open_to_all, "stranger")
        hub.send(open_to_all, "forgotten")
        hub.send(a.seen_by(hub), "end")

        assert a.until("end") == []


def test_a_host_that_comes_later_is_behind_the_nat_like_the_others() -> None:
    require_root()
    plan = Plan({**HOME.hosts, "late": HostPlan()}, HOME.networks)
    with Lab(plan) as lab:
        lab.join_network("nat", "late")
        with datagrams((lab["hub"], 0), (lab["hub"], 0), (lab["late"], PORT), (lab["x"], 0)) as (hub, other, late, x):
            assert late.seen_by(hub) == late.seen_by(other)
            assert late.seen_by(hub)[0] == x.seen_by(hub)[0] == str(lab["nat"].v4.ip)


@pytest.mark.parametrize("change", [lambda lab: lab.set_nat("a", Nat.SYMMETRIC), lambda lab: lab.rebind_nat("a")])
def test_a_host_that_is_no_nat_is_named(lab: Lab, change: object) -> None:
    assert callable(change)
    with pytest.raises(NotFound, match="a is no NAT"):
        change(lab)


# What is private stays so


def test_nothing_leads_from_outside_to_inside(lab: Lab) -> None:
    lab.set_nat("nat-a", Nat.FULL_CONE)
    hub, a, gate = lab["hub"], lab["a"], lab["nat-a"]
    assert "198.18.1." not in ip(hub.namespace, "route")
    assert "fd18:0:0:1:" not in ip(hub.namespace, "-6", "route")
    ip(hub.namespace, "route", "add", "198.18.1.0/24", "via", str(gate.v4.ip))
    ip(hub.namespace, "route", "add", "fd18:0:0:1::/64", "via", str(gate.v6.ip))
    ip(a.namespace, "route", "add", "fd18::/64", "via", str(gate.ports[1].v6.ip))
    try:
        for address in (str(a.v4.ip), str(a.v6.ip)):
            assert hub.run(["ping", "-c1", "-W1", address], check=False).code != 0
    finally:
        ip(hub.namespace, "route", "delete", "198.18.1.0/24")
        ip(hub.namespace, "route", "delete", "fd18:0:0:1::/64")
        ip(a.namespace, "route", "delete", "fd18::/64")


def test_hosts_inside_have_a_way_out_to_all_there_is(lab: Lab) -> None:
    assert f"default via {lab['nat-a'].ports[1].v4.ip} " in ip(lab["a"].namespace, "route")
    lab["a"].run(["ping", "-c1", "-W5", str(lab["far"].v4.ip)])


def test_the_rules_of_a_plan_are_always_the_same() -> None:
    to = gateway(HOME, "nat")
    assert to is not None
    assert [port.host for port in to.inside] == ["x", "y"]
    assert rules(to) == rules(to) != rules(to, 1)
    assert gateway(HOME, "x") is None
