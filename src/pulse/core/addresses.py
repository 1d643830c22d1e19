"""Addresses of the network below as text: `host:port`, the host a name, an IPv4 address or an IPv6 one in brackets.

Invariant: what `split` gives, `join` puts together again.
"""

import re
from collections.abc import Collection
from ipaddress import ip_address

_HOST = re.compile(r"[A-Za-z0-9_.-]*")


def split(address: str) -> tuple[str, int]:
    """Host (may be empty) and port of `host:port`, `:port` or `[v6]:port`; raises ValueError."""
    host, colon, port = address.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not colon or not (port.isascii() and port.isdecimal()) or not 0 < int(port) < 65536 or not _is_host(host, bare):
        raise ValueError(f'"{address}" is no address. Write host:port, :port or [ipv6]:port')
    return bare, int(port)


def join(host: str, port: int) -> str:
    """`host:port`, with brackets around IPv6."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_ip(host: str) -> bool:
    """True if `host` is an IP address and not a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """True if only this machine reaches `host`, by its address or the name localhost."""
    return host == "localhost" or (is_ip(host) and ip_address(host).is_loopback)


def is_sealed(host: str, own: Collection[str]) -> bool:
    """True if nothing that is told at `host` crosses a network in clear: it is loopback, or one of our `own` mesh
    addresses, whose packets go sealed.
    """
    return is_loopback(host) or (is_ip(host) and ip_address(host) in map(ip_address, own))


def is_endpoint(text: str) -> bool:
    """True if `text` is `ip:port`."""
    try:
        # A zone may be any text, and means nothing to others.
        return "%" not in text and is_ip(split(text)[0])
    except ValueError:
        return False


def _is_host(host: str, bare: str) -> bool:
    if ":" in bare or host != bare:
        return ":" in bare and is_ip(bare) and host == f"[{bare}]"
    return _HOST.fullmatch(bare) is not None
