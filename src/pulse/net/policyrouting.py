"""Routes of our own table, for what goes beyond the mesh; the two rules of `policyrules.py` lead there.

Invariant: what is for a range in the table is refused where no device carries it, also when the device went with a
crash.
Layouts: rtnetlink(7).
"""

import struct
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final

from pulse.errors import Conflict, SystemRefused
from pulse.net.netlink import RTPROT_PULSE, AlreadySo, Netlink, Prefix, destination_of, family_of
from pulse.net.nlattr import attribute, number, unpack
from pulse.net.policyrules import FAMILIES, TABLE, Rule, changes, in_the_way, read, written

BY_DEVICE, REFUSED = 1, 0x7FFFFFFF
"""Metrics: of a route to a device, and of the one behind it that refuses."""

_NEW_ROUTE, _DELETE_ROUTE = 24, 25
_RTA_DST, _RTA_OIF, _RTA_PRIORITY, _RTA_TABLE = 1, 4, 6, 15
_CREATE: Final = 0x600
"""NLM_F_CREATE and NLM_F_EXCL."""
_UNICAST: Final = 1
_NEW_RULE, _DELETE_RULE, _GET_RULE = 32, 33, 34
_ANY, _UNREACHABLE = 0, 7
_ANY_SCOPE: Final = 255
_EVERYWHERE: Final = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}


@dataclass(frozen=True, slots=True)
class TableRoute:
    """A route of our table; without a device it refuses."""

    prefix: Prefix
    device: str
    metric: int
    foreign: bool = False
    """No node made it."""


def wanted_routes(ranges: Mapping[Prefix, str]) -> frozenset[TableRoute]:
    """The routes for ranges, each with the device that carries it or none.

    Where the IPv4 Internet is reached through others and the IPv6 one is not, that one is refused: it would go past.
    """
    whole = dict(ranges)
    if _EVERYWHERE[4] in whole:
        whole.setdefault(_EVERYWHERE[6], "")
    refused = {TableRoute(prefix, "", REFUSED) for prefix in whole}
    return frozenset(refused | {TableRoute(prefix, device, BY_DEVICE) for prefix, device in whole.items() if device})


class PolicyRouting(Netlink):
    """Our table in the kernel, and its rules; use it from one thread."""

    def apply(self, wanted: Iterable[TableRoute]) -> bool:
        """Have these routes and no others, and rules where there is a route; True if anything changed.

        What is added comes before what is taken away, so nothing goes past meanwhile; a route to a device
        that cannot be had keeps nothing else away. Raises SystemRefused, NoInterface for a device that is gone, and
        Conflict if rules of another program are asked before ours all the same.
        """
        wanted, there = frozenset(wanted), self.table()
        foreign = {each for each in there if each.foreign}
        for route in foreign:
            self._drop(route)
        refused: list[SystemRefused] = []
        for route in sorted(wanted - there, key=lambda each: -each.metric):
            try:
                self._put(route)
            except SystemRefused as error:
                # Behind a route to a device is one that refuses, which the rules lead to.
                if not route.device:
                    raise
                refused.append(error)
        families = {family_of(each.prefix) for each in wanted}
        ruled = [self._rule(family, wanted=family in families) for family in FAMILIES]
        for route in there - wanted - foreign:
            self._drop(route)
        self._check(families)
        if refused:
            raise refused[0]
        return wanted != there or any(ruled)

    def table(self) -> frozenset[TableRoute]:
        """What our table holds."""
        links, found = self._links(), set()
        for body, attributes in self._routes(TABLE):
            index = attributes.get(_RTA_OIF) if body[7] != _UNREACHABLE else None
            link = links.get(unpack(index)) if index else None
            metric = unpack(attributes.get(_RTA_PRIORITY, bytes(4)))
            ours = body[5] == RTPROT_PULSE and body[7] in (_UNICAST, _UNREACHABLE) and (link is None or link.tunnel)
            device = link.name if link else ""
            found.add(TableRoute(destination_of(body, attributes), device, metric, not ours))
        return frozenset(found)

    def rules(self) -> list[Rule]:
        """All rules of this host, in the order in which they are asked, by family."""
        return [read(body) for body in self._list(_GET_RULE, bytes(12)) if body[0] in FAMILIES]

    def _rule(self, family: int, *, wanted: bool) -> bool:
        there = [each for each in self.rules() if each.family == family]
        added, taken = changes(there, family, wanted=wanted)
        for rule in added:
            with suppress(AlreadySo):
                self._ask("cannot add a routing rule", _NEW_RULE, _CREATE, written(rule))
        for rule in taken:
            with suppress(AlreadySo):
                self._ask("cannot remove a routing rule", _DELETE_RULE, 0, written(rule))
        return bool(added or taken)

    def _check(self, families: Iterable[int]) -> None:
        rules = self.rules()
        if there := sorted({each for family in families for each in in_the_way(rules, family)}):
            raise Conflict(
                f"rules of another program have the priority {there[0]} and all those before it that ours may have, "
                f"and lead packets past the mesh.\nSee them: ip rule. Remove them: ip rule del priority {there[0]}"
            )

    def _put(self, route: TableRoute) -> None:
        where = f"through {route.device}" if route.device else "nowhere"
        with suppress(AlreadySo):
            self._ask(f"cannot lead {route.prefix} {where}", _NEW_ROUTE, _CREATE, self._said(route))

    def _drop(self, route: TableRoute) -> None:
        with suppress(AlreadySo):
            self._ask(f"cannot remove the route {route.prefix}", _DELETE_ROUTE, 0, self._said(route))

    def _said(self, route: TableRoute) -> bytes:
        prefix = route.prefix
        scope = 253 if route.device and prefix.version == 4 else 0
        who, kind = RTPROT_PULSE, _UNICAST if route.device else _UNREACHABLE
        if route.foreign:
            who, scope, kind = _ANY, _ANY_SCOPE, _ANY
        header = struct.pack("=BBBBBBBBI", family_of(prefix), prefix.prefixlen, 0, 0, 0, who, scope, kind, 0)
        said = header + attribute(_RTA_DST, prefix.network_address.packed)
        said += number(_RTA_TABLE, TABLE) + number(_RTA_PRIORITY, route.metric)
        return said + (number(_RTA_OIF, self._index(route.device)) if route.device else b"")
