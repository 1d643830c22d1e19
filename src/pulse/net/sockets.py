"""Binds the UDP socket of a node and the TCP socket beside it, and says in words why that failed."""

import contextlib
import errno
import socket
from collections.abc import Iterable, Iterator
from typing import Any

from pulse.core.network.destinations import IPAddress
from pulse.errors import Conflict, SystemRefused

PRIVILEGED = 1024
"""Ports below are root's: whoever connects trusts that root listens there."""

MULTICAST_DNS = 5353

_IP_FREEBIND = 15
"""Linux 2.4, and good for IPv6, too; the socket module has no name for it."""


def bind_udp(host: str, port: int) -> socket.socket:
    """A UDP socket on `host` (empty: every address, IPv6 and IPv4) and `port`.

    Raises Conflict if the port is taken, SystemRefused if the system allows it not at all.
    """
    where = f"{host or '*'}:{port}"
    try:
        return _bind(host, port, socket.SOCK_DGRAM)
    except socket.gaierror as error:
        raise SystemRefused(
            f"cannot listen on {where}: {host} has no address here ({error.strerror}).\n"
            f"Write an IP address of this machine, or to listen on all of them: --listen :{port}"
        ) from error
    except OSError as error:
        match error.errno:
            case errno.EADDRINUSE:
                raise Conflict(
                    f"UDP port {port} is in use by another program.\n"
                    f"See which: ss -ulpn 'sport = :{port}'. Or listen elsewhere: --listen :{port + 1}"
                ) from error
            case errno.EACCES | errno.EPERM:
                raise SystemRefused(_no_right(port)) from error
            case errno.EADDRNOTAVAIL:
                raise SystemRefused(
                    f"cannot listen on {where}: this machine does not have that address.\n"
                    f"See its addresses: ip addr. To listen on all of them: --listen :{port}"
                ) from error
            case _:
                raise SystemRefused(f"cannot listen on {where}: {error.strerror or error}") from error


def bind_tcp(host: str, port: int, *, ahead: bool = False) -> socket.socket:
    """A TCP socket that has that port and does not listen yet. Raises OSError.

    If `ahead`, an address that this machine does not have yet will do, such as that of a device still to come.
    """
    return _bind(host, port, socket.SOCK_STREAM, ahead=ahead)


def bind_both(host: str, port: int, *, ahead: bool = False) -> tuple[socket.socket, socket.socket]:
    """A UDP socket, and a TCP one that listens on the same port. Raises OSError.

    The port of multicast DNS is shared with its programs that have it already (RFC 6762, 15.1): they hear what is sent
    to all, we what is sent to our address. From then on nobody else can have it: whoever bound our address after us
    would be asked in our place.
    """
    tcp = _bind(host, port, socket.SOCK_STREAM, ahead=ahead)
    try:
        tcp.listen()
        taken = tcp.getsockname()[1]
        return _bind(host, taken, socket.SOCK_DGRAM, ahead=ahead, shared=taken == MULTICAST_DNS), tcp
    except OSError:
        tcp.close()
        raise


def bind_beside(old: socket.socket, host: str) -> socket.socket:
    """A UDP socket on `host` (empty: every address of the family) and the port of `old`, which it is to replace.

    Raises SystemRefused. Both have the port for a moment, and each may be bound so for that moment alone.
    """
    fresh = socket.socket(old.family, socket.SOCK_DGRAM)
    every = "0.0.0.0" if old.family == socket.AF_INET else "::"  # noqa: S104 (no other address is left)
    try:
        for each in (old, fresh):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        known = socket.getaddrinfo(host or every, old.getsockname()[1], family=old.family, type=socket.SOCK_DGRAM)
        fresh.bind(known[0][4])
    except OSError as error:
        fresh.close()
        raise SystemRefused(f"cannot listen on {host or every}: {error.strerror or error}") from error
    fresh.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    return fresh


@contextlib.contextmanager
def reserved(port: int, own: Iterable[IPAddress] = ()) -> Iterator[int]:
    """Keep a TCP port of loopback, and of those of `own` that this machine has, from all other programs meanwhile.

    Any free one for 0; which one. Raises Conflict for one that is taken, SystemRefused for one that is not to be had.
    """
    with contextlib.ExitStack() as held:
        for host in ("127.0.0.1", "::1", *map(str, own)):
            try:
                kept = held.enter_context(bind_tcp(host, port))
            except OSError as error:
                if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    continue
                if error.errno == errno.EADDRINUSE:
                    raise Conflict(
                        f"another program of this machine has port {port}.\n"
                        f"See which: ss -tlpn 'sport = :{port}'. Or take another one, or 0 for any that is free"
                    ) from error
                raise SystemRefused(_no_right(port)) from error
            # With it, others that say so too could listen there beside us.
            kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
            port = kept.getsockname()[1]
        yield port


def is_ours(host: str) -> bool:
    """False if this machine does not have that address (any more)."""
    try:
        _bind(host, 0, socket.SOCK_DGRAM).close()
    except OSError as error:
        return error.errno != errno.EADDRNOTAVAIL
    return True


def _bind(host: str, port: int, kind: socket.SocketKind, *, ahead: bool = False, shared: bool = False) -> socket.socket:
    if host:
        family, _, proto, _, address = socket.getaddrinfo(host, port, type=kind)[0]
        sock = socket.socket(family, kind, proto)
        if ahead:
            sock.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        return _bound(sock, address, shared=shared)
    try:
        both = socket.socket(socket.AF_INET6, kind)
        both.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    except OSError as error:
        if error.errno != errno.EAFNOSUPPORT:
            raise
        every = ("0.0.0.0", port)  # noqa: S104 (asked for)
        return _bound(socket.socket(socket.AF_INET, kind), every, shared=shared)
    return _bound(both, ("::", port), shared=shared)


def _bound(sock: socket.socket, address: tuple[Any, ...], *, shared: bool = False) -> socket.socket:
    if shared or sock.type == socket.SOCK_STREAM:
        # A restart is not to wait for the last connections of the run before.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    if shared:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    return sock


def _no_right(port: int) -> str:
    if port < PRIVILEGED:
        return (
            f"cannot listen on port {port}: ports below {PRIVILEGED} need root or CAP_NET_BIND_SERVICE.\n"
            f"Run it with sudo, or listen elsewhere: --listen :8443"
        )
    return f"cannot listen on port {port}: the system does not allow it (a sandbox or a firewall policy?)"
