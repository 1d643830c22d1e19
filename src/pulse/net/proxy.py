"""The HTTP proxy that WebSockets go through, as `https_proxy` and `no_proxy` name it to every program.

Invariant: a proxy that cannot be used is a warning and never keeps a node from starting.
"""

import base64
import logging
import socket
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from pulse.core.addresses import join, split

log = logging.getLogger(__name__)

DEFAULT_PORT = 80


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that opens tunnels (`CONNECT`, RFC 9110 §9.3.6)."""

    address: str
    """Its `ip:port`."""
    authorization: str
    """Value of `Proxy-Authorization`, or empty."""

    def is_bypassed(self, address: str) -> bool:
        """True if `no_proxy` says that this `ip:port` is reached without it."""
        return bool(proxy_bypass(split(address)[0]))


def from_environment() -> Proxy | None:
    """The proxy that `https_proxy` names, if there is one; its name is resolved here, once."""
    url = getproxies_environment().get("https")
    if not url:
        return None
    try:
        return _parsed(url)
    except (ValueError, OSError) as error:
        # The address may hold a password: it is not repeated.
        log.warning("https_proxy is not used", extra={"error": str(error)})
        return None


def _parsed(url: str) -> Proxy:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme != "http":
        raise ValueError(f"it is of kind {parts.scheme}; only http:// proxies are known")
    if not parts.hostname:
        raise ValueError("it names no host")
    place = socket.getaddrinfo(parts.hostname, parts.port or DEFAULT_PORT, type=socket.SOCK_STREAM)[0][4]
    authorization = ""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return Proxy(join(str(place[0]), int(place[1])), authorization)
