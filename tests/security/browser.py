"""A real browser that visits a page, and the server the page comes from, which takes the browser on to the API."""

import os
import shutil
import signal
import socket
import socketserver
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import urlencode

import msgspec
import pytest

PAGE: Final = Path(__file__).with_name("attack.html")
EVIL: Final = "evil.example"
REBOUND: Final = "rebound.example"
"""A name that led to the page's server, and leads to the API from then on."""

PATIENCE: Final = 30.0
UNGUARDED: Final = ("--disable-web-security", "--disable-features=LocalNetworkAccessChecks")
"""A browser that keeps no page from anything: what is left are the API's own guards."""

_BROWSERS: Final = ("chromium-headless-shell", "chromium")


@dataclass
class EvilServer:
    """Serves the page; all else it passes on to the API untouched, as a rebound name does."""

    api: tuple[str, int]
    report: dict[str, str] = field(default_factory=dict)
    told: threading.Event = field(default_factory=threading.Event)
    passed_on: list[bytes] = field(default_factory=list)
    """First lines of what went on to the API."""

    @contextmanager
    def serving(self) -> Iterator[int]:
        """The port it listens on."""
        owner = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                owner.answer(self.request)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        with Server(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
            thread.start()
            try:
                yield int(server.server_address[1])
            finally:
                server.shutdown()
                thread.join(10)

    def answer(self, connection: socket.socket) -> None:
        head, body = _request(connection)
        if not head:
            return
        path = head.split(b" ", 2)[1]
        if path.startswith(b"/page"):
            connection.sendall(_ok(b"text/html", PAGE.read_bytes()))
        elif path == b"/report":
            self.report = msgspec.json.decode(body)
            connection.sendall(_ok(b"text/plain", b""))
            self.told.set()
        elif path == b"/favicon.ico":
            connection.sendall(_ok(b"text/plain", b""))
        else:
            self.passed_on.append(head.split(b"\r\n", 1)[0])
            self._pass_on(connection, head, body)

    def _pass_on(self, connection: socket.socket, head: bytes, body: bytes) -> None:
        with socket.create_connection(self.api, timeout=PATIENCE) as api:
            api.sendall(head.replace(b"Connection: keep-alive", b"Connection: close") + b"\r\n\r\n" + body)
            while chunk := api.recv(65536):
                connection.sendall(chunk)


def visit(api: tuple[str, int], key: str, node: str, flags: Sequence[str] = (), host: str = EVIL) -> EvilServer:
    """Let a browser visit the page at a host, and wait for its report; skips where there is no browser."""
    program = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if program is None:
        pytest.skip("needs a browser: chromium-headless-shell or chromium")
    server = EvilServer(api)
    with server.serving() as port, TemporaryDirectory(prefix="pulse-browser-", ignore_cleanup_errors=True) as profile:
        # A rebound page asks its own origin, and is led to the API.
        where = "" if host == REBOUND else "http://{}:{}".format(*api)
        page = f"http://{host}:{port}/page?{urlencode({'api': where, 'key': key, 'node': node})}"
        names = f"MAP {EVIL} 127.0.0.1, MAP {REBOUND} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
        command = [
            program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
            "--remote-debugging-port=0", f"--user-data-dir={profile}", f"--host-resolver-rules={names}", *flags, page,
        ]  # fmt: skip
        browser = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            assert server.told.wait(PATIENCE), "the page told nothing"
        finally:
            _end(browser)
    return server


def _end(browser: subprocess.Popen[bytes]) -> None:
    """End it with all its processes: those left would go on writing to its profile."""
    with suppress(ProcessLookupError):
        os.killpg(browser.pid, signal.SIGKILL)
    browser.wait(10)


def _request(connection: socket.socket) -> tuple[bytes, bytes]:
    """Head and body of one request."""
    connection.settimeout(PATIENCE)
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            return b"", b""
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length and (chunk := connection.recv(65536)):
        body += chunk
    return head, body


def _ok(kind: bytes, content: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
    return head % (kind, len(content)) + content
