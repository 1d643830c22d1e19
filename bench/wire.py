"""A fast cable with delay and loss between two hosts of the lab: the process that carries its frames, and who lays it.

The lab's own delay looks at packets one by one, which ends at half a Gbit/s. Here frames are carried as the kernel
hands them over, super-packets whole; of those of UDP each segment is lost by itself, as on a real way. Invariant: what
is not lost arrives after the delay, in order. Told on standard input: `loss burst`, the share of segments that get lost
and how many in a row on average.
"""

import math
import os
import random
import select
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fcntl import ioctl
from pathlib import Path
from typing import NamedTuple

from pulse.lab.host import Host
from pulse.lab.namespaces import address, inside, introduce, ip

TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
OFFLOADS = 0x67
"""Checksums, TCP and UDP segmentation for both families."""
GSO_UDP = 5
LONGEST = 70_000
ETHERNET, UDP = 14, 8
TURN = 64
ORDERS = 0
"""Standard input."""


@dataclass(slots=True)
class Losses:
    """Which segments get lost: by turns some that pass and some that do not (Gilbert 1960)."""

    share: float = 0.0
    burst: float = 1.0
    _random: random.Random = field(default_factory=random.Random)
    _passing: float = math.inf
    _failing: int = 0

    def change(self, share: float, burst: float) -> None:
        """Lose this share from now on, so many in a row on average; 1 stands for chance alone."""
        self.share = share
        # By chance alone, too, one loss may follow another.
        self.burst = max(burst, 1 / (1 - share))
        self._failing = 0
        self._passing = self._gap() if share else math.inf

    def of(self, count: int) -> list[int]:
        """Places of those that get lost of the next `count`."""
        if self._passing >= count and not self._failing:
            self._passing -= count
            return []
        return [place for place in range(count) if self._is_next_lost()]

    def _is_next_lost(self) -> bool:
        if not self._failing and self._passing > 0:
            self._passing -= 1
            return False
        if not self._failing:
            self._failing = self._length(self.burst)
        self._failing -= 1
        if not self._failing:
            self._passing = self._gap()
        return True

    def _gap(self) -> int:
        return self._length(self.burst * (1 - self.share) / self.share)

    def _length(self, mean: float) -> int:
        """At least 1, geometric."""
        return 1 if mean <= 1 else 1 + int(math.log(1 - self._random.random()) / math.log(1 - 1 / mean))


def thinned(frame: bytes, losses: Losses) -> bytes:
    """What is left of a frame behind its vnet header; empty if nothing is."""
    _, gso, _, size, start, _ = struct.unpack_from("=BBHHHH", frame)
    if gso & 0x7F != GSO_UDP:
        return b"" if losses.of(1) else frame
    headers = 10 + start + UDP
    count = -(-(len(frame) - headers) // size)
    lost = losses.of(count)
    if not lost:
        return frame
    kept = [frame[headers + place * size :][:size] for place in range(count) if place not in lost]
    return _joined(bytearray(frame[:headers]), kept, start + 10) if kept else b""


def _joined(head: bytearray, kept: Sequence[bytes], udp: int) -> bytes:
    """Segments under the headers of the super-packet they come from, with its lengths set right."""
    length = UDP + sum(map(len, kept))
    before, checksum = struct.unpack_from("!HH", head, udp + 4)
    struct.pack_into("!HH", head, udp + 4, length, _folded(checksum + 0xFFFF - before + length))
    network = 10 + ETHERNET
    if head[network] >> 4 == 4:
        struct.pack_into("!H", head, network + 2, udp - network + length)
        struct.pack_into("!H", head, network + 10, 0)
        words = struct.unpack_from("!10H", head, network)
        struct.pack_into("!H", head, network + 10, 0xFFFF - _folded(sum(words)))
    else:
        struct.pack_into("!H", head, network + 4, udp - network - 40 + length)
    if len(kept) == 1:
        head[1] = 0
        struct.pack_into("=H", head, 4, 0)
    return bytes(head) + b"".join(kept)


def _folded(total: int) -> int:
    while total > 0xFFFF:
        total = (total >> 16) + (total & 0xFFFF)
    return total


def carry(taps: tuple[int, int], delay: float) -> None:
    """Carry frames until standard input ends."""
    under_way: deque[tuple[float, int, bytes]] = deque()
    far = {taps[0]: taps[1], taps[1]: taps[0]}
    losses = {tap: Losses() for tap in taps}
    while True:
        pause = max(0.0, under_way[0][0] - time.monotonic()) if under_way else None
        readable = select.select((*taps, ORDERS), (), (), pause)[0]
        due = time.monotonic() + delay
        if ORDERS in readable:
            words = sys.stdin.readline().split()
            if not words:
                return
            for each in losses.values():
                each.change(float(words[0]), float(words[1]))
        for source in set(readable) & set(taps):
            for frame in _frames(source):
                if left := thinned(frame, losses[source]):
                    under_way.append((due, far[source], left))
        now = time.monotonic()
        while under_way and under_way[0][0] <= now:
            _, target, frame = under_way.popleft()
            _send(target, frame)


def _frames(tap: int) -> Iterator[bytes]:
    for _ in range(TURN):
        try:
            yield os.read(tap, LONGEST)
        except OSError:  # there is no more, or the device is not up yet
            return


def _send(tap: int, frame: bytes) -> None:
    try:
        os.write(tap, frame)
    except OSError:  # the device is not up yet, or is no more
        return


def open_tap(namespace: str, name: str) -> int:
    """Make a device in a namespace that hands over super-packets."""
    with inside(namespace):
        tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
        ioctl(tap, TUNSETOFFLOAD, OFFLOADS)
    return tap


class Wire(NamedTuple):
    """A cable that was laid."""

    process: subprocess.Popen[str]

    def lose(self, share: float, burst: float = 1.0) -> None:
        """Lose this share of what is sent, each way, so many in a row on average."""
        assert self.process.stdin
        self.process.stdin.write(f"{share} {burst}\n")
        self.process.stdin.flush()


@contextmanager
def wire(one: Host, other: Host, delay: float) -> Iterator[Wire]:
    """Put a cable with so many seconds of delay each way in the place of the one that joins two hosts."""
    ports = [host.ports[0] for host in (one, other)]
    ip("-n", one.namespace, "link", "delete", ports[0].interface)
    places = [word for host, port in zip((one, other), ports, strict=True) for word in (host.namespace, port.interface)]
    command = [sys.executable, str(Path(__file__)), *places, str(delay)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        process.stdout.readline()
        for host, port, far in zip((one, other), ports, reversed(ports), strict=True):
            address(host.namespace, port)
            introduce(host.namespace, port, [far])
        yield Wire(process)
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    here, there = (open_tap(*sys.argv[place : place + 2]) for place in (1, 3))
    print("ready", flush=True)
    carry((here, there), float(sys.argv[5]))
