"""Routes of our own table, for what goes beyond the mesh, and the two rules that lead there.

The first rule keeps routes of the host that say more than its default one; the second leads all but our own packets
to the table. Invariant: what is for a range in the table is refused where no device carries it, also when the device
went with a crash.
Layouts: linux/fib_rules.h, rtnetlink(7).
"""

import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final

from pulse.net.netlink import MAIN_TABLE, RTPROT_PULSE, AlreadySo, Netlink, Prefix, destination_of, family_of, table_of
from pulse.net.nlattr import attribute, attributes_in, number, unpack

TABLE: Final = 0x7075
"""28789: "pu"."""

MARK: Final = 0x70756C73
"""What our own sockets bear; `socket/mark.rs` of the data plane sets it."""

KEEP, LEAD = 18100, 18101
"""Priorities of the two rules: before the host's own (32766), behind those that people write by hand."""

BY_DEVICE, REFUSED = 1, 0x7FFFFFFF
"""Metrics: of a route to a device, and of the one behind it that refuses."""

_NEW_ROUTE, _DELETE_ROUTE, _GET_ROUTE = 24, 25, 26
_RTA_DST, _RTA_OIF, _RTA_PRIORITY, _RTA_TABLE = 1, 4, 6, 15
_CREATE: Final = 0x600
"""NLM_F_CREATE and NLM_F_EXCL."""
_UNICAST: Final = 1
_NEW_RULE, _DELETE_RULE, _GET_RULE = 32, 33, 34
_FRA_PRIORITY, _FRA_FWMARK, _FRA_SUPPRESS, _FRA_TABLE, _FRA_FWMASK = 6, 10, 14, 15, 16
_TO_TABLE, _INVERT = 1, 2
_UNREACHABLE: Final = 7
_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)
_EVERYWHERE: Final = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}


@dataclass(frozen=True, slots=True)
class TableRoute:
    """A route of our table; without a device it refuses."""

    prefix: Prefix
    device: str
    metric: int


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
    """Our table in the kernel; use it from one thread."""

    def apply(self, wanted: Iterable[TableRoute]) -> bool:
        """Have these routes and no others, and rules where there is a route; True if anything changed.

        What is added comes before what is taken away, so nothing goes past meanwhile. Raises SystemRefused.
        """
        wanted, there, ruled = frozenset(wanted), self.table(), self.rules()
        for route in sorted(wanted - there, key=lambda each: -each.metric):
            self._put(route)
        families = {socket.AF_INET if each.prefix.version == 4 else socket.AF_INET6 for each in wanted}
        for family in _FAMILIES:
            for priority in (KEEP, LEAD):
                if family in families and (family, priority) not in ruled:
                    self._add_rule(family, priority)
                if family not in families and (family, priority) in ruled:
                    self._delete_rule(family, priority)
        for route in there - wanted:
            self._drop(route)
        return wanted != there or ruled != {(family, each) for family in families for each in (KEEP, LEAD)}

    def table(self) -> frozenset[TableRoute]:
        """What our table holds."""
        links, found = self._links(), set()
        for body in self._list(_GET_ROUTE, bytes(12)):
            attributes = attributes_in(body, 12)
            if table_of(body, attributes) == TABLE:
                index = attributes.get(_RTA_OIF) if body[7] != _UNREACHABLE else None
                device = links[unpack(index)].name if index and unpack(index) in links else ""
                metric = unpack(attributes.get(_RTA_PRIORITY, bytes(4)))
                found.add(TableRoute(destination_of(body, attributes), device, metric))
        return frozenset(found)

    def rules(self) -> set[tuple[int, int]]:
        """Family and priority of our rules."""
        return {(family, priority) for family, priority, ours in self._rules() if ours}

    def strange_rules(self) -> list[int]:
        """Priorities of ours at which a rule of somebody else stands: the kernel asks that one first."""
        return sorted({priority for _, priority, ours in self._rules() if not ours})

    def _rules(self) -> Iterator[tuple[int, int, bool]]:
        for body in self._list(_GET_RULE, bytes(12)):
            attributes = attributes_in(body, 12)
            priority = unpack(attributes.get(_FRA_PRIORITY, bytes(4)))
            if body[0] in _FAMILIES and priority in (KEEP, LEAD):
                table, mark = (unpack(attributes.get(kind, bytes(4))) for kind in (_FRA_TABLE, _FRA_FWMARK))
                meant = (MAIN_TABLE, 0) if priority == KEEP else (TABLE, MARK)
                yield body[0], priority, (table, mark) == meant

    def _put(self, route: TableRoute) -> None:
        where = f"through {route.device}" if route.device else "nowhere"
        with suppress(AlreadySo):
            self._ask(f"cannot lead {route.prefix} {where}", _NEW_ROUTE, _CREATE, self._said(route))

    def _drop(self, route: TableRoute) -> None:
        with suppress(AlreadySo):
            self._ask(f"cannot remove the route {route.prefix}", _DELETE_ROUTE, 0, self._said(route))

    def _said(self, route: TableRoute) -> bytes:
        prefix = route.prefix
        family = family_of(prefix)
        scope = 253 if route.device and prefix.version == 4 else 0
        kind = _UNICAST if route.device else _UNREACHABLE
        header = struct.pack("=BBBBBBBBI", family, prefix.prefixlen, 0, 0, 0, RTPROT_PULSE, scope, kind, 0)
        said = header + attribute(_RTA_DST, prefix.network_address.packed)
        said += number(_RTA_TABLE, TABLE) + number(_RTA_PRIORITY, route.metric)
        return said + (number(_RTA_OIF, self._index(route.device)) if route.device else b"")

    def _add_rule(self, family: int, priority: int) -> None:
        with suppress(AlreadySo):
            self._ask("cannot add a routing rule", _NEW_RULE, _CREATE, _rule(family, priority))

    def _delete_rule(self, family: int, priority: int) -> None:
        with suppress(AlreadySo):
            self._ask("cannot remove a routing rule", _DELETE_RULE, 0, _rule(family, priority))


def _rule(family: int, priority: int) -> bytes:
    keep = priority == KEEP
    header = struct.pack("=BBBBBBBBI", family, 0, 0, 0, 0, 0, 0, _TO_TABLE, 0 if keep else _INVERT)
    said = header + number(_FRA_PRIORITY, priority)
    if keep:
        return said + number(_FRA_TABLE, MAIN_TABLE) + number(_FRA_SUPPRESS, 0)
    mark = number(_FRA_FWMARK, MARK) + number(_FRA_FWMASK, 0xFFFFFFFF)
    return said + number(_FRA_TABLE, TABLE) + mark
