"""The firewall of an exit: what may go from the mesh to the networks behind this node, and as what it leaves.

Where it arrives each packet is judged by the address its sender meant. Invariant: what is not for an approved range is
dropped, whatever else this host forwards, and so is what nobody may reach, by whichever address; the whole Internet is
the public one, and neither an address of this host nor a network it is in.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from pulse.core.network.ranges import EMBEDDING, NEVER, NOT_PUBLIC, PUBLIC_V6, is_inside
from pulse.net.nftables import Chain, Hook
from pulse.net.nftrules import (
    Prefix,
    Rule,
    accepts,
    comes_by,
    drops,
    is_answer,
    is_for,
    is_for_this_host,
    is_from,
    is_of,
    leaves_by,
    mapped_to,
    marks,
    masquerade,
)
from pulse.net.policyrules import MARK

TABLE: Final = "pulse"

_ARRIVE, _MAP, _PASS, _LEAVE = -150, -100, -1, 100
"""Priorities: after connection tracking, that of destination NAT, just before other filters, that of source NAT."""


@dataclass(frozen=True, slots=True)
class Mesh:
    """The mesh as a firewall sees it."""

    device: str
    v4: IPv4Network
    v6: IPv6Network
    ours: tuple[Prefix, Prefix]
    """This node's own mesh addresses."""


@dataclass(frozen=True, slots=True)
class Site:
    """What the firewall has to know of the machine around it."""

    mesh_only: frozenset[int] = frozenset()
    """Versions of IP that this machine forwards for the mesh alone."""
    connected: tuple[Prefix, ...] = ()
    """Networks it is in itself."""


@dataclass(frozen=True, slots=True)
class Range:
    """An approved range: as others know it, and as it is behind this node."""

    announced: Prefix
    behind: Prefix


def chains(mesh: Mesh, served: Iterable[Range], site: Site) -> tuple[Chain, ...]:
    """The chains for these ranges."""
    ranges = tuple(served)
    return (
        Chain("arriving", "filter", Hook.PREROUTING, _ARRIVE, _arriving(mesh, ranges, site.connected)),
        Chain("mapping", "nat", Hook.PREROUTING, _MAP, _mapping(mesh, ranges)),
        Chain("passing", "filter", Hook.FORWARD, _PASS, _passing(mesh, site.mesh_only)),
        Chain("leaving", "nat", Hook.POSTROUTING, _LEAVE, _leaving(mesh, ranges)),
    )


def _arriving(mesh: Mesh, ranges: tuple[Range, ...], connected: Iterable[Prefix]) -> list[Rule]:
    rules: list[Rule] = [[*comes_by(mesh.device, other=True), accepts()]]
    rules += [[*is_for(each), accepts()] for each in mesh.ours]
    rules += [[*is_from(each, other=True), drops()] for each in (mesh.v4, mesh.v6)]
    # What goes out here goes by this host's own routes, though the host itself may use an exit elsewhere.
    rules.append(marks(MARK))
    closed = (*NEVER, *EMBEDDING, mesh.v4, mesh.v6)
    rules += [[*is_for(each), drops()] for each in (*closed, *_images(closed, ranges))]
    rules += [[*is_for(each.announced), accepts()] for each in ranges if each.announced.prefixlen]
    whole = [each.announced for each in ranges if not each.announced.prefixlen]
    if whole:
        rules += [[*is_for_this_host(), drops()], *([*is_for(each), drops()] for each in (*NOT_PUBLIC, *connected))]
        rules.append([*is_for(PUBLIC_V6, other=True), drops()])
    rules += [[*is_for(each), accepts()] for each in whole]
    return [*rules, [drops()]]


def _images(closed: Iterable[Prefix], ranges: tuple[Range, ...]) -> Iterator[Prefix]:
    """What of the closed ranges is called in those that are mapped: the address changes only after it is judged."""
    for each in ranges:
        if each.announced == each.behind:
            continue
        for inner in closed:
            if is_inside(each.behind, inner):
                yield each.announced
            elif is_inside(inner, each.behind):
                place = int(inner.network_address) - int(each.behind.network_address)
                yield type(inner)((int(each.announced.network_address) + place, inner.prefixlen))


def _mapping(mesh: Mesh, ranges: tuple[Range, ...]) -> list[Rule]:
    return [
        [*comes_by(mesh.device), *is_for(each.announced), *mapped_to(each.behind)]
        for each in ranges
        if each.announced != each.behind
    ]


def _passing(mesh: Mesh, mesh_only: Iterable[int]) -> list[Rule]:
    """From one node to another nothing passes here, for relays carry that; and nobody behind us begins anything.

    What is not of the mesh passes only where it passed before.
    """
    return [
        [*comes_by(mesh.device), *leaves_by(mesh.device), drops()],
        [*leaves_by(mesh.device), *is_answer(), accepts()],
        [*leaves_by(mesh.device), drops()],
        *(
            [*is_of(version), *comes_by(mesh.device, other=True), *leaves_by(mesh.device, other=True), drops()]
            for version in sorted(mesh_only)
        ),
    ]


def _leaving(mesh: Mesh, ranges: tuple[Range, ...]) -> list[Rule]:
    ours: dict[int, Prefix] = {4: mesh.v4, 6: mesh.v6}
    return [
        [*is_from(ours[each.behind.version]), *is_for(each.behind), *leaves_by(mesh.device, other=True), masquerade()]
        for each in ranges
    ]
