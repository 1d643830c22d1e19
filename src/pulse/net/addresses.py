"""What the addresses that people type resolve to."""

import asyncio
import socket
from typing import Any

from pulse.core.addresses import is_ip, join, split

MOST_ADDRESSES = 4
"""Addresses of one name used at once; more is a misconfigured zone."""

HIGHEST_ZONE = 2**32 - 1
"""Number of an interface at most."""

RESOLVE_TIMEOUT = 5.0
"""Seconds; a resolver that needs longer is as good as none, and the next try comes anyway."""


def is_literal(address: str) -> bool:
    """True if the host of `address` is an IP address and needs no resolver, as a zone does: [fe80::1%eth0]:443."""
    try:
        host, _ = split(address)
    except ValueError:
        return False
    _, percent, zone = host.partition("%")
    return is_ip(host) and (not percent or _is_number_of_interface(zone))


async def resolve(address: str) -> list[str]:
    """What `host:port` resolves to, as `ip:port`, at most `MOST_ADDRESSES`. Raises OSError."""
    try:
        host, port = split(address)
    except ValueError as error:
        raise OSError(str(error)) from error
    if is_literal(address):
        return [address]
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except TimeoutError as error:
        raise OSError(f"cannot resolve {host}: the resolver did not answer") from error
    except OSError as error:
        raise OSError(f"cannot resolve {host}: {error.strerror or error}") from error
    except UnicodeError as error:
        raise OSError(f"cannot resolve {host}: it can be no host name") from error
    unique = dict.fromkeys(join(_numbered(each), port) for *_, each in found)
    return list(unique)[:MOST_ADDRESSES]


def _is_number_of_interface(zone: str) -> bool:
    digits = len(str(HIGHEST_ZONE))
    return zone.isascii() and zone.isdecimal() and len(zone) <= digits and int(zone) <= HIGHEST_ZONE


def _numbered(address: tuple[Any, ...]) -> str:
    """The host of a socket address; the zone of a link-local one by its number, which the data plane reads."""
    host = str(address[0]).partition("%")[0]
    zone = address[3] if len(address) > 3 else 0
    return f"{host}%{zone}" if zone else host
