"""At which node a host is that a client of the proxy asks for.

Names under `.pulse`, ids and mesh addresses are at their node, which is asked for its own mesh address; all else is at
an exit, which is asked for it as it was written and resolves names itself. Invariant: what belongs to the mesh never
leaves by an exit.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final, NamedTuple, Protocol

from pulse.core.cidr import Range
from pulse.core.messages import shortened
from pulse.core.network.destinations import IPAddress
from pulse.core.network.hosttext import Host, check_address, is_bare_id
from pulse.core.network.proxying import Answer, ProxyRefused
from pulse.core.network.zones import DOMAIN, Kind, Labels, Records, ZoneRecord, alias_among, trail, usable
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.members import Members
from pulse.core.types import NodeId
from pulse.errors import Conflict, NotFound, Refused

_INTERNET: Final[Sequence[Range]] = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))


class Place(NamedTuple):
    """Where a host is: at a node, known to it by this name or address."""

    node: NodeId
    host: str
    beyond: bool = False
    """It is not the node's own: the node is asked as an exit."""


class Exits(Protocol):
    """Which exit leads where."""

    def exit_for(self, host: Host) -> NodeId | None:
        """The node through which a host beyond the mesh is reached; None if there is none."""
        ...


@dataclass(frozen=True, slots=True)
class RangeExits:
    """Exits by the ranges they are used for; None for one that none leads to now, and whose packets go nowhere.

    A range that this node serves is here by its own id: it is not asked of an exit to a wider one.
    """

    used: Callable[[], Mapping[Range, NodeId | None]]

    def exit_for(self, host: Host) -> NodeId | None:
        """Of the narrowest range; a name is looked up by the exit to all the Internet, whichever family it has."""
        used = self.used()
        if isinstance(host, str):
            return next((node for each in _INTERNET if (node := used.get(each)) is not None), None)
        covering = [each for each in used if host in each]
        return used[max(covering, key=lambda each: each.prefixlen)] if covering else None


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """What one node knows of where hosts are."""

    me: NodeId
    members: Members
    ranges: Callable[[], Sequence[Range]]
    """The mesh's own."""
    zones: Callable[[], Sequence[ZoneRecord]]
    """All of the network config in force."""
    exits: Exits

    def find(self, host: Host) -> Place:
        """Where it is, if that is not here; raises ProxyRefused."""
        place = self.place_of(host)
        if place.node == self.me:
            raise ProxyRefused(
                Answer.NOT_ALLOWED, f"{shortened(str(host))} is this machine, or beyond it. Connect without the proxy"
            )
        return place

    def place_of(self, host: Host) -> Place:
        """Where it is; raises ProxyRefused."""
        return self._named(host) if isinstance(host, str) else self._at(host)

    def _named(self, name: str) -> Place:
        if is_bare_id(name):
            return _own(self._member(name))
        found = self._followed(name)
        if not isinstance(found, str):
            return self._at(found)
        if found != DOMAIN and not found.endswith(f".{DOMAIN}"):
            return self._beyond(found)
        # A subdomain of a node's name is at that node: the last word before .pulse names it.
        return _own(self._member(found.removesuffix(f".{DOMAIN}").rpartition(".")[2]))

    def _followed(self, name: str) -> Host:
        """What zone records make of a name: an address, or the name at the end of its aliases."""

        def said(of: Labels) -> Records:
            return usable(each for each in self.zones() if each.name == ".".join(of))

        end, records = trail(tuple(name.split(".")), said)[-1]
        address = next((each.value for each in records or () if each.kind in (Kind.A, Kind.AAAA)), None)
        if address is not None:
            return ip_address(address)
        if alias_among(records):
            raise ProxyRefused(Answer.HOST_UNREACHABLE, f"{shortened(name)} is an alias of an alias, and so on")
        return ".".join(end)

    def _at(self, address: IPAddress) -> Place:
        _check(address)
        holder = next((each for each in self.members.all() if address in _addresses(each)), None)
        if holder is not None:
            return Place(holder.node_id, str(address))
        if any(address in each for each in self.ranges()):
            raise ProxyRefused(Answer.HOST_UNREACHABLE, f"no node has the mesh address {address}. See: pulse status")
        return self._beyond(address)

    def _beyond(self, host: Host) -> Place:
        exit_node = self.exits.exit_for(host)
        if exit_node is None:
            raise ProxyRefused(
                Answer.NETWORK_UNREACHABLE,
                f"{shortened(str(host))} is not in this mesh, and no exit leads there. See: pulse route list",
            )
        return Place(exit_node, str(host), beyond=True)

    def _member(self, text: str) -> Certificate:
        try:
            return self.members.resolve(text)
        except (NotFound, Conflict) as error:
            raise ProxyRefused(Answer.HOST_UNREACHABLE, str(error)) from error


def _own(certificate: Certificate) -> Place:
    return Place(certificate.node_id, str(certificate.addresses.v4))


def _addresses(certificate: Certificate) -> tuple[IPAddress, IPAddress]:
    return certificate.addresses.v4, certificate.addresses.v6


def _check(address: IPAddress) -> None:
    try:
        check_address(address)
    except Refused as error:
        raise ProxyRefused(Answer.NOT_ALLOWED, str(error)) from error
