"""From a description to addresses and routes."""

import re
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.errors import ConfigError
from pulse.lab.impairment import Impairment
from pulse.lab.plan import TWO_HOSTS, HostPlan, NetworkPlan, Plan, behind, hops, outer_port, segments
from pulse.lab.scenario import read
from pulse.lab.topologies import cgnat

CHAIN = """
[hosts.left]
[hosts.one]
router = true
[hosts.two]
router = true
[hosts.right]
[[networks]]
hosts = ["left", "one"]
[[networks]]
hosts = ["one", "two"]
mtu = 1400
[[networks]]
hosts = ["two", "right"]
"""

JOINED = "[hosts.a]\n[hosts.b]\n[[networks]]\nhosts = ['a', 'b']\n"

NAT = """
[hosts.out]
[hosts.gate]
nat = 'full_cone'
[hosts.a]
[hosts.inner]
router = true
[hosts.b]
[[networks]]
hosts = ['out', 'gate']
[[networks]]
hosts = ['gate', 'a']
[[networks]]
hosts = ['gate', 'inner']
[[networks]]
hosts = ['inner', 'b']
"""


def crowd(count: int) -> str:
    """That many hosts on one network."""
    names = [f"h{number}" for number in range(count)]
    return "".join(f"[hosts.{name}]\n" for name in names) + f"[[networks]]\nhosts = {names}\n"


def test_a_network_holds_as_many_hosts_as_it_has_addresses() -> None:
    (full,) = segments(read("lab.toml", crowd(254)))

    assert full.ports[-1].v4 == IPv4Interface("198.18.0.254/24")


def test_ports_are_numbered_by_network_and_place() -> None:
    first, second, _ = segments(read("lab.toml", CHAIN))

    assert [port.v4 for port in first.ports] == [IPv4Interface("198.18.0.1/24"), IPv4Interface("198.18.0.2/24")]
    assert [port.v6 for port in second.ports] == [IPv6Interface("fd18:0:0:1::1/64"), IPv6Interface("fd18:0:0:1::2/64")]
    assert [(port.host, port.interface) for port in second.ports] == [("one", "eth1"), ("two", "eth0")]
    assert (first.mtu, second.mtu) == (1500, 1400)


def test_two_hosts_get_a_cable_and_three_a_switch() -> None:
    (cable,) = segments(TWO_HOSTS)
    (switched,) = segments(Plan({"a": HostPlan(), "b": HostPlan(), "c": HostPlan()}, (NetworkPlan(("a", "b", "c")),)))

    assert not cable.switched
    assert switched.switched


def test_a_route_leads_over_the_nearest_router() -> None:
    found = {(hop.host, hop.to.number): hop.via.host for hop in hops(read("lab.toml", CHAIN))}

    assert found == {
        ("left", 1): "one",
        ("left", 2): "one",
        ("one", 2): "two",
        ("two", 0): "one",
        ("right", 1): "two",
        ("right", 0): "two",
    }


def test_a_host_that_is_no_router_passes_nothing_on() -> None:
    assert list(hops(read("lab.toml", CHAIN.replace("router = true", "")))) == []


def test_routes_lead_out_of_a_nat_and_never_in() -> None:
    found = {(hop.host, hop.to.number): (hop.via.host, hop.masked) for hop in hops(read("lab.toml", NAT))}

    assert found == {
        ("gate", 3): ("inner", False),
        ("a", 0): ("gate", True),
        ("a", 2): ("gate", True),
        ("a", 3): ("gate", True),
        ("inner", 0): ("gate", True),
        ("inner", 1): ("gate", True),
        ("b", 2): ("inner", False),
        ("b", 0): ("inner", True),
        ("b", 1): ("inner", True),
    }


def test_behind_a_nat_are_all_whose_packets_come_to_it_from_inside() -> None:
    plan = read("lab.toml", NAT)

    assert [(port.host, port.network) for port in behind(plan, "gate")] == [
        ("a", 1),
        ("inner", 2),
        ("inner", 3),
        ("b", 3),
    ]
    assert outer_port(plan, "gate").interface == "eth0"


def test_what_is_behind_a_second_nat_is_hidden_from_the_first() -> None:
    plan = cgnat()

    assert [port.host for port in behind(plan, "carrier")] == ["nat-a", "nat-b"]
    assert [port.host for port in behind(plan, "nat-a")] == ["a"]
    assert {(hop.host, hop.to.number) for hop in hops(plan) if hop.host in {"carrier", "b"}} == {("b", 0), ("b", 1)}


def test_the_description_in_the_reference_is_one() -> None:
    reference = (Path(__file__).parents[2] / "docs" / "reference" / "lab.md").read_text(encoding="utf-8")
    plan = read("lab.toml", reference.partition("```toml\n")[2].partition("```")[0])

    assert plan.networks[1].impair_to == {"phone": Impairment(block_udp=True)}
    told = re.findall(r"^\| `(\w+)` \|", reference.partition("| of `impair` |")[2].partition("##")[0], re.MULTILINE)
    assert told == list(Impairment.__struct_fields__)


@given(st.lists(st.sets(st.sampled_from("abcdef"), min_size=2), max_size=6), st.sets(st.sampled_from("abcdef")))
def test_a_hop_is_a_router_next_door(networks: list[set[str]], routers: set[str]) -> None:
    plan = Plan(
        {name: HostPlan(router=name in routers) for name in "abcdef"},
        tuple(NetworkPlan(tuple(sorted(hosts))) for hosts in networks),
    )
    attached = {name: {s.number for s in segments(plan) if name in {p.host for p in s.ports}} for name in plan.hosts}

    for hop in hops(plan):
        assert hop.via.host in routers
        assert hop.to.number not in attached[hop.host]
        assert attached[hop.host] & attached[hop.via.host]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[hosts.a]\n[[networks]]\nhosts = ['a', 'b']", r"joins \"b\", which is no host here: add \[hosts.b\]"),
        ("[hosts.a]\n[[networks]]\nhosts = ['a']", "two or more different hosts"),
        ("[hosts.a]\n[[networks]]\nhosts = ['a', 'a']", "two or more different hosts"),
        (
            crowd(300),
            r"lab.toml:302: networks\[0\].hosts: 300 hosts are on it, and a network has room for 254. Put the others",
        ),
        ("[hosts.Big]", '"Big" cannot name a host'),
        ("[hosts.a]\ncolour = 'red'", 'lab.toml:2: unknown key "colour" in hosts, a. There are: '),
        ("[hosts.a]\nnat = 'conical'", 'lab.toml:2: hosts, a, nat: there is no "conical". There are: full_cone'),
        ("[hosts.a]\nfirewall = 'icmp'", 'lab.toml:2: hosts, a, firewall: there is no "icmp". There are: udp'),
        (
            "[hosts.a]\nports = [2000, 3000]",
            "hosts.a.ports: those of a cone follow from the inner ones; make it symmetric",
        ),
        ("[hosts.a]\nnat = 'symmetric'", "hosts.a.nat: a NAT is on two networks or more, the first outside, not on 0"),
        (NAT.partition("[[networks]]\nhosts = ['gate', 'a']")[0], "hosts.gate.nat: .* not on 1"),
        ("[hosts.a]\nhairpin = true", "hosts.a.hairpin: only a NAT turns packets back"),
        (
            JOINED + "impair = { delay_ms = 'x' }",
            "lab.toml:5: Expected `float`, got `str`, in networks, number 1, impair, delay_ms",
        ),
        (
            NAT.replace("full_cone'", "symmetric'\nports = [500, 3000]"),
            "hosts.gate.ports: 500 to 3000 is no range within 1024 to 65535",
        ),
        (
            JOINED + "impair = { jitter = 1 }",
            'lab.toml:5: unknown key "jitter" in networks, number 1, impair. Did you mean jitter_ms',
        ),
        (JOINED + "impair = { rate_mbit = -1 }", r"networks\[0\].impair.rate_mbit: -1 is not between"),
        (JOINED + "impair_to = { b = { loss_percent = 101 } }", r"networks\[0\].impair_to.b.loss_percent: 101 is not"),
        (JOINED + "impair_to = { c = {} }", r"networks\[0\].impair_to: \"c\" is not on this network"),
        ("[hosts.a", "lab.toml is no TOML"),
        ("[hosts.a]\n[hosts.b]\n" + "[[networks]]\nhosts = ['a', 'b']\n" * 256, "at most 255 networks, not 256"),
    ],
)
def test_what_cannot_be_built_is_refused_by_name(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        read("lab.toml", text)
