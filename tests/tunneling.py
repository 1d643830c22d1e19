"""A node's end of `tunnel.sock`, as tests of its callers have it: one thread, one caller after the other."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pulse.core.network import tunnelline
from pulse.core.network.tunnelline import Answered, Asked
from pulse.errors import StreamFailed

Serve = Callable[[socket.socket], None]


@dataclass
class FakeTunnels:
    """Says yes, unless told what to say; then `serve` has the bytes."""

    serve: Serve = lambda _: None
    answer: bytes = tunnelline.line_of(Answered(ok=True))
    ending: bytes = tunnelline.line_of(Answered(sent=1))
    """Said once `serve` is done with a socket that was handed over; nothing hangs up."""
    asked: list[Asked] = field(default_factory=list)

    def one(self, caller: socket.socket) -> None:
        """One caller, to its end."""
        line, descriptors, _, _ = socket.recv_fds(caller, tunnelline.LIMIT, 1)
        asked = tunnelline.read(line)
        self.asked.append(asked)
        caller.sendall(self.answer)
        handed = [socket.socket(fileno=each) for each in descriptors]
        if b"ok" not in self.answer or asked.check:
            for each in handed:
                each.close()
            return
        with handed[0] if handed else caller as stream:
            self.serve(stream)
        if handed:
            caller.sendall(self.ending)
            self.ending and caller.recv(1)


@contextlib.contextmanager
def tunnels_at(place: Path, fake: FakeTunnels) -> Iterator[FakeTunnels]:
    """Listen on that path."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen()

        def run() -> None:
            while True:
                try:
                    caller, _ = listener.accept()
                except OSError:
                    return
                with caller, contextlib.suppress(OSError):
                    fake.one(caller)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield fake
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def shout(stream: socket.socket) -> None:
    """Answer in capitals once all was said."""
    said = b""
    while data := stream.recv(65536):
        said += data
    stream.sendall(said.upper())


def say_first(stream: socket.socket) -> None:
    """A word, the end, and only then what the other one says."""
    stream.sendall(b"word")
    stream.shutdown(socket.SHUT_WR)
    while stream.recv(65536):
        pass


def leave_unread(stream: socket.socket) -> None:
    """A word, and no more than that."""
    stream.sendall(b"word")


CUT: Final = tunnelline.refusal(StreamFailed("the stream to db was cut", word="lost"))
"""What a node says of a stream that it lost."""


def refused(text: str, code: str, exit_code: int) -> bytes:
    """The line of a refusal."""
    return tunnelline.line_of(Answered(error=text, code=code, exit_code=exit_code))
