"""The description of a lab, and everything that follows from it: addresses, interfaces and routes.

Invariant: pure and ordered; the same description always gives the same addresses. Networks are numbered in the order
they are written: the n-th is 198.18.n.0/24 (RFC 2544, set aside for tests) and fd18:0:0:n::/64, its k-th host is k.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network

import msgspec

from pulse.errors import ConfigError

NETWORK_LIMIT = 255
DEFAULT_MTU = 1500


class HostPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A host; a router passes on what is not for it."""

    router: bool = False


class NetworkPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What joins hosts: a cable between two of them, a switch between more."""

    hosts: tuple[str, ...]
    mtu: int = DEFAULT_MTU


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


TWO_HOSTS = Plan(hosts={"a": HostPlan(), "b": HostPlan()}, networks=(NetworkPlan(hosts=("a", "b")),))


def read_plan(text: str) -> Plan:
    """Read a description in TOML: `[hosts.NAME]` tables and `[[networks]]`. Raises ConfigError."""
    try:
        plan = msgspec.toml.decode(text, type=Plan)
    except msgspec.DecodeError as error:
        raise ConfigError(f"the description of the lab is wrong: {error}") from error
    check(plan)
    return plan


def check(plan: Plan) -> None:
    """Refuse a description that cannot be built. Raises ConfigError, naming what is wrong."""
    if len(plan.networks) > NETWORK_LIMIT:
        raise ConfigError(f"a lab has at most {NETWORK_LIMIT} networks, not {len(plan.networks)}")
    for name in plan.hosts:
        if not (name.isascii() and name.replace("-", "").isalnum() and name == name.lower() and len(name) <= 32):
            raise ConfigError(f'"{name}" cannot name a host: use at most 32 small letters, digits and hyphens')
    for number, network in enumerate(plan.networks):
        for host in network.hosts:
            if host not in plan.hosts:
                raise ConfigError(f'networks[{number}] joins "{host}", which is no host here: add [hosts.{host}]')
        if len(set(network.hosts)) != len(network.hosts) or len(network.hosts) < 2:
            raise ConfigError(f"networks[{number}] has to join two or more different hosts")


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
    """Yield the routes by which every host reaches every network, over as few routers as possible."""
    built = segments(plan)
    for host in plan.hosts:
        yield from _hops_of(host, plan, built)


def _hops_of(host: str, plan: Plan, built: list[Segment]) -> Iterator[Hop]:
    """Search breadth first from `host`; a network's first hop is that of the router it was found over."""
    attached = [segment for segment in built if _port_on(segment, host)]
    first: dict[int, Port | None] = {segment.number: None for segment in attached}
    queue = list(attached)
    for segment in queue:
        for router in segment.ports:
            if router.host == host or not plan.hosts[router.host].router:
                continue
            for beyond in built:
                if beyond.number in first or not _port_on(beyond, router.host):
                    continue
                via = first[segment.number] or router
                first[beyond.number] = via
                queue.append(beyond)
                yield Hop(host, beyond, via)


def _port_on(segment: Segment, host: str) -> Port | None:
    return next((port for port in segment.ports if port.host == host), None)


def _port(host: str, interface: str, number: int, place: int) -> Port:
    v4, v6 = v4_network(number), v6_network(number)
    v4_port, v6_port = IPv4Interface((v4[place], v4.prefixlen)), IPv6Interface((v6[place], v6.prefixlen))
    return Port(host, interface, v4_port, v6_port, number)
