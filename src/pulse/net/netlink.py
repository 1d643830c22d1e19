"""The kernel's network configuration over rtnetlink: links, addresses and routes, a quarter of a millisecond each.

Invariant: whatever the kernel refuses is raised as SystemRefused, which names what was asked, the kernel's own reason
and what to do. Layouts: rtnetlink(7), linux/{netlink,if_link,if_addr,rtnetlink}.h.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from types import TracebackType
from typing import Final, Self

from pulse.errors import SystemRefused
from pulse.net.nlattr import HEADER, aligned, attribute, attributes_in, number, unpack

Interface = IPv4Interface | IPv6Interface
Prefix = IPv4Network | IPv6Network

MAIN_TABLE: Final = 254

_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_REPLACE, _CREATE = 0x100, 0x400
_INTERRUPTED = 0x10
_CAPPED, _ACK_TLVS = 0x100, 0x200
_ERROR, _DONE, _OVERRUN = 2, 3, 4
_SET_LINK, _GET_LINK = 19, 18
_NEW_ADDRESS, _GET_ADDRESS = 20, 22
_GET_ROUTE = 26

_IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER, _IFLA_GSO_MAX_SIZE, _IFLA_GSO_IPV4_MAX_SIZE = 3, 4, 10, 41, 63
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_IFA_F_NODAD = 0x02
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_TABLE = 1, 4, 5, 6, 15
RTPROT_KERNEL, RTPROT_STATIC = 2, 4
RTPROT_PULSE: Final = 112
_ROUTE_TYPES = {1: "unicast", 2: "local"}
_UP: Final = 1
_LOOPBACK, _POINT_TO_POINT, _RUNNING, _MULTICAST = 0x8, 0x10, 0x40, 0x1000
_SOL_NETLINK, _CAP_ACK, _EXT_ACK, _STRICT = 270, 10, 11, 12
_NLMSGERR_ATTR_MSG: Final = 1
_NAME_LIMIT: Final = 15
_TUN: Final = 0xFFFE
_TUNNELS: Final = frozenset({_TUN, 512, 768, 769, 776, 778})
"""ARPHRD_NONE (TUN, WireGuard), PPP, TUNNEL, TUNNEL6, SIT, IPGRE of linux/if_arp.h."""
_DUMPS: Final = 4
"""How often a listing is asked again when the tables change under it."""

_ADVICE = {
    errno.EPERM: "Run it with sudo or as a service: changing the network takes CAP_NET_ADMIN.",
    errno.EACCES: "Run it with sudo or as a service: changing the network takes CAP_NET_ADMIN.",
    errno.ENODEV: "Look whether the interface is still there: ip link",
    errno.EEXIST: "Something else put it there: see ip route, and remove that first.",
    errno.ESRCH: "It is gone already: see ip route",
    errno.ENETDOWN: "The interface is down: ip link set it up first.",
}


class NoInterface(SystemRefused):
    """There is no interface of that name, or not any more."""


class AlreadySo(SystemRefused):
    """What was to be added is there, or what was to be removed is not."""


_KINDS: Final = {errno.ENODEV: NoInterface} | dict.fromkeys((errno.EEXIST, errno.ESRCH, errno.ENOENT), AlreadySo)


@dataclass(frozen=True, slots=True)
class HostAddress:
    """An address of this host and the interface that has it."""

    interface: str
    address: Interface
    tunnel: bool = False
    """The interface is a tunnel's (TUN, WireGuard, PPP, IP in IP): what goes through it goes over another network."""
    index: int = 0
    """The interface's number."""
    lan: bool = False
    """Others may be right behind the interface: it is up with its cable in, takes multicast, and is nobody's tunnel,
    loopback or port of a bridge."""


@dataclass(frozen=True, slots=True)
class HostRoute:
    """A route of this host; `kind` is `unicast`, or `local` for its own addresses; `interface` may be empty."""

    destination: Prefix
    interface: str
    kind: str
    table: int = MAIN_TABLE
    gateway: IPv4Address | IPv6Address | None = None
    metric: int = 0
    """Of two routes to one destination the lower is taken."""
    protocol: int = field(default=0, compare=False)
    """Who made it: RTPROT_KERNEL, RTPROT_STATIC, or another program."""


@dataclass(frozen=True, slots=True)
class _Link:
    """An interface; see `HostAddress`."""

    name: str = ""
    tunnel: bool = False
    lan: bool = False
    up: bool = False


_NO_LINK: Final = _Link()


class Netlink:
    """One rtnetlink socket in the network namespace it was opened in; use it from one thread."""

    def __init__(self) -> None:
        """Raises SystemRefused."""
        with _translated():
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
            self._socket.bind((0, 0))
        for option in (_CAP_ACK, _EXT_ACK, _STRICT):
            self._socket.setsockopt(_SOL_NETLINK, option, 1)
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def set_link(
        self, name: str, *, up: bool | None = None, mtu: int | None = None, gso_max_size: int | None = None
    ) -> None:
        """Change what is given of interface `name`; sizes are in bytes. Raises SystemRefused."""
        attributes = b""
        if mtu is not None:
            attributes += number(_IFLA_MTU, mtu)
        if gso_max_size is not None:
            attributes += number(_IFLA_GSO_MAX_SIZE, gso_max_size) + number(_IFLA_GSO_IPV4_MAX_SIZE, gso_max_size)
        flags, mask = (_UP if up else 0), (0 if up is None else _UP)
        header = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, self._index(name), flags, mask)
        self._ask(f"cannot set up interface {name}", _SET_LINK, 0, header + attributes)

    def add_address(self, name: str, address: Interface) -> None:
        """Give interface `name` this address, with the route its prefix brings; having it already is fine.

        Raises SystemRefused.
        """
        host = address.ip.packed
        header = struct.pack("=BBBBI", family_of(address), address.network.prefixlen, 0, 0, self._index(name))
        # A mesh address is unique by certificate, and an IPv6 one that waits for duplicates cannot be bound meanwhile.
        attributes = attribute(_IFA_LOCAL, host) + attribute(_IFA_ADDRESS, host) + number(_IFA_FLAGS, _IFA_F_NODAD)
        self._ask(f"cannot give {address} to {name}", _NEW_ADDRESS, _CREATE | _REPLACE, header + attributes)

    def addresses(self) -> list[HostAddress]:
        """List the addresses of all interfaces, in the kernel's order."""
        links = self._links()
        found = []
        for body in self._list(_GET_ADDRESS, struct.pack("=BBBBI", 0, 0, 0, 0, 0)):
            prefix_length, index = body[1], unpack(body, 4)
            attributes = attributes_in(body, 8)
            host = attributes.get(_IFA_LOCAL) or attributes[_IFA_ADDRESS]
            link = links.get(index, _NO_LINK)
            found.append(HostAddress(link.name, ip_interface((host, prefix_length)), link.tunnel, index, link.lan))
        return found

    def has_network(self) -> bool:
        """True if an interface that leads to others is up with its cable in: no loopback, TUN or WireGuard."""
        return any(each.up for each in self._links().values())

    def routes(self, table: int = 0) -> list[HostRoute]:
        """List the unicast and local routes of a table, or of all, in the kernel's order."""
        links = self._links()
        found = []
        for body, attributes in self._routes(table):
            if (kind := _ROUTE_TYPES.get(body[7])) is None:
                continue
            interface = links.get(unpack(attributes.get(_RTA_OIF, bytes(4))), _NO_LINK).name
            gateway = attributes.get(_RTA_GATEWAY)
            found.append(
                HostRoute(
                    destination_of(body, attributes),
                    interface,
                    kind,
                    table_of(body, attributes),
                    ip_address(gateway) if gateway else None,
                    unpack(attributes.get(_RTA_PRIORITY, bytes(4))),
                    body[5],
                )
            )
        return found

    def _routes(self, table: int) -> Iterator[tuple[bytes, dict[int, bytes]]]:
        """Each route of a table, or of all, and its attributes; kernels before 4.20 tell all the same."""
        for body in self._list(_GET_ROUTE, bytes(12) + (number(_RTA_TABLE, table) if table else b"")):
            attributes = attributes_in(body, 12)
            if table in (0, table_of(body, attributes)):
                yield body, attributes

    def _links(self) -> dict[int, _Link]:
        """Each interface, by index."""
        found = {}
        for body in self._list(_GET_LINK, struct.pack("=BxHiII", 0, 0, 0, 0, 0)):
            (kind,) = struct.unpack_from("=H", body, 2)
            attributes, flags = attributes_in(body, 16), unpack(body, 8)
            up = flags & (_UP | _RUNNING | _LOOPBACK) == _UP | _RUNNING and kind != _TUN
            near = flags & (_UP | _RUNNING | _MULTICAST | _LOOPBACK | _POINT_TO_POINT) == _UP | _RUNNING | _MULTICAST
            lan = near and kind not in _TUNNELS and _IFLA_MASTER not in attributes
            name = attributes[_IFLA_IFNAME].rstrip(b"\0").decode()
            found[unpack(body, 4)] = _Link(name, kind in _TUNNELS, lan, up)
        return found

    def _index(self, name: str) -> int:
        """Find an interface where this socket is, which need not be where this thread is."""
        if not 0 < len(name.encode()) <= _NAME_LIMIT:
            raise SystemRefused(f'"{name}" cannot name a network interface: 1 to {_NAME_LIMIT} bytes are allowed')
        named = struct.pack("=BxHiII", 0, 0, 0, 0, 0) + attribute(_IFLA_IFNAME, name.encode() + b"\0")
        return unpack(self._ask(f"there is no network interface {name}", _GET_LINK, 0, named), 4)

    def _ask(self, what: str, kind: int, flags: int, body: bytes) -> bytes:
        """Send one request, wait for its acknowledgement and return the object that came before it, if one did."""
        self._send(kind, _REQUEST | _ACK | flags, body)
        answer = b""
        for answer_kind, answer_flags, answer_body in self._answers():
            if answer_kind == _ERROR:
                _judge(what, answer_flags, answer_body)
                break
            answer = answer_body
        return answer

    def _list(self, kind: int, body: bytes) -> list[bytes]:
        """Every object of one kind; asked again if the tables changed meanwhile, for then some may be missing."""
        for _ in range(_DUMPS):
            self._send(kind, _REQUEST | _DUMP, body)
            found, whole = [], True
            for kind_, flags, answer in self._answers():
                whole = whole and not flags & _INTERRUPTED
                if kind_ == _DONE:
                    break
                if kind_ == _ERROR:
                    _judge("cannot list the network configuration", flags, answer)
                found.append(answer)
            if whole:
                break
        return found

    def _send(self, kind: int, flags: int, body: bytes) -> None:
        self._sequence += 1
        with _translated():
            self._socket.send(HEADER.pack(HEADER.size + len(body), kind, flags, self._sequence, 0) + body)

    def _answers(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield `(kind, flags, body)` of what answers the last request, for as long as the caller wants more."""
        while True:
            with _translated():
                datagram, offset = self._socket.recv(1 << 18), 0
            while offset < len(datagram):
                length, kind, flags, sequence, _ = HEADER.unpack_from(datagram, offset)
                if sequence == self._sequence and kind != _OVERRUN:
                    yield kind, flags, datagram[offset + HEADER.size : offset + length]
                offset += aligned(length)


@contextmanager
def _translated() -> Iterator[None]:
    """Descriptors may have run out, or the kernel's memory: that costs one question and not the node."""
    try:
        yield
    except OSError as error:
        raise SystemRefused(f"the kernel does not tell its network configuration: {error.strerror or error}") from error


def _judge(what: str, flags: int, answer: bytes) -> None:
    """Raise what an NLMSG_ERROR says, unless it says zero."""
    (code,) = struct.unpack_from("=i", answer)
    if code == 0:
        return
    reason = os.strerror(-code)
    if flags & _ACK_TLVS:
        echoed = 4 + (HEADER.size if flags & _CAPPED else aligned(unpack(answer, 4)))
        text = attributes_in(answer, echoed).get(_NLMSGERR_ATTR_MSG)
        reason = f"{reason} ({text.rstrip(bytes(1)).decode()})" if text else reason
    raise _KINDS.get(-code, SystemRefused)(
        f"{what}: {reason}.\n{_ADVICE.get(-code, 'See ip link, ip address and ip route.')}"
    )


def destination_of(body: bytes, attributes: Mapping[int, bytes]) -> Prefix:
    """Where a route leads, by its message."""
    nothing = bytes(4 if body[0] == socket.AF_INET else 16)
    return ip_network((attributes.get(_RTA_DST, nothing), body[1]))


def table_of(body: bytes, attributes: Mapping[int, bytes]) -> int:
    """The table a route is in, by its message."""
    return unpack(attributes[_RTA_TABLE]) if _RTA_TABLE in attributes else body[4]


def family_of(address: Interface | Prefix) -> int:
    """The address family of an address or a range."""
    return socket.AF_INET if address.version == 4 else socket.AF_INET6
