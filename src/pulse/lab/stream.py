"""One TCP connection at a steady pace until it is told to end: to watch while the network under it changes.

`python -m pulse.lab.stream receive|send ADDRESS PORT PATIENCE [MBIT TEXT]`. Both ends hash every byte as it passes; the
receiver takes one connection only, so a stream that ends well was never made anew. Invariant: the text stands in every
128 bytes that are sent, so whoever sees any of it in clear sees the text.
"""

import hashlib
import json
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass
from typing import Final

import msgspec

from pulse.errors import PulseError
from pulse.interpreter import program
from pulse.lab.host import Host, Running, wait_until
from pulse.lab.transfer import Half, Transfer

PATIENCE: Final = 60.0
"""Seconds of silence after which an end gives up, unless told otherwise."""

TICK: Final = 0.002
"""Seconds between two pieces the sender sends."""

TOLD_EVERY: Final = 0.1
"""Seconds between two lines of the receiver."""

_READY = "listening"
_UNIT = 64
"""Bytes in which the text stands once, the rest of them random."""
_BLOCK = 1 << 18


@dataclass(frozen=True, slots=True)
class Told:
    """One line of the receiver: how much had arrived when, and its longest wait for more since the line before."""

    at: float
    size: int
    gap: float


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream under way."""

    sender: Running
    receiver: Running

    def told(self) -> list[Told]:
        """All the receiver has said so far."""
        lines = [line.split() for line in self.receiver.text().splitlines()[1:]]
        return [Told(float(line[0]), int(line[1]), float(line[2])) for line in lines if len(line) == 3]

    def wait_moving(self, size: int = 1 << 18) -> None:
        """Wait until that many bytes more have arrived. Raises PulseError if an end has failed or nothing moves."""
        before = self._arrived()
        wait_until(lambda: self._arrived() >= before + size or self._ended(), f"{size} bytes more arrive")
        if self._ended():
            raise PulseError(f"the stream ended:\n{self.sender.text()}\n{self.receiver.text()}")

    def longest_gap(self, since: float) -> float:
        """Seconds of the longest silence that ended or lasted after `since`, a monotonic time."""
        return max((told.gap for told in self.told() if told.at >= since), default=0.0)

    def finish(self) -> Transfer:
        """Let the sender stop; both ends, once all has arrived. Raises PulseError if one of them failed."""
        self.sender.process.send_signal(signal.SIGTERM)
        return Transfer(_half(self.sender), _half(self.receiver))

    def _arrived(self) -> int:
        told = self.told()
        return told[-1].size if told else 0

    def _ended(self) -> bool:
        return any(each.process.poll() is not None for each in (self.sender, self.receiver))


def begin(
    sender: Host,
    receiver: Host,
    address: str,
    *,
    mbit: float,
    text: bytes = b"",
    port: int = 5202,
    patience: float = PATIENCE,
) -> Stream:
    """Start a stream from one host to `address` of the other, and wait until it moves. Raises PulseError."""
    end = (address, str(port), f"{patience:g}")
    listening = receiver.popen(_command("receive", *end))
    listening.wait_begun(_READY, "the receiver")
    sending = sender.popen(_command("send", *end, f"{mbit:g}", text.hex()))
    stream = Stream(sending, listening)
    stream.wait_moving(1)
    return stream


def receive(address: str, port: int, patience: float) -> Half:
    """Take one connection, and say now and then how it goes."""
    with socket.create_server((address, port), family=_family(address)) as listener:
        print(_READY, flush=True)
        listener.settimeout(patience)
        connection, _ = listener.accept()
    with connection:
        connection.settimeout(TOLD_EVERY)
        return _Watch(patience).follow(connection)


class _Watch:
    """Counts and hashes what arrives."""

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self.begin = self.last = self.told = time.monotonic()
        self.digest, self.size, self.gap = hashlib.sha256(), 0, 0.0

    def follow(self, connection: socket.socket) -> Half:
        """Read to the end. Raises TimeoutError if nothing comes for too long."""
        block = memoryview(bytearray(_BLOCK))
        while (count := self._read(connection, block)) != 0:
            now = time.monotonic()
            self.gap = max(self.gap, now - self.last)
            if count is not None:
                self.last = now
                self.size += count
                self.digest.update(block[:count])
            elif now - self.last > self.patience:
                raise TimeoutError(f"nothing came for {self.patience:g} s")
            if now - self.told >= TOLD_EVERY:
                self._tell(now)
        self._tell(time.monotonic())
        return Half(self.size, self.digest.hexdigest(), self.last - self.begin)

    def _read(self, connection: socket.socket, block: memoryview) -> int | None:
        """Bytes that came; 0 at the end, None for none yet."""
        try:
            return connection.recv_into(block)
        except TimeoutError:
            return None

    def _tell(self, now: float) -> None:
        print(f"{now:.4f} {self.size} {self.gap:.4f}", flush=True)
        self.told, self.gap = now, 0.0


def send(address: str, port: int, patience: float, mbit: float, text: bytes) -> Half:
    """Send at that pace until SIGTERM; what could not be sent in time is not made up for."""
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    piece = pattern(text, max(_UNIT, int(mbit * 1e6 / 8 * TICK)))
    digest, size, number = hashlib.sha256(), 0, 0
    with socket.create_connection((address, port), timeout=patience) as connection:
        begin = due = time.monotonic()
        while not stopped:
            piece[:8] = number.to_bytes(8, "big")
            connection.sendall(piece)
            digest.update(piece)
            size += len(piece)
            number += 1
            due = max(due + TICK, time.monotonic() - TICK)
            time.sleep(max(0.0, due - time.monotonic()))
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)  # the receiver closes once it has all
    return Half(size, digest.hexdigest(), time.monotonic() - begin)


def pattern(text: bytes, size: int) -> bytearray:
    """That many bytes, rounded up to whole units, each with the text and else random."""
    if len(text) > _UNIT:
        raise PulseError(f"a text of {len(text)} bytes; {_UNIT} fit")
    units = -(-size // _UNIT)
    return bytearray(b"".join(os.urandom(_UNIT - len(text)) + text for _ in range(units)))


def main() -> None:
    """Be one end of a stream; the last line is what this end saw, in JSON."""
    _, role, address, port, patience, *more = sys.argv
    if role == "receive":
        half = receive(address, int(port), float(patience))
    else:
        half = send(address, int(port), float(patience), float(more[0]), bytes.fromhex(more[1]))
    print(json.dumps(msgspec.to_builtins(half)), flush=True)


def _half(running: Running) -> Half:
    if running.wait(PATIENCE):
        raise PulseError(f"one end of the stream failed:\n{running.text()}")
    return msgspec.json.decode(running.text().strip().splitlines()[-1], type=Half)


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _command(*words: str) -> list[str]:
    return program("pulse.lab.stream", *words)


if __name__ == "__main__":
    main()
