"""One bulk transfer over TCP, every byte checked: `python -m pulse.lab.transfer receive|send ADDRESS PORT BYTES`.

Invariant: the clock runs from the first byte to the last and stands still while either side hashes, so the figure is
the network's; all bytes are hashed, for with checksums left to the data plane nothing else would find its mistakes.
"""

import hashlib
import json
import mmap
import os
import socket
import sys
import time
from collections.abc import Iterator
from typing import Final

import msgspec

from pulse.errors import PulseError
from pulse.interpreter import program
from pulse.lab.host import Host, Running

GIBIBYTE: Final = 1 << 30
BLOCK: Final = 64 << 20
"""Bytes of one random block; it is sent again and again, stamped with its number."""

_READY: Final = "listening"
_STAMP = 8
_PATIENCE = 120.0


class Half(msgspec.Struct, frozen=True):
    """What one end saw: bytes, their SHA-256 in hex, and the seconds from the first to the last of them."""

    size: int
    sha256: str
    seconds: float


class Transfer(msgspec.Struct, frozen=True):
    """Both ends of one transfer."""

    sent: Half
    received: Half

    @property
    def hash_equal(self) -> bool:
        """True if what arrived is what was sent."""
        return (self.sent.size, self.sent.sha256) == (self.received.size, self.received.sha256)

    @property
    def gbit(self) -> float:
        """Gbit/s, by the receiver's clock."""
        return self.received.size * 8 / self.received.seconds / 1e9


def measure(sender: Host, receiver: Host, address: str, size: int = GIBIBYTE, port: int = 5201) -> Transfer:
    """Send `size` bytes from one host to `address` of the other. Raises PulseError if either end fails."""
    listening = receiver.popen(_command("receive", address, port, size))
    listening.wait_begun(_READY, "the receiver")
    sent = sender.run(_command("send", address, port, size), timeout=_PATIENCE)
    return Transfer(msgspec.json.decode(_last(sent.stdout), type=Half), _half(listening))


def receive(address: str, port: int, size: int) -> Half:
    """Wait for one connection and take `size` bytes from it, fewer if it ends before."""
    # Memory is there before the clock runs: to fault it in would cost as much as to receive it.
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE) as memory:
        with socket.create_server((address, port), family=_family(address)) as listener:
            print(_READY, flush=True)
            listener.settimeout(_PATIENCE)
            connection, _ = listener.accept()
        with connection, memoryview(memory) as view:
            connection.settimeout(_PATIENCE)
            got, seconds = _fill(connection, view)
            return Half(got, hashlib.sha256(view[:got]).hexdigest(), seconds)


def send(address: str, port: int, size: int) -> Half:
    """Connect and send `size` bytes, no two blocks alike."""
    block = bytearray(os.urandom(min(size, BLOCK)))
    with socket.create_connection((address, port), timeout=_PATIENCE) as connection:
        _use_cubic(connection)
        begin = time.monotonic()
        for piece in _pieces(block, size):
            connection.sendall(piece)
        seconds = time.monotonic() - begin
    digest = hashlib.sha256()
    for piece in _pieces(block, size):
        digest.update(piece)
    return Half(size, digest.hexdigest(), seconds)


def main() -> None:
    """Be one end of a transfer; the last line is what this end saw, in JSON."""
    _, role, address, port, size = sys.argv
    half = (receive if role == "receive" else send)(address, int(port), int(size))
    print(json.dumps(msgspec.to_builtins(half)), flush=True)


def _fill(connection: socket.socket, view: memoryview) -> tuple[int, float]:
    got, begin = connection.recv_into(view), time.monotonic()
    while got < len(view) and (count := connection.recv_into(view[got:])):
        got += count
    return got, max(time.monotonic() - begin, 1e-9)


def _pieces(block: bytearray, size: int) -> Iterator[memoryview]:
    """Yield the bytes to send, as views of one block that each time bears another number."""
    for number, offset in enumerate(range(0, size, len(block) or 1)):
        block[: min(_STAMP, len(block))] = number.to_bytes(_STAMP, "big")[-len(block) :]
        yield memoryview(block)[: size - offset]


def _use_cubic(connection: socket.socket) -> None:
    """Let figures be compared whatever this system's default is; one that lacks or forbids it keeps its own."""
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
    except OSError:
        return


def _half(listening: Running) -> Half:
    if listening.wait(_PATIENCE):
        raise PulseError(f"the receiver failed:\n{listening.text()}")
    return msgspec.json.decode(_last(listening.text()), type=Half)


def _last(text: str) -> str:
    return text.strip().splitlines()[-1]


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _command(role: str, address: str, port: int, size: int) -> list[str]:
    return program("pulse.lab.transfer", role, address, str(port), str(size))


if __name__ == "__main__":
    main()
