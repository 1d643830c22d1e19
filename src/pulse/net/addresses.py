"""Addresses as people type them, and what they resolve to."""

import asyncio
import socket
from ipaddress import ip_address

MOST_ADDRESSES = 4
"""Addresses of one name used at once; more is a misconfigured zone."""

RESOLVE_TIMEOUT = 5.0
"""Seconds; a resolver that needs longer is as good as none, and the next try comes anyway."""


def split(address: str) -> tuple[str, int]:
    """Host and port of `host:port` or `[v6]:port`."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def join(host: str, port: int) -> str:
    """`host:port`, with brackets around IPv6."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_literal(host: str) -> bool:
    """True if `host` is an IP address and needs no resolver."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


async def resolve(address: str) -> list[str]:
    """What `host:port` resolves to, as `ip:port`, at most `MOST_ADDRESSES`. Raises OSError."""
    host, port = split(address)
    if is_literal(host):
        return [join(host, port)]
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
    unique = dict.fromkeys(join(str(each[0]), port) for *_, each in found)
    return list(unique)[:MOST_ADDRESSES]
