"""Which IPv4 range a mesh may have, private and with room for a few nodes; and which ranges a node may lead to.

Invariant: no public address may vanish behind a mesh, and no node leads others to what is each machine's own.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

from pulse.core.cidr import Range, range_of
from pulse.core.messages import printable
from pulse.errors import ConfigError, Refused

DEFAULT: Final = IPv4Network("10.100.0.0/16")

_PRIVATE: Final = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")))
"""RFC 1918 and RFC 6598: ranges that hide nobody's real address."""

_LONGEST_PREFIX: Final = 29
"""The smallest mesh has six addresses."""

NODE_LIMIT: Final = 8
"""Routes of one node: as many as its record can offer."""

NEVER: Final[Sequence[Range]] = tuple(
    ip_network(each)
    for each in (
        *("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"),
        *("::/127", "::ffff:0:0/96", "fe80::/10", "ff00::/8"),
        *("100.100.100.200/32", "168.63.129.16/32", "fd00:ec2::254/128", "fd20:ce::254/128"),
    )
)
"""Loopback, link-local, metadata of clouds, multicast, and what is no address of a machine."""

EMBEDDING: Final[Sequence[IPv6Network]] = tuple(
    map(IPv6Network, ("::ffff:0:0/96", "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))
)
"""IPv6 addresses with an IPv4 one inside: mapped, compatible, NAT64, 6to4, Teredo. Written plainly it can be judged."""

NOT_PUBLIC: Final = (*_PRIVATE, IPv4Network("192.0.0.0/24"))
"""Ranges that are in 0.0.0.0/0 and not in the Internet, beside those above (RFC 6890)."""

PUBLIC_V6: Final = IPv6Network("2000::/3")
"""What is assigned for the Internet (RFC 4291, 2.4)."""


_LARGEST: Final = {4: 8, 6: 16}
"""Prefix of the widest range with addresses of the Internet, but for all of it: what is said of that alone would not
hold for the same in pieces."""


def mesh_range(text: str, called: str = "mesh range") -> IPv4Network:
    """The range in `text`; raises ConfigError, which begins with what people call the setting."""
    try:
        found = IPv4Network(text)
    except ValueError as error:
        raise ConfigError(f'{called}: "{text}" is no IPv4 range. Write it like {DEFAULT}') from error
    if not any(found.subnet_of(private) for private in _PRIVATE):
        allowed = ", ".join(map(str, _PRIVATE))
        raise ConfigError(f"{called}: {found} would hide addresses of the Internet. Take a range inside {allowed}")
    if found.prefixlen > _LONGEST_PREFIX:
        raise ConfigError(f"{called}: {found} is too small for a mesh. Take /{_LONGEST_PREFIX} or wider")
    return found


def read_range(text: str, mesh: Sequence[Range] = ()) -> Range:
    """The range in `text`; raises Refused for one that no node can lead to."""
    found = range_of(text.strip())
    if found is None:
        raise Refused(f'"{printable(text)[:80]}" is no range. Write it like 192.168.7.0/24')
    if found.prefixlen and any(is_inside(found, each) for each in NEVER):
        raise Refused(f"{found} is never reached through another node")
    if is_large_part(found):
        whole, narrow = "0.0.0.0/0" if found.version == 4 else "::/0", _LARGEST[found.version]
        raise Refused(f"{found} is a large part of the Internet.\nTake all of it, {whole}, or ranges of /{narrow} each")
    if ours := met(found, mesh):
        raise Refused(_overlap(found, ours))
    return found


def is_large_part(cidr: Range) -> bool:
    """True for a range with more addresses of the Internet than one may have that is not all of it."""
    if not 0 < cidr.prefixlen < _LARGEST[cidr.version]:
        return False
    return is_inside(PUBLIC_V6, cidr) or is_inside(cidr, PUBLIC_V6) if cidr.version == 6 else True


def met(cidr: Range, mesh: Sequence[Range]) -> Range | None:
    """The range of the mesh itself that this one overlaps; None if there is none, and for the whole Internet.

    That holds the mesh by arithmetic alone: what is private is not in it.
    """
    meeting = (each for each in mesh if is_inside(cidr, each) or is_inside(each, cidr))
    return next(meeting, None) if cidr.prefixlen else None


def _overlap(cidr: Range, ours: Range) -> str:
    if is_inside(cidr, ours):
        return f"{cidr} is in the mesh itself ({ours}), where no route is needed"
    beside = sorted(_without(cidr, ours))
    written = ", ".join(map(str, beside)) if len(beside) <= NODE_LIMIT else "narrower ones"
    return f"{cidr} holds the mesh itself, {ours}, to which no node leads.\nWrite the ranges beside it: {written}"


def _without(cidr: Range, inner: Range) -> list[Range]:
    if isinstance(cidr, IPv4Network):
        return [*cidr.address_exclude(inner)] if isinstance(inner, IPv4Network) else []
    return [*cidr.address_exclude(inner)] if isinstance(inner, IPv6Network) else []


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """True for an address of the Internet; the data plane judges packets alike (`tables.rs`)."""
    if isinstance(address, IPv6Address):
        return address in PUBLIC_V6
    return not any(address in each for each in (*NOT_PUBLIC, *NEVER))


def is_inside(inner: Range, outer: Range) -> bool:
    """True if all of `inner` is in `outer`."""
    if isinstance(inner, IPv4Network):
        return isinstance(outer, IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, IPv6Network) and inner.subnet_of(outer)
