"""A steady beat of small UDP datagrams from one host to another: how long is the line silent when a path changes?

Invariant: sent and received by threads of this process, so both times are of one clock; a datagram that is lost is
lost, so the longest silence is the outage as a call or a game would feel it.
"""

import itertools
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from pulse.lab.host import Host, wait_until
from pulse.lab.namespaces import inside

INTERVAL: Final = 0.002
"""Seconds between two beats, unless told otherwise."""

_PAUSE: Final = 0.05
_NUMBER: Final = struct.Struct("!Q")
_SO_RCVBUFFORCE: Final = 33
_ROOM: Final = 8 << 20
"""Bytes that may wait for us, which are seconds: what this program is too slow for is not lost on the way."""


@dataclass(slots=True)
class Beat:
    """A beat under way."""

    arrivals: list[float] = field(default_factory=list)
    """Monotonic times at which beats arrived."""
    sent: int = 0
    """How many left."""
    heard: set[int] = field(default_factory=set, repr=False)
    """The numbers of those that arrived."""
    _over: threading.Event = field(default_factory=threading.Event, repr=False)

    def wait_more(self, count: int = 100) -> None:
        """Wait until that many more have arrived. Raises PulseError if they do not."""
        before = len(self.arrivals)
        wait_until(lambda: len(self.arrivals) >= before + count, f"{count} beats more arrive")

    @property
    def lost(self) -> int:
        """How many left and did not arrive; while it goes on, those on their way too."""
        return self.sent - len(self.heard)

    def longest_gap(self, since: float, until: float | None = None) -> float:
        """Seconds of the longest silence that ended between two monotonic times."""
        end = time.monotonic() if until is None else until
        gaps = [late - early for early, late in itertools.pairwise(self.arrivals) if since <= late <= end]
        return max(gaps, default=0.0)


@contextmanager
def beating(sender: Host, receiver: Host, address: str, interval: float = INTERVAL) -> Iterator[Beat]:
    """Send beats to `address` of the receiver meanwhile; those on their way at the end are waited for."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with _socket(receiver, family) as listening, _socket(sender, family) as sending:
        with suppress(PermissionError):
            listening.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _ROOM)
        listening.bind((address, 0))
        listening.settimeout(_PAUSE)
        beat = Beat()
        target = listening.getsockname()[:2]
        sends = threading.Thread(target=_send, args=(sending, target, beat, interval), daemon=True)
        receives = threading.Thread(target=_receive, args=(listening, beat), daemon=True)
        sends.start()
        receives.start()
        try:
            yield beat
        finally:
            beat._over.set()
            sends.join()
            receives.join()


def _send(sending: socket.socket, target: tuple[str, int], beat: Beat, interval: float) -> None:
    due = time.monotonic()
    while not beat._over.is_set():
        with suppress(OSError):  # no route just now: that is the silence to be measured
            sending.sendto(_NUMBER.pack(beat.sent), target)
        beat.sent += 1
        due = max(due + interval, time.monotonic() - interval)
        time.sleep(max(0.0, due - time.monotonic()))


def _receive(listening: socket.socket, beat: Beat) -> None:
    while True:
        try:
            (number,) = _NUMBER.unpack(listening.recv(64))
        except OSError:
            if beat._over.is_set():
                return
            continue
        beat.arrivals.append(time.monotonic())
        beat.heard.add(number)


def _socket(host: Host, family: socket.AddressFamily) -> socket.socket:
    with inside(host.namespace):
        return socket.socket(family, socket.SOCK_DGRAM)
