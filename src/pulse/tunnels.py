"""Streams to what is behind other nodes, for programs of this machine: one line to the node here, then bytes.

Invariant: after the node's answer the socket is at the first byte of the destination, and an end that it shows is one
that the far side made; no event loop is imported.
"""

import contextlib
import errno
import os
import random
import select
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pulse.client import candidates
from pulse.config import tunnel_beside
from pulse.core.network import tunnelline
from pulse.core.network.tunnelline import Answered, Asked
from pulse.errors import LinkError, PulseError, Refused, StreamFailed, SystemRefused

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PATIENCE: Final = 30.0
"""Seconds for an answer: twice what the node here takes at most to have a stream, or to say why there is none."""

PAUSE: Final = 0.02
"""Seconds before who found no place at the door comes again; twice as many each time, up to `MOST_PAUSE`."""

MOST_PAUSE: Final = 1.0

_PATIENTLY: Final = struct.pack("ll", int(PATIENCE), 0)
_FOR_EVER: Final = struct.pack("ll", 0, 0)
"""A `struct timeval` for SO_SNDTIMEO, socket(7): how long to wait, in seconds and microseconds; zero for no limit."""


class Reached(socket.socket):
    """A socket that leads to a destination. One that is cut raises ConnectionResetError where others would show an end.

    A Unix socket knows no reset, so the node here says on a connection of its own how the stream ended.
    """

    __slots__ = ("_asking", "_told")

    def __init__(self, sock: socket.socket, asking: socket.socket) -> None:
        """Take over both: the one with the bytes, and the one on which the node speaks."""
        super().__init__(fileno=sock.detach())
        self._asking = asking
        self._told: Answered | StreamFailed | None = None

    def ended(self) -> Answered:
        """Wait until it is over in both directions: what was moved. Raises StreamFailed, if it was cut."""
        if self._told is None:
            try:
                self._told = read_answer(self._asking)
            except StreamFailed as error:
                self._told = error
        if isinstance(self._told, StreamFailed):
            raise self._told
        return self._told

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """As sockets have it."""
        data = super().recv(bufsize, flags)
        if bufsize and not data:
            self._check_end()
        return data

    def recv_into(self, buffer: "WriteableBuffer", nbytes: int = 0, flags: int = 0) -> int:
        """As sockets have it."""
        count = super().recv_into(buffer, nbytes, flags)
        if not count and memoryview(buffer).nbytes:
            self._check_end()
        return count

    def close(self) -> None:
        """As sockets have it; what was sent arrives all the same."""
        super().close()
        if self.fileno() < 0:
            self._asking.close()

    def detach(self) -> int:
        """As sockets have it; who has the descriptor then sees an end whatever made it."""
        self._asking.close()
        return super().detach()

    def _check_end(self) -> None:
        """Raise ConnectionResetError if that was none. Of one direction alone it is one for sure."""
        if not is_over(self):
            return
        try:
            self.ended()
        except StreamFailed as error:
            raise ConnectionResetError(errno.ECONNRESET, str(error)) from error


def is_over(sock: socket.socket) -> bool:
    """True if neither end of a Unix socket says anything more."""
    poll = select.poll()
    poll.register(sock, 0)
    return bool(poll.poll(0))


def reach(node: str, destination: str, data_dir: Path | None = None) -> Reached:
    """A socket that leads to `host:port` as the node sees it.

    Raises StreamFailed, NotFound or Conflict for the name, LinkError if no node runs here, Refused if it is not ours.
    """
    ours, theirs = pair()
    with contextlib.ExitStack() as held:
        held.enter_context(ours)
        with theirs:
            asking = held.enter_context(_asked(Asked(node, destination, lasting=True), data_dir, theirs))
        made = Reached(ours, asking)
        held.pop_all()
    return made


def check(node: str, destination: str, data_dir: Path | None = None) -> None:
    """Raise the same if the node is not known, or its rules deny it; nothing is opened."""
    _asked(Asked(node, destination, check=True), data_dir).close()


def lead_back(node: str, port: int, destination: str, data_dir: Path | None = None) -> socket.socket:
    """Have that port of a node's loopback lead to `host:port` as the node here sees it, until the socket is closed.

    Raises the same.
    """
    return _asked(Asked(node, destination, reverse=port), data_dir)


def hand_over(node: str, destination: str, sock: socket.socket, data_dir: Path | None = None) -> socket.socket:
    """Have the node here move the bytes of `sock`, which the caller may close.

    What is returned hears `read_answer` once it leads there, and again when it is over; to close it ends that. Raises
    LinkError or Refused.
    """
    return hand_over_at(_connected(data_dir), node, destination, sock)


def hand_over_at(asking: socket.socket, node: str, destination: str, sock: socket.socket) -> socket.socket:
    """The same by a connection to the node that is there already, which is closed if that fails."""
    try:
        socket.send_fds(asking, [tunnelline.line_of(Asked(node, destination))], [sock.fileno()])
    except OSError as error:
        asking.close()
        raise LinkError(f"the node here hung up: {error.strerror}") from error
    return asking


def read_answer(asking: socket.socket) -> Answered:
    """The next line of the node, and not a byte more. Raises what it says no with, or StreamFailed."""
    line = b""
    try:
        while not line.endswith(b"\n"):
            seen = asking.recv(tunnelline.LIMIT, socket.MSG_PEEK)
            if not seen:
                break
            line += asking.recv(seen.find(b"\n") + 1 or len(seen))
    except TimeoutError as error:
        raise StreamFailed("the node here gave no answer. See: pulse logs") from error
    except OSError as error:
        raise StreamFailed(f"the node here hung up: {error.strerror}") from error
    return tunnelline.read_answer(line)


def crowded(text: str) -> StreamFailed:
    """There is no place; a later try may help."""
    return StreamFailed(text, word=tunnelline.CROWDED)


def is_crowded(error: PulseError) -> bool:
    """True if there was no place at the node's door: a later try may have one."""
    return isinstance(error, StreamFailed) and error.word == tunnelline.CROWDED


def pauses() -> Iterator[float]:
    """Seconds to wait before each further try; no two callers come again in step."""
    longest = PAUSE
    while True:
        yield random.uniform(longest / 2, longest)  # noqa: S311 (no secret)
        longest = min(MOST_PAUSE, 2 * longest)


def _asked(asked: Asked, data_dir: Path | None, handed: socket.socket | None = None) -> socket.socket:
    """A connection on which the node has answered, by its first answer that is another than that the door is full."""
    end, waits = time.monotonic() + PATIENCE, pauses()
    while True:
        try:
            return _asked_once(asked, data_dir, handed)
        except StreamFailed as error:
            if not is_crowded(error) or time.monotonic() > end:
                raise
        time.sleep(next(waits))


def _asked_once(asked: Asked, data_dir: Path | None, handed: socket.socket | None) -> socket.socket:
    asking = _connected(data_dir)
    with contextlib.ExitStack() as held:
        held.enter_context(asking)
        asking.settimeout(PATIENCE)
        with contextlib.suppress(OSError):
            # A node that refuses at once may have hung up already: its answer says why.
            socket.send_fds(asking, [tunnelline.line_of(asked)], [handed.fileno()] if handed else [])
        read_answer(asking)
        asking.settimeout(None)
        held.pop_all()
    return asking


def pair() -> tuple[socket.socket, socket.socket]:
    """Two sockets that are connected. Raises SystemRefused if this program may have no more."""
    with _room_for_files():
        return socket.socketpair()


@contextlib.contextmanager
def _room_for_files() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SystemRefused(
            f"this program has no room for a further connection, which takes two descriptors: {error.strerror}.\n"
            "Close some, or allow it more before it starts: ulimit -n 8192"
        ) from error


def _connected(data_dir: Path | None, environment: Mapping[str, str] = os.environ) -> socket.socket:
    """The node that runs here; the first that answers, as for every other command."""
    paths = [tunnel_beside(each) for each in candidates(data_dir, environment)]
    for path in paths:
        with contextlib.suppress(LinkError):
            return connected_at(path)
    where = ", ".join(map(str, paths))
    raise LinkError(f"no pulse node is running here (asked {where}).\nStart one: pulse start")


def connected_at(path: Path, *, blocking: bool = True) -> socket.socket:
    """A connection to the node whose tunnel socket that is.

    Raises LinkError if none answers, Refused if it is not ours, StreamFailed (`is_crowded`) if too many wait there.
    """
    with _room_for_files():
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.setblocking(blocking)
    # Where a Unix socket waits for its turn to be taken in, nothing else ends the wait for a node that stands still.
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _PATIENTLY)
    try:
        made.connect(os.fspath(path))
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _FOR_EVER)
    except OSError as error:
        made.close()
        if isinstance(error, PermissionError):
            raise Refused(
                f"the node at {path} is not yours to use.\n"
                "Use sudo, or become a member of its group: usermod -aG pulse <you>"
            ) from error
        if isinstance(error, BlockingIOError):
            raise crowded(f"the node at {path} has too many callers waiting. Try again") from error
        raise LinkError(f"no node answers at {path}: {error.strerror or error}.\nStart one: pulse start") from error
    return made
