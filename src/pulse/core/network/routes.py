"""Which ranges beyond the mesh may be reached through which node, as the network config says.

A node offers ranges; nobody uses one before the config approves it, by the node itself or by a tag it wears.
Invariant: the whole Internet is never approved by a tag, nor a large part of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import structs

from pulse.core.cidr import Range, range_of
from pulse.core.messages import Wire, printable
from pulse.core.network.ranges import NODE_LIMIT, is_inside, is_large_part, read_range
from pulse.core.trust.identity import is_tag, node_bytes
from pulse.core.types import Digest, NodeId, ShortText
from pulse.errors import Conflict, Refused

ROUTES_LIMIT: Final = 1024
"""Routes of one config."""

AUTO_LIMIT: Final = 256
"""Ranges approved by tags."""


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


def is_approved(
    node: NodeId, tags: Iterable[str], offered: Range, routes: Iterable[Route], auto: Mapping[str, str]
) -> bool:
    """True if a node with these tags may lead others to the range it offers.

    A tag is no word against the scribe's: what a route gives to another node no tag gives away, nor a part of it.
    """
    own, approved = node_bytes(node), [each for each in routes if each.approved]
    if any(each.node == own and _same(each.announced, offered) for each in approved):
        return True
    if not offered.prefixlen or is_large_part(offered):
        return False
    if any(_covers(each.announced, offered) for each in approved if each.node != own):
        return False
    worn = {*tags}
    return any(tag in worn and _covers(cidr, offered) for cidr, tag in auto.items())


class Served(NamedTuple):
    """A range that others reach through this node."""

    announced: Range
    behind: Range
    """As it is behind this node; the same unless it is mapped."""


def announced(node: NodeId, cidrs: Iterable[str], routes: Iterable[Route]) -> tuple[Served, ...]:
    """What the node offers of these ranges behind it: each as it is, or as the network config maps it."""
    own = node_bytes(node)
    mine = [each for each in routes if each.node == own]
    found: list[Served] = []
    for text in cidrs:
        behind = range_of(text)
        if behind is None:
            continue
        named = [range_of(each.announced) for each in mine if _same(each.cidr, behind)]
        found += [Served(each, behind) for each in named or [behind] if each is not None and _alike(each, behind)]
    return tuple(found[:NODE_LIMIT])


def _alike(announced: Range, behind: Range) -> bool:
    """True if every address of one has its own in the other: no config that an edit made says anything else."""
    return announced.version == behind.version and announced.prefixlen == behind.prefixlen


def describe_route(route: Route) -> str:
    """`192.168.7.0/24 as 10.7.7.0/24, approved`, without its node."""
    mapped = f" as {route.mapped}" if route.mapped else ""
    return printable(f"{route.cidr}{mapped}, {'approved' if route.approved else 'not approved'}")


def _covers(text: str, inner: Range) -> bool:
    """True if the text is a range, though not the whole Internet, and `inner` is in it."""
    outer = range_of(text)
    return outer is not None and outer.prefixlen > 0 and is_inside(inner, outer)


def _same(text: str, offered: Range) -> bool:
    return range_of(text) == offered
