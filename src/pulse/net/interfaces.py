"""What this host's own network has to do with the mesh: its addresses, and routes that overlap the mesh range.

Invariant: the mesh never takes traffic a route of the host claims more closely; then starting is refused by name.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

from pulse.core.network.ranges import is_public
from pulse.errors import Conflict
from pulse.net.netlink import HostAddress, HostRoute, Netlink


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


def own_addresses() -> list[IPv4Interface | IPv6Interface]:
    """List every address this host has, loopback and tunnels included, each with the network it is in."""
    with Netlink() as kernel:
        return [found.address for found in kernel.addresses()]


def public_networks(addresses: Iterable[IPv4Interface | IPv6Interface]) -> tuple[IPv4Network | IPv6Network, ...]:
    """The networks of the Internet in which a host with these addresses is itself, in a fixed order."""
    networks = {each.network for each in addresses if is_public(each.ip)}
    return tuple(sorted(networks, key=lambda each: (each.version, str(each))))


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
        "Give the first node of the mesh another range (pulse --ca --mesh-cidr 10.101.0.0/16), or change that network."
    )
