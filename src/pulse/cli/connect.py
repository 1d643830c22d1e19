"""`pulse connect`: standard input and output as a connection to what is behind another node.

`ssh -o ProxyCommand="pulse connect --node %h --dest localhost:22"`. Invariant: the end of one direction leaves the
other open. Bytes go through one large buffer: splice(2) would keep a pipe locked while the socket is full, and so stop
a program that has to read before it can write.
"""

import contextlib
import fcntl
import os
import select
import socket
import sys
from threading import Thread
from typing import Annotated, Final

from cyclopts import Parameter

from pulse import tunnels
from pulse.cli.values import DataDir

CHUNK: Final = 1 << 20
"""Bytes moved at once at most; pipes are made to hold as many."""


def connect(
    *,
    node: Annotated[str, Parameter(help="The node: its name, its mesh address, or the first digits of its id.")],
    dest: Annotated[str, Parameter(help="host:port as that node sees it, such as localhost:22.")],
    data_dir: DataDir = None,
) -> None:
    """Connect stdin and stdout to what is behind a node, as a ProxyCommand.

    More: pulse help services
    """
    with tunnels.reach(node, dest, data_dir) as stream:
        _carry(stream, sys.stdin.fileno(), sys.stdout.fileno())


def _carry(stream: tunnels.Reached, source: int, target: int) -> None:
    """Both directions, until both ended; whoever waits for input when the stream is gone does not keep us.

    Raises StreamFailed if it was cut.
    """
    upward = Thread(target=_up, args=(source, stream), daemon=True)
    upward.start()
    # That nobody reads us is another error, and ends us.
    with contextlib.suppress(ConnectionResetError):
        _copy(stream.fileno(), target)
    # Whoever reads us sees the end now, and may have more to say.
    os.close(target)
    os.open(os.devnull, os.O_WRONLY)
    stream.ended()


def _up(source: int, stream: socket.socket) -> None:
    with contextlib.suppress(OSError):
        _copy(source, stream.fileno())
    with contextlib.suppress(OSError):
        stream.shutdown(socket.SHUT_WR)


def _copy(source: int, target: int) -> None:
    """All bytes of one descriptor into the other."""
    for each in (source, target):
        with contextlib.suppress(OSError):
            fcntl.fcntl(each, fcntl.F_SETPIPE_SZ, CHUNK)
    buffer = memoryview(bytearray(CHUNK))
    while length := _read(source, buffer):
        left = buffer[:length]
        while left:
            try:
                left = left[os.write(target, left) :]
            except BlockingIOError:
                _wait(target, select.POLLOUT)


def _read(source: int, buffer: memoryview) -> int:
    while True:
        try:
            return os.readv(source, [buffer])
        except BlockingIOError:
            _wait(source, select.POLLIN)


def _wait(descriptor: int, event: int) -> None:
    ready = select.poll()
    ready.register(descriptor, event)
    ready.poll()
