"""The mesh for programs without an event loop: `dial` gives a socket, a `Forwarder` a local port that leads to a node.

Invariant: no byte passes through Python: sockets are the node's, or are handed to it.
"""

import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from pulse import tunnels
from pulse.core import addresses
from pulse.core.network.destinations import parse_destination
from pulse.errors import PulseError
from pulse.forwarding import HERE, Forward, Switch, listening


def dial(node: str, port: int, *, host: str = "localhost", data_dir: Path | str | None = None) -> socket.socket:
    """A connected socket to `port` of a node, as `host` there: the node itself, or what it was approved to lead to.

    Raises StreamFailed, NotFound or Conflict for the name, LinkError if no node runs here, Refused if it is not ours.
    """
    return tunnels.reach(node, addresses.join(host, port), _place(data_dir))


class Forwarder:
    """A port of this machine that leads to a node, as long as its block: `with Forwarder("db", 5432) as at:`.

    `at` is the `(host, port)` for programs that connect themselves; any free port if `local` is left out.
    """

    def __init__(
        self,
        node: str,
        port: int,
        *,
        local: int = 0,
        host: str = "localhost",
        failed: Callable[[PulseError], None] = lambda _: None,
        data_dir: Path | str | None = None,
    ) -> None:
        """Lead `local` to `host:port` as the node sees it; `failed` is told why a connection did not get there."""
        self._wanted = Forward(node, parse_destination(addresses.join(host, port)), HERE, local)
        self._data_dir, self._failed = _place(data_dir), failed
        self._held = contextlib.ExitStack()

    def start(self) -> tuple[str, int]:
        """Listen; where. Raises as `dial` does if nothing could ever lead there, Conflict if the port is taken."""
        tunnels.check(self._wanted.node, str(self._wanted.destination), self._data_dir)
        with contextlib.ExitStack() as held:
            listener = held.enter_context(listening(self._wanted))
            stop, stopping = socket.socketpair()
            held.enter_context(stopping)
            switch = Switch(self._data_dir, lambda _, error: self._failed(error), stopping)
            served = [(listener, self._wanted)]
            thread = threading.Thread(target=switch.serve, args=(served,), name="pulse forwarder", daemon=True)
            thread.start()
            held.callback(thread.join)
            held.callback(stop.close)
            self._held = held.pop_all()
        host, port = listener.getsockname()[:2]
        return str(host), int(port)

    def close(self) -> None:
        """Listen no more; connections that lead there end."""
        self._held.close()

    def __enter__(self) -> tuple[str, int]:
        """Where it listens."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()


def _place(data_dir: Path | str | None) -> Path | None:
    return None if data_dir is None else Path(data_dir)
