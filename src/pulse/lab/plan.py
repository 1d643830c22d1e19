"""The description of a lab, and everything that follows from it: addresses, interfaces and routes.

Invariant: pure and ordered; the same description always gives the same addresses. Networks are numbered in the order
they are written: the n-th is 198.18.n.0/24 (RFC 2544, set aside for tests) and fd18:0:0:n::/64, its k-th host is k.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network
from typing import Any

import msgspec

from pulse.checks import near
from pulse.errors import ConfigError
from pulse.lab import impairment
from pulse.lab.impairment import NONE, Impairment

NETWORK_LIMIT = 255
HOST_LIMIT = 254
"""Hosts on one network: the addresses of a /24 but its first and last."""
DEFAULT_MTU = 1500
OUTER_PORTS = (1024, 65_535)


class Nat(StrEnum):
    """What a NAT does with UDP: the classic names, each a mapping and a filtering behaviour of RFC 4787."""

    FULL_CONE = "full_cone"
    """One outer port for all destinations, and whoever knows it may send in."""
    ADDRESS_RESTRICTED = "address_restricted"
    """One outer port for all destinations; in comes what is from an address that was sent to."""
    PORT_RESTRICTED = "port_restricted"
    """One outer port for all destinations; in comes what is from an address and port that was sent to."""
    SYMMETRIC = "symmetric"
    """An outer port for each destination, and only that destination may send in."""


class Firewall(StrEnum):
    """What a host neither takes, sends nor passes on."""

    UDP = "udp"


class PulsePlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The pulse that runs on a host: a member of the one mesh of its lab, with a TUN device."""

    ca: bool = False
    """It founds the mesh, as its CA and scribe; exactly one does."""
    join: str = ""
    """The host over which it joins; the CA if left out."""
    settings: dict[str, Any] = {}
    """What its config.toml says."""


class HostPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A host; a router passes on what is not for it, and a NAT is a router that hides who is behind it.

    The first network of a NAT is outside, all others are inside.
    """

    router: bool = False
    nat: Nat | None = None
    hairpin: bool = False
    """Hosts inside reach each other at the outer address of their NAT."""
    ports: tuple[int, int] = OUTER_PORTS
    """Outer ports that a symmetric NAT gives, first and last: a carrier's has a block for each of its customers."""
    firewall: Firewall | None = None
    pulse: PulsePlan | None = None
    """What runs there; None is a machine that is no member."""
    at: str = ""
    """The router whose cable alone is plugged in at first, as a laptop's is; all are if left out."""

    @property
    def passes_on(self) -> bool:
        """True if packets of others go through it."""
        return self.router or self.nat is not None


class NetworkPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What joins hosts: a cable between two of them, a switch between more."""

    hosts: tuple[str, ...]
    name: str = ""
    """What faults call it; without one, its number."""
    mtu: int = DEFAULT_MTU
    impair: Impairment = NONE
    """What happens to packets on the way to each host."""
    impair_to: dict[str, Impairment] = {}
    """What happens to packets on the way to these hosts instead."""


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole lab: hosts by name, and networks in order."""

    hosts: dict[str, HostPlan]
    networks: tuple[NetworkPlan, ...] = ()


@dataclass(frozen=True, slots=True)
class Port:
    """One end of a network: `interface` of `host`, with its two addresses."""

    host: str
    interface: str
    v4: IPv4Interface
    v6: IPv6Interface
    network: int
    """Number of the network it is on."""

    @property
    def mac(self) -> str:
        """Its hardware address: set by hand (the 2), then network and place."""
        return f"02:18:00:00:{self.network:02x}:{int(self.v4.ip) & 0xFF:02x}"


@dataclass(frozen=True, slots=True)
class Segment:
    """A network as it is built."""

    number: int
    mtu: int
    ports: tuple[Port, ...]

    @property
    def switched(self) -> bool:
        """True if it takes a switch, false if a cable will do."""
        return len(self.ports) > 2


@dataclass(frozen=True, slots=True)
class Hop:
    """A route of `host`: what is for the network of `to` goes to `via`, a port of a neighbour."""

    host: str
    to: Segment
    via: Port
    masked: bool = False
    """A NAT is on the way, so this is for IPv4 only, and whatever else there is lies that way too."""


TWO_HOSTS = Plan(hosts={"a": HostPlan(), "b": HostPlan()}, networks=(NetworkPlan(hosts=("a", "b")),))


def check(plan: Plan) -> None:
    """Refuse a description that cannot be built. Raises ConfigError, naming what is wrong."""
    if len(plan.networks) > NETWORK_LIMIT:
        raise ConfigError(f"a lab has at most {NETWORK_LIMIT} networks, not {len(plan.networks)}")
    for name, host in plan.hosts.items():
        _check_host(name, host, sum(name in network.hosts for network in plan.networks))
    _check_pulses(plan)
    for number, network in enumerate(plan.networks):
        for name in network.hosts:
            if name not in plan.hosts:
                raise ConfigError(f'networks[{number}] joins "{name}", which is no host here: add [hosts.{name}]')
        if len(set(network.hosts)) != len(network.hosts) or len(network.hosts) < 2:
            raise ConfigError(f"networks[{number}] has to join two or more different hosts")
        if len(network.hosts) > HOST_LIMIT:
            raise ConfigError(
                f"networks[{number}].hosts: {len(network.hosts)} hosts are on it, and a network has room for "
                f"{HOST_LIMIT}. Put the others on another one, with a router on both"
            )
        impairment.check(f"networks[{number}].impair", network.impair)
        for name, what in network.impair_to.items():
            if name not in network.hosts:
                raise ConfigError(f'networks[{number}].impair_to: "{name}" is not on this network')
            impairment.check(f"networks[{number}].impair_to.{name}", what)


def _check_pulses(plan: Plan) -> None:
    nodes = {name: host.pulse for name, host in plan.hosts.items() if host.pulse}
    founders = [name for name, node in nodes.items() if node.ca]
    if nodes and len(founders) != 1:
        listed = f" ({', '.join(founders)})" if founders else ""
        raise ConfigError(f"hosts: one pulse founds the mesh by ca = true, not {len(founders)}{listed}")
    for name, node in nodes.items():
        if node.join and node.join not in nodes:
            raise ConfigError(f'hosts.{name}.pulse.join: no pulse runs on "{node.join}"{near(node.join, nodes)}')
        if node.join == name or (node.join and node.ca):
            raise ConfigError(f"hosts.{name}.pulse.join: it joins over another host, and the CA over none")
    for name, host in plan.hosts.items():
        if host.at and not any({name, host.at} <= {*network.hosts} for network in plan.networks):
            raise ConfigError(f'hosts.{name}.at: no network joins it and "{host.at}"{near(host.at, plan.hosts)}')


def _check_host(name: str, host: HostPlan, networks: int) -> None:
    if not (name.isascii() and name.replace("-", "").isalnum() and name == name.lower() and len(name) <= 32):
        raise ConfigError(f'"{name}" cannot name a host: use at most 32 small letters, digits and hyphens')
    if host.nat and networks < 2:
        raise ConfigError(f"hosts.{name}.nat: a NAT is on two networks or more, the first outside, not on {networks}")
    if host.hairpin and not host.nat:
        raise ConfigError(f"hosts.{name}.hairpin: only a NAT turns packets back; say which nat it is")
    if host.ports != OUTER_PORTS and host.nat is not Nat.SYMMETRIC:
        raise ConfigError(f"hosts.{name}.ports: those of a cone follow from the inner ones; make it symmetric")
    if not OUTER_PORTS[0] <= host.ports[0] <= host.ports[1] <= OUTER_PORTS[1]:
        raise ConfigError(f"hosts.{name}.ports: {host.ports[0]} to {host.ports[1]} is no range within 1024 to 65535")


def segments(plan: Plan) -> list[Segment]:
    """Give every port its interface and addresses; interfaces of a host are eth0, eth1, … in order."""
    used = dict.fromkeys(plan.hosts, 0)
    built = []
    for number, network in enumerate(plan.networks):
        ports = []
        for place, host in enumerate(network.hosts, start=1):
            ports.append(_port(host, f"eth{used[host]}", number, place))
            used[host] += 1
        built.append(Segment(number, network.mtu, tuple(ports)))
    return built


def v4_network(number: int) -> IPv4Network:
    """Name the IPv4 network of that number."""
    return IPv4Network(f"198.18.{number}.0/24")


def v6_network(number: int) -> IPv6Network:
    """Name the IPv6 network of that number."""
    return IPv6Network(f"fd18:0:0:{number:x}::/64")


def hops(plan: Plan) -> Iterator[Hop]:
    """Yield the routes by which hosts reach networks, over as few routers as possible, and out of NATs but never in."""
    built = segments(plan)
    for host in plan.hosts:
        yield from _hops_of(host, plan, built)


def behind(plan: Plan, nat: str) -> list[Port]:
    """List the ports whose packets come to a NAT from inside, in the order of networks; its own are not among them."""
    built = segments(plan)
    outside = _outside(plan, nat)
    inside = [segment for segment in built if _port_on(segment, nat) and segment.number != outside]
    for segment in inside:
        for router in segment.ports:
            if router.host == nat or not plan.hosts[router.host].router or plan.hosts[router.host].nat:
                continue
            further = (each for each in built if _port_on(each, router.host))
            inside += [each for each in further if each not in inside and each.number != outside]
    return [port for segment in inside for port in segment.ports if port.host != nat]


def outer_port(plan: Plan, nat: str) -> Port:
    """Find the port by which a NAT is on its first network."""
    return next(port for segment in segments(plan) if (port := _port_on(segment, nat)))


def _outside(plan: Plan, host: str) -> int | None:
    """The number of the network from which nothing leads on through this host, if it is a NAT."""
    return outer_port(plan, host).network if plan.hosts[host].nat else None


def _hops_of(host: str, plan: Plan, built: list[Segment]) -> Iterator[Hop]:
    """Search breadth first from `host`; a network's first hop is that of the router it was found over."""
    attached = [segment for segment in built if _port_on(segment, host)]
    first: dict[int, Hop | None] = {segment.number: None for segment in attached}
    queue = list(attached)
    for segment in queue:
        before = first[segment.number]
        for router in segment.ports:
            if router.host == host or not plan.hosts[router.host].passes_on:
                continue
            if segment.number == _outside(plan, router.host):
                continue
            masked = plan.hosts[router.host].nat is not None or (before is not None and before.masked)
            for beyond in built:
                if beyond.number in first or not _port_on(beyond, router.host):
                    continue
                hop = Hop(host, beyond, before.via if before else router, masked)
                first[beyond.number] = hop
                queue.append(beyond)
                yield hop


def _port_on(segment: Segment, host: str) -> Port | None:
    return next((port for port in segment.ports if port.host == host), None)


def _port(host: str, interface: str, number: int, place: int) -> Port:
    v4, v6 = v4_network(number), v6_network(number)
    v4_port, v6_port = IPv4Interface((v4[place], v4.prefixlen)), IPv6Interface((v6[place], v6.prefixlen))
    return Port(host, interface, v4_port, v6_port, number)
