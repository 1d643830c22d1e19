"""The program that holds up or loses what an interface sends: `python -m pulse.lab.delay <interface> <tap> <file>`.

It makes the TAP; rules of the lab turn there what the interface would send, and what comes out of it is sent after all,
under a mark that the rules let pass. Invariant: it keeps the order in which packets came, whatever the jitter, except
for those that are to overtake. The file (an Impairment as JSON) is read at the start and again at each SIGHUP.
"""

import fcntl
import heapq
import os
import random
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from pulse.interpreter import program
from pulse.lab.impairment import Impairment

READY: Final = "ready"
"""What the program says each time it has read the file."""

MARK: Final = 0x70_6C_61_62
"""On packets that were held up already."""

_TUNSETIFF: Final = 0x400454CA
_IFF_TAP_NO_HEADER: Final = 0x1002
_SO_SNDBUFFORCE: Final = 32
_ROOM: Final = 32 << 20
_LARGEST: Final = 65_600
_READS: Final = 64
"""Packets taken in before those whose time has come are looked after again."""


_IP: Final = (b"\x08\x00", b"\x86\xdd")
_ICMPV6, _NEIGHBOUR_DISCOVERY = 58, (135, 136)


class Schedule:
    """When each packet goes on, if at all, and which do now."""

    def __init__(self, chance: random.Random) -> None:
        self.impairment = Impairment()
        self._chance = chance
        self._last = 0.0
        self._due: list[tuple[float, int, bytes]] = []
        self._count = 0
        self._losing = False

    def arrived(self, packet: bytes, now: float) -> None:
        """Take a packet in (Ethernet and all)."""
        if self.impairment.burst > 1 and not _finds_neighbours(packet) and self._loses():
            return
        self._count += 1
        heapq.heappush(self._due, (self._moment(now), self._count, packet))

    def deadline(self) -> float | None:
        """When the next packet goes on; None if there is none."""
        return self._due[0][0] if self._due else None

    def leaving(self, now: float) -> list[bytes]:
        """The packets whose time has come, in order."""
        leaving = []
        while self._due and self._due[0][0] <= now:
            leaving.append(heapq.heappop(self._due)[2])
        return leaving

    def _loses(self) -> bool:
        """The model of Gilbert (1960): a burst begins by chance and ends by chance, and in between all is lost."""
        share, burst = self.impairment.loss_percent / 100, self.impairment.burst
        goes_on, begins = 1 - 1 / burst, share / (burst * (1 - share))
        self._losing = self._chance.random() < (goes_on if self._losing else begins)
        return self._losing

    def _moment(self, now: float) -> float:
        delay, jitter = self.impairment.delay_ms / 1000, self.impairment.jitter_ms / 1000
        if self._chance.random() * 100 < self.impairment.reorder_percent:
            return now
        wanted = now + delay + self._chance.uniform(-jitter, jitter)
        # Order is kept among packets on the way, not with one that left long ago under a greater delay.
        self._last = min(max(self._last, wanted), now + delay + jitter)
        return self._last


def _finds_neighbours(packet: bytes) -> bool:
    """True for ARP and its like: who is not even found at once does not show what loss does."""
    if packet[12:14] not in _IP:
        return True
    return packet[12:14] == _IP[1] and packet[20] == _ICMPV6 and packet[54] in _NEIGHBOUR_DISCOVERY


def command(interface: str, tap: str, file: Path) -> list[str]:
    """Word the command line that starts the program."""
    return program("pulse.lab.delay", interface, tap, str(file))


def main(interface: str, tap: str, file: Path) -> None:
    """Hold packets up until the program is ended."""
    schedule = Schedule(random.Random())  # noqa: S311 (chance, not a secret)

    def read() -> None:
        schedule.impairment = msgspec.json.decode(file.read_bytes(), type=Impairment)
        print(READY, flush=True)

    source, sending = _make_tap(tap), _sender(interface)
    signal.signal(signal.SIGHUP, lambda *_: read())
    read()
    while True:
        deadline = schedule.deadline()
        wait = None if deadline is None else max(0.0, deadline - time.monotonic())
        if select.select([source], [], [], wait)[0]:
            now = time.monotonic()
            for packet in _arrived(source):
                schedule.arrived(packet, now)
        for packet in schedule.leaving(time.monotonic()):
            _send(sending, packet)


def _make_tap(name: str) -> int:
    """Make a TAP that goes with the program, and on which the kernel itself says nothing."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP_NO_HEADER))
    Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1", encoding="ascii")
    return descriptor


def _sender(interface: str) -> socket.socket:
    sending = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sending.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
    # How much waits before a slow interface is for its own queue to say; users without root have the usual room.
    with suppress(PermissionError):
        sending.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _ROOM)
    sending.setblocking(False)
    sending.bind((interface, 0))
    return sending


def _arrived(source: int) -> Iterator[bytes]:
    for _ in range(_READS):
        try:
            yield os.read(source, _LARGEST)
        except BlockingIOError:
            return


def _send(sending: socket.socket, packet: bytes) -> None:
    try:
        sending.send(packet)
    except OSError:
        # The queue of the interface is full, or its cable was pulled: a network loses packets then.
        return


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
