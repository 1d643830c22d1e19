"""What this host's own network has to do with the mesh: its addresses, and routes that overlap the mesh range.

Invariant: the mesh never takes traffic a route of the host claims more closely; then starting is refused by name.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import Final

from pulse.core.network.ranges import is_public
from pulse.errors import Conflict, SystemRefused
from pulse.net.netlink import MAIN_TABLE, HostAddress, HostRoute, Netlink, Prefix

_WIDEST: Final = {4: 8, 6: 32}
"""Prefix of the widest route that is taken for a network the host is in: through a VPN halves of the Internet lead."""


def host_addresses(ours: Iterable[str] = ()) -> list[IPv4Address | IPv6Address]:
    """List the addresses others may reach this host at; those of the interfaces `ours` are left out."""
    with Netlink() as kernel:
        return reachable(kernel.addresses(), ours)


def reachable(addresses: Iterable[HostAddress], ours: Iterable[str] = ()) -> list[IPv4Address | IPv6Address]:
    """Pick the addresses that mean something to another host: no loopback, no link-local, no tunnel's, none of `ours`.

    A link through another tunnel would be a tunnel in a tunnel, and through our own one a loop.
    """
    hidden = set(ours)
    hosts = [found.address.ip for found in addresses if not found.tunnel and found.interface not in hidden]
    return [host for host in hosts if not (host.is_loopback or host.is_link_local or host.is_unspecified)]


def own_addresses() -> frozenset[IPv4Address | IPv6Address]:
    """List every address this host has, loopback and tunnels included."""
    with Netlink() as kernel:
        return frozenset(found.address.ip for found in kernel.addresses())


def has_network() -> bool:
    """False if no way leads out of this host at all: no interface is up with its cable in. True where none can tell."""
    try:
        with Netlink() as kernel:
            return kernel.has_network()
    except SystemRefused:
        return True


def connected_networks() -> tuple[Prefix, ...]:
    """The networks of the Internet this host is in itself, in a fixed order."""
    with Netlink() as kernel:
        return public_networks(kernel.addresses(), kernel.routes(MAIN_TABLE))


def public_networks(addresses: Iterable[HostAddress], routes: Iterable[HostRoute]) -> tuple[Prefix, ...]:
    """Those of a host with these: networks of its addresses, and what it reaches without a gateway.

    By DHCP an IPv6 address comes without its network, which a router advertises: that is a route then.
    """
    networks = {each.address.network for each in addresses}
    networks |= {each.destination for each in routes if _is_connected(each)}
    return tuple(sorted(filter(_is_public, networks), key=lambda each: (each.version, str(each))))


def host_routes() -> list[HostRoute]:
    """List the routes of this host."""
    with Netlink() as kernel:
        return kernel.routes()


def conflicts(mesh: IPv4Network, routes: Iterable[HostRoute], ours: Iterable[str] = ()) -> list[str]:
    """Compare the mesh range with the routes of the host, those of the interfaces `ours` left out.

    Returns one warning for each wider route, from which the mesh would take a part.
    Raises Conflict for a route equal to the range or inside it, which would take a part from the mesh.
    """
    hidden, wider = set(ours), []
    for route in routes:
        there = route.destination
        if not isinstance(there, IPv4Network) or route.interface in hidden or there.prefixlen == 0:
            continue
        if there.subnet_of(mesh):
            raise Conflict(_taken(mesh, route))
        if mesh.subnet_of(there) and route.kind == "unicast":
            wider.append(
                f"the mesh range {mesh} lies inside the route {there} of {route.interface or 'this host'}: "
                f"hosts of it at such addresses cannot be reached from here"
            )
    return wider


def _taken(mesh: IPv4Network, route: HostRoute) -> str:
    what = "has the address" if route.kind == "local" else "has the route"
    return (
        f"the mesh range {mesh} is in use here: interface {route.interface or '(none)'} {what} {route.destination}.\n"
        "Give the first node of the mesh another range (pulse start --ca --mesh-cidr 10.101.0.0/16), "
        "or change that network."
    )


def _is_connected(route: HostRoute) -> bool:
    wide = route.destination.prefixlen < _WIDEST[route.destination.version]
    return route.kind == "unicast" and bool(route.interface) and route.gateway is None and not wide


def _is_public(network: Prefix) -> bool:
    return is_public(network.network_address)
