"""Bare HTTP over a Unix socket or TCP, for what the client would never say."""

import socket
from pathlib import Path
from typing import Any

import msgspec

TEXTS = ("text/", "image/svg+xml")

Answer = tuple[int, dict[str, str], Any]
"""Status, headers and decoded JSON, or text."""


def say(path: Path, head: str, body: bytes = b"") -> Answer:
    """Send a request line, headers and a body to a control socket; what comes back."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        return _exchange(connection, f"{head}\nHost: localhost", body)


def call(address: tuple[str, int], head: str, body: bytes = b"", key: str = "", host: str = "localhost") -> Answer:
    """The same over TCP, with a key if there is one."""
    with socket.create_connection(address, timeout=10) as connection:
        shown = f"\nAuthorization: Bearer {key}" if key else ""
        return _exchange(connection, f"{head}\nHost: {host}{shown}", body)


def _exchange(connection: socket.socket, head: str, body: bytes) -> Answer:
    lines = [*head.splitlines(), f"Content-Length: {len(body)}", "Connection: close", "", ""]
    connection.sendall("\r\n".join(lines).encode() + body)
    data = b""
    while chunk := connection.recv(65536):
        data += chunk
    return answer(data)


def answer(data: bytes) -> Answer:
    """What a server said, taken apart."""
    top, _, content = data.partition(b"\r\n\r\n")
    first, *rest = top.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    return int(first.split()[1]), headers, _content(headers, content)


def _content(headers: dict[str, str], content: bytes) -> Any:
    if headers.get("content-type", "").startswith(TEXTS):
        return content.decode()
    return msgspec.json.decode(content) if content else None
