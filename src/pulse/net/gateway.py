"""Which router this machine reaches the Internet by, as its routing table says.

Invariant: a router beyond a tunnel, ours or another's, is none: what it maps would come to us over another network.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Interface

from pulse.core.paths.portmap import Gateway
from pulse.net.netlink import MAIN_TABLE, HostAddress, HostRoute, Netlink

_ANY = "0.0.0.0"  # noqa: S104 (compared, not bound)


def default_gateway(listen: str = "", ours: Iterable[str] = ()) -> Gateway | None:
    """Look up the gateway of the default route; None without one, or if it leads through a tunnel or one of `ours`.

    None too if we listen at the address `listen` alone, and that is not our end of the cable. Raises SystemRefused.
    """
    with Netlink() as kernel:
        found = choose(kernel.routes(), kernel.addresses(), ours)
    anywhere = listen in ("", "::", _ANY)
    return found if found and (anywhere or listen == str(found.source)) else None


def choose(routes: Iterable[HostRoute], addresses: Iterable[HostAddress], ours: Iterable[str] = ()) -> Gateway | None:
    """Pick the IPv4 default route that packets take, and our address on its interface."""
    ways = [route for route in routes if _is_default(route)]
    best = min(ways, key=lambda route: route.metric, default=None)
    if best is None or not isinstance(best.gateway, IPv4Address) or best.interface in {*ours}:
        return None
    here = [each for each in addresses if each.interface == best.interface]
    if any(each.tunnel for each in here):
        return None
    sources = [each.address for each in here if isinstance(each.address, IPv4Interface)]
    # A gateway outside every prefix of the interface is reached all the same: clouds give addresses as /32.
    near = next((each for each in sources if best.gateway in each.network), next(iter(sources), None))
    return Gateway(best.gateway, near.ip, best.interface) if near else None


def _is_default(route: HostRoute) -> bool:
    there = route.destination
    return there.version == 4 and there.prefixlen == 0 and route.table == MAIN_TABLE and route.kind == "unicast"
