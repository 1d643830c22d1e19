"""The group that beacons go to: one socket for each LAN of this machine and each family it has there.

Invariant: what goes out is never routed (one hop) nor heard by ourselves, and what comes in came to the group, on the
interface it is told for.
"""

import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from itertools import islice
from typing import Final

from pulse.core.messages import BEACON_LIMIT
from pulse.net.netlink import HostAddress, Interface

PORT: Final = 28443
"""In the registered range, not assigned to anybody, and below those that systems give out."""

GROUP_V4: Final = "239.255.80.76"
"""Administratively scoped, local (RFC 2365)."""

GROUP_V6: Final = "ff12::8475:6c73"
"""Link-local scope, transient, a group number of the dynamic range (RFC 4291, 3307)."""

MOST_LANS: Final = 16
"""LANs of one machine, each family for itself; a host of many containers has more bridges than need a beacon."""

_IP_MULTICAST_ALL: Final = 49
"""linux/in.h; Python does not name it. Off: a socket hears the groups it joined, where it joined them."""


@dataclass(frozen=True, slots=True)
class Lan:
    """An interface with others behind it, and our addresses of one family there."""

    index: int
    interface: str
    addresses: tuple[Interface, ...]

    @property
    def version(self) -> int:
        """4 or 6."""
        return self.addresses[0].version

    def has(self, host: str) -> bool:
        """True if that address is on its subnet, and is not ours."""
        address = ip_address(host)
        return any(address in ours.network and address != ours.ip for ours in self.addresses)


def lans(addresses: Iterable[HostAddress], ours: Iterable[str] = (), host: str = "") -> list[Lan]:
    """The LANs of a machine with these addresses, without the interfaces `ours`, as many as beacons go to.

    If links are taken in at the address `host` alone, that is the one to tell, and others have no LAN.
    """
    hidden = {*ours}
    found: dict[tuple[int, int], tuple[str, list[Interface]]] = {}
    for each in addresses:
        if each.lan and each.interface not in hidden and (not host or each.address.ip == ip_address(host)):
            found.setdefault((each.index, each.address.version), (each.interface, []))[1].append(each.address)
    made = (Lan(index, name, tuple(here)) for (index, _), (name, here) in found.items())
    return list(islice(made, MOST_LANS))


class Channel:
    """The group on one LAN: datagrams go out to all there, and come in."""

    def __init__(self, lan: Lan) -> None:
        """Join. Raises OSError."""
        self.lan = lan
        self._source = _source(lan)
        family = socket.AF_INET if lan.version == 4 else socket.AF_INET6
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            # Other nodes on this machine listen at the same port.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._group = self._join_v4() if lan.version == 4 else self._join_v6()
            # To the group itself: what is sent to an address of ours is no beacon.
            self._socket.bind(self._group)
        except BaseException:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """What to wait for until something came."""
        return self._socket.fileno()

    def close(self) -> None:
        """Leave."""
        self._socket.close()

    def send(self, data: bytes) -> bool:
        """Send a datagram to all on the LAN; what the system does not take is lost, as it may be on the way."""
        try:
            self._socket.sendmsg([data], self._source, 0, self._group)
        except OSError:
            return False
        return True

    def receive(self, most: int) -> list[tuple[bytes, str]]:
        """At most so many datagrams that are here, each with the IP address it came from; see `BeaconHeard`."""
        found: list[tuple[bytes, str]] = []
        while len(found) < most:
            try:
                # One byte more than may be, so that a longer one is seen to be longer.
                data, (host, *_) = self._socket.recvfrom(BEACON_LIMIT + 1)
            except OSError:
                break
            found.append((data, self._named(host.partition("%")[0])))
        return found

    def _named(self, host: str) -> str:
        is_local = self.lan.version == 6 and ip_address(host).is_link_local
        return f"{host}%{self.lan.index}" if is_local else host

    def _join_v4(self) -> tuple[str, int]:
        ours = IPv4Address(self.lan.addresses[0].ip).packed
        for option, value in (
            (socket.IP_MULTICAST_TTL, 1),
            (socket.IP_MULTICAST_LOOP, 0),
            (_IP_MULTICAST_ALL, 0),
            (socket.IP_MULTICAST_IF, struct.pack("=4s4si", bytes(4), ours, self.lan.index)),
            (
                socket.IP_ADD_MEMBERSHIP,
                struct.pack("=4s4si", socket.inet_aton(GROUP_V4), ours, self.lan.index),
            ),
        ):
            self._socket.setsockopt(socket.IPPROTO_IP, option, value)
        return GROUP_V4, PORT

    def _join_v6(self) -> tuple[str, int, int, int]:
        membership = struct.pack("=16si", socket.inet_pton(socket.AF_INET6, GROUP_V6), self.lan.index)
        for option, value in (
            (socket.IPV6_V6ONLY, 1),
            (socket.IPV6_MULTICAST_HOPS, 1),
            (socket.IPV6_MULTICAST_LOOP, 0),
            (socket.IPV6_MULTICAST_IF, self.lan.index),
            (socket.IPV6_JOIN_GROUP, membership),
        ):
            self._socket.setsockopt(socket.IPPROTO_IPV6, option, value)
        return GROUP_V6, PORT, 0, self.lan.index


def _source(lan: Lan) -> list[tuple[int, int, bytes]]:
    """Where a beacon comes from, if that is not for the system to choose: it takes a link-local address."""
    if lan.version == 4 or any(ours.is_link_local for ours in lan.addresses):
        return []
    packed = struct.pack("=16si", lan.addresses[0].ip.packed, lan.index)
    return [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, packed)]
