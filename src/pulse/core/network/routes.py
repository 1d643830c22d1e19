"""Which ranges beyond the mesh may be reached through which node, as the network config says.

A node offers ranges; nobody uses one before the config approves it, by the node itself or by a tag it wears.
Invariant: the whole Internet is never approved by a tag.
"""

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Final

import msgspec
from msgspec import structs

from pulse.core.messages import Wire, printable
from pulse.core.trust.identity import is_tag, node_bytes
from pulse.core.types import Digest, NodeId, ShortText
from pulse.errors import Conflict, Refused

ROUTES_LIMIT: Final = 1024
"""Routes of one config."""

NODE_LIMIT: Final = 8
"""Routes of one node: as many as its record can offer."""

AUTO_LIMIT: Final = 256
"""Ranges approved by tags."""

Range = IPv4Network | IPv6Network

_NEVER: Final[Sequence[Range]] = tuple(
    ip_network(each)
    for each in (
        *("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"),
        *("::/127", "::ffff:0:0/96", "fe80::/10", "ff00::/8", "fd00:ec2::254/128"),
    )
)
"""Loopback, link-local, metadata of clouds, multicast, and what is no address of a machine."""


class Route(Wire, frozen=True):
    """A range that a node leads to; later releases append fields."""

    node: Digest
    cidr: ShortText
    """As it is behind the node."""
    mapped: ShortText = ""
    """As the mesh knows it, one to one; empty if that is the same."""
    approved: bool = False

    @property
    def announced(self) -> str:
        """The range that the node offers, that is approved, and that others send to."""
        return self.mapped or self.cidr


Routes = Annotated[list[Route], msgspec.Meta(max_length=ROUTES_LIMIT)]
AutoApproval = Annotated[dict[ShortText, ShortText], msgspec.Meta(max_length=AUTO_LIMIT)]
"""Range → the tag of nodes that may offer it, or a part of it."""


def written_route(route: Route, mesh: Sequence[Range]) -> Route:
    """The route with its ranges in their one form; raises Refused. `mesh` are the mesh's own ranges."""
    cidr = read_range(route.cidr, mesh)
    if not route.mapped:
        return structs.replace(route, cidr=str(cidr))
    mapped = read_range(route.mapped, mesh)
    if mapped.version != cidr.version or mapped.prefixlen != cidr.prefixlen or not cidr.prefixlen:
        raise Refused(f"{cidr} cannot be mapped to {mapped}: both are of one size, and not the whole Internet")
    if mapped.overlaps(cidr):
        raise Refused(f"{cidr} cannot be mapped to {mapped}, which overlaps it")
    return structs.replace(route, cidr=str(cidr), mapped=str(mapped))


def check_routes(routes: Sequence[Route]) -> None:
    """Raise Refused, or Conflict, for routes in their form that cannot stand together."""
    if len(routes) > ROUTES_LIMIT:
        raise Refused(f"these are {len(routes)} routes; {ROUTES_LIMIT} are allowed")
    by_node: dict[bytes, set[str]] = {}
    for each in routes:
        ranges = by_node.setdefault(each.node, set())
        if each.announced in ranges:
            raise Conflict(f"the route to {each.announced} by {each.node.hex()[:12]} is there twice")
        ranges.add(each.announced)
        if len(ranges) > NODE_LIMIT:
            raise Refused(f"{each.node.hex()[:12]} would lead to more than {NODE_LIMIT} ranges, and can offer no more")


def written_auto(auto: Mapping[str, str], mesh: Sequence[Range]) -> dict[str, str]:
    """Ranges in their one form and the tags that approve them; raises Refused."""
    found: dict[str, str] = {}
    for text, tag in auto.items():
        cidr = read_range(text, mesh)
        if not cidr.prefixlen:
            raise Refused(f"{cidr} is the whole Internet, which no tag approves: approve the route of each such node")
        if not is_tag(tag):
            raise Refused(f'"{printable(tag)[:80]}" is no tag. Write it without tag:')
        if str(cidr) in found:
            raise Refused(f"{cidr} is there twice")
        found[str(cidr)] = tag
    if len(found) > AUTO_LIMIT:
        raise Refused(f"these are {len(found)} ranges that tags approve; {AUTO_LIMIT} are allowed")
    return found


def read_range(text: str, mesh: Sequence[Range] = ()) -> Range:
    """The range in `text`; raises Refused for one that no node can lead to."""
    try:
        found = ip_network(text.strip())
    except ValueError as error:
        raise Refused(f'"{printable(text)[:80]}" is no range. Write it like 192.168.7.0/24') from error
    if found.prefixlen and any(_is_inside(found, each) for each in _NEVER):
        raise Refused(f"{found} is never reached through another node")
    if any(_is_inside(found, each) for each in mesh):
        raise Refused(f"{found} is in the mesh itself, where no route is needed")
    return found


def is_approved(
    node: NodeId, tags: Iterable[str], offered: Range, routes: Iterable[Route], auto: Mapping[str, str]
) -> bool:
    """True if a node with these tags may lead others to the range it offers."""
    own = node_bytes(node)
    if any(each.approved and each.node == own and _same(each.announced, offered) for each in routes):
        return True
    worn = {*tags}
    return offered.prefixlen > 0 and any(tag in worn and _covers(cidr, offered) for cidr, tag in auto.items())


def describe_route(route: Route) -> str:
    """`192.168.7.0/24 as 10.7.7.0/24, approved`, without its node."""
    mapped = f" as {route.mapped}" if route.mapped else ""
    return printable(f"{route.cidr}{mapped}, {'approved' if route.approved else 'not approved'}")


def _covers(text: str, inner: Range) -> bool:
    """True if the text is a range, though not the whole Internet, and `inner` is in it."""
    outer = _range(text)
    return outer is not None and outer.prefixlen > 0 and _is_inside(inner, outer)


def _same(text: str, offered: Range) -> bool:
    return _range(text) == offered


def _range(text: str) -> Range | None:
    try:
        return ip_network(text)
    except ValueError:
        return None


def _is_inside(inner: Range, outer: Range) -> bool:
    if isinstance(inner, IPv4Network):
        return isinstance(outer, IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, IPv6Network) and inner.subnet_of(outer)
