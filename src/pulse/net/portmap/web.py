"""HTTP to a router on our own network, which may be anybody's toy.

Invariant: nobody but the gateway is ever asked, whatever it writes into an address; redirects are not followed, and
what it says is bounded in size and time.
"""

import asyncio
import re
import socket
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import h11

from pulse.core.paths.portmap import Gateway
from pulse.errors import LinkError, ProtocolError
from pulse.net.portmap.datagrams import bound

BODY_LIMIT: Final = 64 * 1024
"""Bytes; descriptions of routers are a tenth of it."""

HEAD_LIMIT: Final = 8 * 1024

TIMEOUT: Final = 3.0
"""Seconds for a whole exchange; some routers think for a second."""

_CHUNK: Final = 8192
_TARGET = re.compile(r"/[!-~]*")
_ADDRESS_LIMIT: Final = 512
_PORT: Final = 80


@dataclass(frozen=True, slots=True)
class Place:
    """Something at the gateway: port, and what stands behind it in its address."""

    port: int
    target: str

    def under(self, gateway: Gateway) -> str:
        """Write its whole address."""
        return f"http://{gateway.address}:{self.port}{self.target}"


def place_of(address: str, gateway: Gateway, near: Place | None = None) -> Place:
    """Read an address, which may be relative to `near`. Raises ProtocolError if it is not the gateway's own."""
    if len(address) > _ADDRESS_LIMIT:
        raise ProtocolError("the router names an address without end")
    try:
        parts = urlsplit(urljoin(near.under(gateway), address) if near else address)
        port = _PORT if parts.port is None else parts.port
    except ValueError as error:
        raise ProtocolError(f"the router names an address that is none: {error}") from error
    if parts.scheme != "http" or parts.hostname != str(gateway.address) or not port:
        raise ProtocolError("the router sends us to somebody else")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not _TARGET.fullmatch(target):
        raise ProtocolError("the router names an address that is none")
    return Place(port, target)


async def fetch(
    gateway: Gateway, place: Place, content: bytes = b"", headers: tuple[tuple[str, str], ...] = ()
) -> tuple[int, bytes]:
    """GET, or POST if there is content: status and body. Raises LinkError or ProtocolError."""
    try:
        async with asyncio.timeout(TIMEOUT):
            with bound(gateway, socket.SOCK_STREAM) as sock:
                await asyncio.get_running_loop().sock_connect(sock, (str(gateway.address), place.port))
                return await _Exchange(sock).run(_request(gateway, place, content, headers), content)
    except TimeoutError as error:
        raise LinkError("the router does not answer over HTTP") from error
    except OSError as error:
        raise LinkError(f"the router is not reached over HTTP: {error.strerror or error}") from error
    except h11.RemoteProtocolError as error:
        raise ProtocolError(f"the router breaks HTTP: {error}") from error


def _request(gateway: Gateway, place: Place, content: bytes, headers: tuple[tuple[str, str], ...]) -> h11.Request:
    usual = [("Host", f"{gateway.address}:{place.port}"), ("Connection", "close"), ("User-Agent", "pulse")]
    length = [("Content-Length", str(len(content)))] if content else []
    return h11.Request(method="POST" if content else "GET", target=place.target, headers=[*usual, *length, *headers])


class _Exchange:
    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._http = h11.Connection(h11.CLIENT, HEAD_LIMIT)

    async def run(self, request: h11.Request, content: bytes) -> tuple[int, bytes]:
        events = (request, h11.Data(content), h11.EndOfMessage())
        said = b"".join(self._http.send(event) or b"" for event in events)
        await asyncio.get_running_loop().sock_sendall(self._sock, said)
        answer = await self._next()
        if not isinstance(answer, h11.Response):
            raise ProtocolError("the router hangs up without an answer")
        body = bytearray()
        while isinstance(event := await self._next(), h11.Data):
            body += event.data
            if len(body) > BODY_LIMIT:
                raise ProtocolError(f"the router says more than {BODY_LIMIT} bytes")
        return answer.status_code, bytes(body)

    async def _next(self) -> Any:
        """The next event that means something to us."""
        while (event := self._http.next_event()) is h11.NEED_DATA or isinstance(event, h11.InformationalResponse):
            if event is h11.NEED_DATA:
                self._http.receive_data(await asyncio.get_running_loop().sock_recv(self._sock, _CHUNK))
                # What is there already is given at once; a flood is not to hold up everything else.
                await asyncio.sleep(0)
        return event
