"""Ports of this machine that lead to what is behind other nodes: for `pulse forward` and for programs.

Invariant: no byte of a connection passes through here: the node of this machine is handed its socket.
"""

import contextlib
import errno
import selectors
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from pulse import tunnels
from pulse.core import addresses
from pulse.core.network.destinations import Destination
from pulse.core.network.streamcodes import StreamCode
from pulse.errors import Conflict, PulseError, StreamFailed, SystemRefused

HERE: Final = "127.0.0.1"

MOST: Final = 512
"""Connections at once; who comes then is turned away."""


@dataclass(frozen=True, slots=True)
class Forward:
    """One port here, and where it leads."""

    node: str
    destination: Destination
    host: str
    port: int

    @property
    def where(self) -> str:
        """`host:port` here."""
        return addresses.join(self.host, self.port)


def listening(wanted: Forward) -> socket.socket:
    """A socket that listens there. Raises Conflict or SystemRefused."""
    where = wanted.where
    family = socket.AF_INET6 if ":" in wanted.host else socket.AF_INET
    try:
        made = socket.create_server((wanted.host, wanted.port), family=family, backlog=128)
    except OSError as error:
        raise _refusal(where, error) from error
    made.setblocking(False)
    return made


def _refusal(where: str, error: OSError) -> PulseError:
    """Why nothing listens there, with the next step."""
    choose = f"Choose another port: --local {HERE}:<port>"
    match error.errno:
        case errno.EADDRINUSE:
            return Conflict(f"another program listens on {where} already. {choose}")
        case errno.EADDRNOTAVAIL:
            return SystemRefused(f"this machine has no such address: {where}. See its addresses: ip addr. {choose}")
        case errno.EACCES | errno.EPERM:
            return SystemRefused(f"cannot listen on {where}: ports that low need root. Use sudo. {choose}")
    return SystemRefused(f"cannot listen on {where}: {error.strerror or error}. {choose}")


@dataclass(slots=True)
class Switch:
    """Hands every connection to the node here, and hears what becomes of it."""

    data_dir: Path | None
    failed: Callable[[Forward, PulseError], None]
    """Is told why a connection did not get where it leads, or was cut; whoever made it sees a reset."""
    stopping: socket.socket | None = None
    """Serving ends once there is something to read here."""
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _under_way: dict[socket.socket, socket.socket] = field(default_factory=dict)
    """By the connection to the node that stands for it, each that somebody made."""

    def serve(self, listeners: list[tuple[socket.socket, Forward]]) -> None:
        """Until somebody ends it."""
        for listener, wanted in listeners:
            self._selector.register(listener, selectors.EVENT_READ, partial(self._take_in, listener, wanted))
        if self.stopping:
            self._selector.register(self.stopping, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    self._close()
                    return
                key.data()

    def _close(self) -> None:
        """Connections under way end with what stands for them."""
        for ends in self._under_way.items():
            for each in ends:
                each.close()
        self._selector.close()

    def _take_in(self, listener: socket.socket, wanted: Forward) -> None:
        try:
            caller, _ = listener.accept()
        except OSError:
            return
        try:
            if len(self._under_way) >= MOST:
                raise Conflict(f"{MOST} connections are open already, and that is all there may be")
            asking = tunnels.hand_over(wanted.node, str(wanted.destination), caller, self.data_dir)
        except PulseError as error:
            self._fail(caller, wanted, error)
            return
        self._under_way[asking] = caller
        self._selector.register(asking, selectors.EVENT_READ, partial(self._hear, asking, wanted))

    def _hear(self, asking: socket.socket, wanted: Forward) -> None:
        """The first answer says that the connection leads there, or why it does not; the second that it is over."""
        caller = self._under_way[asking]
        try:
            answer = tunnels.read_answer(asking)
        except PulseError as error:
            if caller.fileno() >= 0:
                self._fail(caller, wanted, error)
            elif not _is_reset(error):
                self.failed(wanted, error)
        else:
            # The node has it: with ours open, too, its end would not be seen.
            caller.close()
            if answer.ok:
                return
        self._selector.unregister(asking)
        del self._under_way[asking]
        asking.close()

    def _fail(self, caller: socket.socket, wanted: Forward, error: PulseError) -> None:
        with contextlib.suppress(OSError):
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        caller.close()
        self.failed(wanted, error)


def _is_reset(error: PulseError) -> bool:
    """A program at either end broke it off, as programs do."""
    return isinstance(error, StreamFailed) and error.word == StreamCode.RESET.word
