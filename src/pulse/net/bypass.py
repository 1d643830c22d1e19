"""Routes of this host by which packets for the Internet go past the exit that is in use.

A network may hand them out (DHCP option 121, route information in IPv6) to see what a tunnel would hide. Invariant:
whatever says more than the default route and leads to public addresses is told, but for the host's own networks and
what a person wrote as static.
"""

from collections.abc import Iterable

from pulse.core.network.ranges import NEVER, NOT_PUBLIC, PUBLIC_V6, is_inside
from pulse.net.netlink import MAIN_TABLE, RTPROT_KERNEL, RTPROT_STATIC, HostRoute, Netlink, Prefix

_WIDEST = {4: 16, 6: 48}
"""Prefix of the widest network that is taken for one the host is in: its address may come with any, by DHCP."""


def bypasses(ours: Iterable[str] = ()) -> tuple[str, ...]:
    """Those routes as `ip route` takes them; none of the interfaces `ours`. Raises SystemRefused."""
    with Netlink() as kernel:
        return leading_past(kernel.routes(MAIN_TABLE), ours)


def leading_past(routes: Iterable[HostRoute], ours: Iterable[str] = ()) -> tuple[str, ...]:
    """Those of these."""
    hidden = {*ours}
    return tuple(map(_written, (each for each in routes if each.interface not in hidden and _leads_past(each))))


def _leads_past(route: HostRoute) -> bool:
    there = route.destination
    if not there.prefixlen or route.kind != "unicast" or not _is_public(there) or route.protocol == RTPROT_STATIC:
        return False
    # What the kernel adds for an address has no gateway; a network that hands out a wide one is no neighbourhood.
    own = route.gateway is None and route.protocol == RTPROT_KERNEL
    return not (own and there.prefixlen >= _WIDEST[there.version])


def _is_public(there: Prefix) -> bool:
    """True if addresses of the Internet are in it."""
    if there.version == 6:
        return is_inside(there, PUBLIC_V6) or is_inside(PUBLIC_V6, there)
    return not any(is_inside(there, each) for each in (*NOT_PUBLIC, *NEVER))


def _written(route: HostRoute) -> str:
    words = [str(route.destination)]
    words += ["via", str(route.gateway)] if route.gateway else []
    words += ["dev", route.interface] if route.interface else []
    words += ["metric", str(route.metric)] if route.metric else []
    return " ".join(words)
