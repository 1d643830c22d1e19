"""Keeps web pages out: the browser of somebody on this machine can reach the API, and so could any page it shows.

A page cannot forge Host, Origin, Referer and Sec-Fetch-Site, so they tell where a request was made. A name that was
pointed at this machine (DNS rebinding) is none of ours. Invariant: what another site asks is refused before a byte of
its body or its key is looked at, and no answer lets a page of another origin read it.
"""

import ipaddress
import re
from collections.abc import Callable, Collection
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pulse.api.app import problem

ALWAYS: Final = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hosts that are this machine whatever the settings say."""

OWN: Final = frozenset({"same-origin", "none"})
"""Values of Sec-Fetch-Site for our own pages, and for what a person typed."""

CLOSED: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
"""What every answer tells browsers; the dashboard's files say themselves what they may do and how long they keep."""

_HOST: Final = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?")


class OwnSites:
    """Passes on what no page of another site can have sent."""

    def __init__(self, app: ASGIApp, hosts: Callable[[], Collection[str]]) -> None:
        """Guard `app`; `hosts` are the names and addresses under which people reach it, besides loopback."""
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return

        async def closed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in CLOSED.items():
                    headers.setdefault(name, value)
            await send(message)

        why = self._objection(scope)
        if not why:
            await self._app(scope, receive, closed)
            return
        answer = problem(HTTPStatus.FORBIDDEN, why, "Refused")
        answer.headers["Connection"] = "close"
        await answer(scope, receive, closed)

    def _objection(self, scope: Scope) -> str:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if host_of(host) not in self._ours(scope):
            return "the API is not reached under that name. If it is meant to be, add the name to [scribe] hosts"
        if any(not _is_from(host, origin) for origin in headers.getlist("origin")):
            return "a page of another site made this request"
        if any(not _is_from(host, referer) for referer in headers.getlist("referer")):
            return "a page of another site led here"
        if any(site not in OWN for site in headers.getlist("sec-fetch-site")):
            return "another site made this request"
        return ""

    def _ours(self, scope: Scope) -> set[str]:
        """Every host that is meant; the address a connection came to is one: a page cannot rebind an address."""
        server = scope.get("server") or ("", 0)
        return {canonical(each) for each in (*ALWAYS, *self._hosts(), server[0]) if each}


def host_of(text: str) -> str:
    """The host of a Host header, as `canonical` writes it; empty if it is none."""
    match = _HOST.fullmatch(text)
    return canonical(match["host"]) if match else ""


def canonical(host: str) -> str:
    """One spelling of a host: an address as `ipaddress` has it, a name in lower case without the last dot."""
    bare = host.removeprefix("[").removesuffix("]")
    try:
        found = ipaddress.ip_address(bare)
    except ValueError:
        return host.lower().removesuffix(".")
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)


def _is_from(host: str, url: str) -> bool:
    """True if a URL is one of ours: the same host and port as in the Host header, which is one of ours."""
    try:
        found = urlsplit(url)
    except ValueError:
        return False
    return found.scheme in ("http", "https") and found.netloc.lower() == host.lower()
