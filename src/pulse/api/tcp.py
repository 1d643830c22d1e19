"""The API over TCP: the same endpoints as on the control socket, for those who show a key, from no web page.

Invariant: whoever shows no key costs one of a few connections, for seconds and only while nobody else wants it.
"""

import asyncio
import ipaddress
import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final, Self

import h11
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection

from pulse.api.app import problem
from pulse.api.keyed import SHOWN, Keyed
from pulse.api.server import TimelyProtocol
from pulse.api.sites import OwnSites
from pulse.api.web import Dashboard, WebFile
from pulse.core import addresses
from pulse.core.trust.apikeys import Scope
from pulse.net.listeners import Place, listen_tcp

HEADER_DEADLINE: Final = 5.0
"""Seconds from the connection, or from the last answer, to the end of a request's header."""

BODY_DEADLINE: Final = 30.0
"""Seconds for a request's body."""

CONNECTIONS: Final = 64
"""At once; then the oldest that has shown no key gives way to who comes, else the oldest of a key that has more than
its share, else who comes."""

SHARE: Final = 16
"""Connections of one key that never give way."""

_DEADLINES: Final = {h11.IDLE: HEADER_DEADLINE, h11.SEND_BODY: BODY_DEADLINE}

_quiet = logging.getLogger("pulse.api.tcp.requests")
_quiet.setLevel(logging.ERROR)


class TcpListener:
    """The listening socket."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        ahead: bool = False,
        called: str = "the scribe's API",
        flag: str = "--scribe-listen",
    ) -> None:
        """Listen; if `ahead`, also at an address that this machine will only have once the mesh is up.

        People know it as what it is `called`, and choose where by `flag`. Raises Conflict if the port is taken,
        SystemRefused if the system allows it not at all.
        """
        self.socket = listen_tcp(Place(called, flag, host, port, ahead, sheddable=True), CONNECTIONS)

    @property
    def address(self) -> str:
        """`host:port` that is listened on."""
        return addresses.join(*self.socket.getsockname()[:2])

    @property
    def is_near(self) -> bool:
        """True if programs of this machine alone reach it."""
        return ipaddress.ip_address(self.socket.getsockname()[0]).is_loopback

    def close(self) -> None:
        """Listen no more."""
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def guarded(
    app: Starlette,
    judge: Callable[[str], Scope | None],
    hosts: Callable[[], Collection[str]],
    pages: Mapping[str, WebFile] = MappingProxyType({}),
) -> ASGIApp:
    """`app` (made for TCP) behind all that stands between it and the world, the outermost first.

    `pages` take no key, by the paths they are asked for.
    """
    return OwnSites(Dashboard(Keyed(app, judge), pages), hosts)


class PatientProtocol(TimelyProtocol):
    """HTTP with a deadline for each part of a request, and a cap on connections."""

    key = b""
    """Hash of the good key that was shown here; empty before one was."""
    since = 0.0
    _deadline: asyncio.TimerHandle | None = None
    _awaited: Any = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.logger = _quiet  # What strangers send fills no log.
        self.since = self.loop.time()
        if len(self.connections) > CONNECTIONS and not self._takes_a_place():
            transport.abort()
            return
        self.app = self._marked(self.app)
        self._watch()

    def _takes_a_place(self) -> bool:
        """Hang up on who has to give way; False if nobody has."""
        others = [each for each in self.connections if isinstance(each, PatientProtocol) and each is not self]
        living = [each for each in others if not each.transport.is_closing()]
        if len(living) < CONNECTIONS:
            return True
        shares = Counter(each.key for each in living)
        unknown = [each for each in living if not each.key]
        yielding = unknown or [each for each in living if shares[each.key] > SHARE]
        if yielding:
            min(yielding, key=lambda each: each.since).transport.abort()
        return bool(yielding)

    def _marked(self, app: Any) -> ASGIApp:
        """The application, which says of each request whether it showed a key."""

        def shown(key: bytes) -> None:
            self.key = key

        async def ask(scope: Connection, receive: Receive, send: Send) -> None:
            await app({**scope, SHOWN: shown}, receive, send)

        return ask

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP gets a problem like everybody else."""
        said = problem(HTTPStatus.BAD_REQUEST, msg, "ConfigError")
        headers = [*said.raw_headers, (b"connection", b"close")]
        answer = h11.Response(status_code=HTTPStatus.BAD_REQUEST, headers=headers)
        for event in (answer, h11.Data(bytes(said.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _watch(self) -> None:
        """A part of a request that is awaited has a deadline from the moment it began to be."""
        if self.conn.their_state is self._awaited:
            return
        self._stop_watching()
        self._awaited = self.conn.their_state
        seconds = _DEADLINES.get(self._awaited)
        if seconds is not None and not self.transport.is_closing():
            self._deadline = self.loop.call_later(seconds, self.transport.abort)

    def _stop_watching(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def hosts_of(listen: str, names: Collection[str], v4: str, v6: str, name: str, node: str) -> frozenset[str]:
    """The hosts under which people reach the API: where it listens, what the settings name, and this node's own."""
    return frozenset({listen, *names, v4, v6, name, f"{name}.pulse", f"{node}.pulse"}) - {""}
