"""HTTP/1.1 on one socket to a node: its control socket on this machine, or its API over TCP with a key.

The standard library's client would load ssl, which costs more than a call; here it is loaded for https alone.
Invariant: a key goes nowhere but to the address that was named with it.
"""

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import h11

from pulse.errors import ConfigError

EVENTS: Final = "text/event-stream"

HTTP_PORT: Final = 8080
"""Of the API, where a URL names none; for https it is 443."""

CONNECTING: Final = 10.0
"""Seconds for a connection over TCP."""

_CHUNK: Final = 65536


@dataclass(frozen=True, slots=True)
class Remote:
    """A node's API elsewhere."""

    host: str
    port: int
    tls: bool
    key: str = field(repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.tls else ''}://{host}:{self.port}"


def remote(url: str, key: str) -> Remote:
    """The API at `http[s]://host[:port]`. Raises ConfigError, also where there is no key to show."""
    try:
        found = urlsplit(url)
        port = found.port
    except ValueError as error:
        raise ConfigError(f'"{url}" is no URL of a node: {error}') from error
    plain = not (found.username or found.query or found.fragment or found.path.strip("/"))
    if found.scheme not in ("http", "https") or not found.hostname or not plain:
        raise ConfigError(f'"{url}" is no URL of a node. Write http://10.100.41.7:8080')
    if not key or not (key.isascii() and key.isprintable()) or " " in key:
        raise ConfigError(
            f"{url} takes a key: --key or PULSE_API_KEY.\nMake one on that node: pulse api-key create <name>"
        )
    tls = found.scheme == "https"
    return Remote(found.hostname, port or (443 if tls else HTTP_PORT), tls, key)


class Channel:
    """A connection that asks one thing after another."""

    def __init__(self, place: Path | Remote) -> None:
        """Connect. Raises OSError."""
        self.socket = _unix(place) if isinstance(place, Path) else _tcp(place)
        self._headers = [("Host", "localhost" if isinstance(place, Path) else str(place).partition("//")[2])]
        if isinstance(place, Remote):
            self._headers.append(("Authorization", f"Bearer {place.key}"))
        self._http = h11.Connection(h11.CLIENT)

    def exchange(self, method: str, target: str, content: bytes, timeout: float, seen: str = "") -> tuple[int, bytes]:
        """Say a request, about what was `seen` if it says; the status and the body of the answer.

        Raises OSError or h11.ProtocolError.
        """
        self.socket.settimeout(timeout)
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(content)))]
        headers += [("If-Match", f'"{seen}"')] if seen else []
        self._say(method, target, headers, content)
        answer = self._next()
        body = bytearray()
        while isinstance(event := self._next(), h11.Data):
            body += event.data
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        return answer.status_code, bytes(body)

    def follow(self, target: str, pause: float) -> Iterator[bytes]:
        """The data of server-sent events as they come, and b"" after every `pause` seconds without one.

        Raises OSError or h11.ProtocolError; ends if the node says anything but events, or ends them.
        """
        self.socket.settimeout(CONNECTING)
        self._say("GET", target, [("Accept", EVENTS)], b"")
        if self._next().status_code >= 400:
            return
        self.socket.settimeout(pause)
        kept = b""
        while True:
            try:
                event = self._next()
            except TimeoutError:
                yield b""
                continue
            if not isinstance(event, h11.Data):
                return
            *lines, kept = (kept + bytes(event.data)).split(b"\n")
            yield from (line.removeprefix(b"data: ") for line in lines if line.startswith(b"data: "))

    def _say(self, method: str, target: str, headers: list[tuple[str, str]], content: bytes) -> None:
        request = h11.Request(method=method, target=target, headers=[*self._headers, *headers])
        events = (request, h11.Data(content), h11.EndOfMessage()) if content else (request, h11.EndOfMessage())
        self.socket.sendall(b"".join(self._http.send(event) or b"" for event in events))

    def _next(self) -> Any:
        """The next event that means something to us."""
        while (event := self._http.next_event()) is h11.NEED_DATA or isinstance(event, h11.InformationalResponse):
            if event is h11.NEED_DATA:
                self._http.receive_data(self.socket.recv(_CHUNK))
        if isinstance(event, h11.ConnectionClosed):
            raise ConnectionResetError
        return event


def _unix(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.connect(os.fspath(path))
    except OSError:
        made.close()
        raise
    return made


def _tcp(place: Remote) -> socket.socket:
    made = socket.create_connection((place.host, place.port), CONNECTING)
    if not place.tls:
        return made
    import ssl

    return ssl.create_default_context().wrap_socket(made, server_hostname=place.host)
