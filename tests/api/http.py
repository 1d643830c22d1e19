"""Bare HTTP over a Unix socket, for what the client would never say."""

import socket
from pathlib import Path
from typing import Any

import msgspec


def say(path: Path, head: str, body: bytes = b"") -> tuple[int, dict[str, str], Any]:
    """Send a request line, headers and a body; the status, headers and decoded JSON that come back."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        lines = [*head.splitlines(), "Host: localhost", f"Content-Length: {len(body)}", "Connection: close", "", ""]
        connection.sendall("\r\n".join(lines).encode() + body)
        data = b""
        while chunk := connection.recv(65536):
            data += chunk
    top, _, content = data.partition(b"\r\n\r\n")
    first, *rest = top.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    return int(first.split()[1]), headers, msgspec.json.decode(content) if content else None
