"""Ports for nodes of a test, below those the kernel gives out by itself, so that nobody else comes to have one."""

import errno
import os
import socket
from contextlib import closing
from random import SystemRandom

LOWEST, HIGHEST = 20_000, 32_000

_given: set[int] = set()
"""By this process: who was given one may not have begun to listen."""

_PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_MINE = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
"""Each of the processes that test at the same time has ports of its own."""


def free_port() -> int:
    """A port nobody has, neither for UDP nor for TCP."""
    random = SystemRandom()
    while True:
        port = random.randrange(LOWEST + _MINE, HIGHEST, _PROCESSES)
        if port not in _given and all(_is_free(port, kind) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)):
            _given.add(port)
            return port


def _is_free(port: int, kind: socket.SocketKind) -> bool:
    with closing(socket.socket(socket.AF_INET, kind)) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
    return True
