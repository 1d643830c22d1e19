"""Listens for the programs and people whom a node serves, takes them in, and says in one way why either failed."""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from pulse.core import addresses
from pulse.errors import Conflict, PulseError, SystemRefused
from pulse.net.sockets import PRIVILEGED, bind_both, bind_tcp

log = logging.getLogger(__name__)

PAUSE: Final = 0.1
"""Seconds until the next try to take somebody in where that failed."""

STORY: Final = 60.0
"""Seconds without such a failure after which the next one is told again."""

_NEXT_STEPS: Final = {
    errno.EMFILE: "Allow the node more (LimitNOFILE= in its unit, or ulimit -n before it starts), or close connections",
    errno.ENFILE: "All programs of this machine have too many. See: sysctl fs.file-nr fs.file-max",
}

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Place:
    """Where something listens: on every address if `host` is empty."""

    called: str
    """What listens there, for people: the DNS server."""
    flag: str
    """By what they choose the place: --dns-listen."""
    host: str
    port: int
    ahead: bool = False
    """An address will do that this machine will only have once the mesh is up."""
    sheddable: bool = False
    """The flag also takes `off`."""


def listen_tcp(place: Place, backlog: int) -> socket.socket:
    """A TCP socket that listens there, and never blocks. Raises Conflict if the port is taken, or SystemRefused."""

    def listening() -> socket.socket:
        made = bind_tcp(place.host, place.port, ahead=place.ahead)
        made.listen(backlog)
        made.setblocking(False)
        return made

    return _told(place, listening)


def listen_both(place: Place) -> tuple[socket.socket, socket.socket]:
    """A UDP socket and a TCP one that listen there, and never block. Raises the same."""

    def listening() -> tuple[socket.socket, socket.socket]:
        both = bind_both(place.host, place.port, ahead=place.ahead)
        for each in both:
            each.setblocking(False)
        return both

    return _told(place, listening)


def refusal(place: Place, error: OSError) -> PulseError:
    """Why nothing listens there, with the next step."""
    where = f"{place.called} cannot listen on {addresses.join(place.host or '*', place.port)}"
    choose = f"choose another: {place.flag} 127.0.0.1:<port>"
    if place.sheddable:
        choose += f", or none: {place.flag} off"
    match error.errno:
        case errno.EADDRINUSE:
            return Conflict(
                f"{where}: another program has that port.\n"
                f"See which: ss -tulpn 'sport = :{place.port}'. Or {choose}"
            )  # fmt: skip
        case errno.EADDRNOTAVAIL:
            return SystemRefused(
                f"{where}: this machine does not have that address.\nSee its addresses: ip addr. Or {choose}"
            )
        case errno.EACCES | errno.EPERM if place.port < PRIVILEGED:
            return SystemRefused(
                f"{where}: ports below {PRIVILEGED} need root or CAP_NET_BIND_SERVICE.\nRun it with sudo. Or {choose}"
            )
    return SystemRefused(f"{where}: {error.strerror or error}.\nC{choose[1:]}")


def _told(place: Place, listening: Callable[[], _T]) -> _T:
    try:
        return listening()
    except OSError as error:
        raise refusal(place, error) from error


@dataclass(slots=True)
class Arrivals:
    """Those who connect to a socket that listens, and never blocks; they wait there while none can be taken in."""

    listener: socket.socket
    _where: str = field(init=False)
    _told_until: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._where = _place_of(self.listener)

    async def next(self) -> socket.socket:
        """The next one, taken in as soon as there is a descriptor for it."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                caller, _ = await loop.sock_accept(self.listener)
            except ConnectionError:
                # It left before it was taken in.
                continue
            except OSError as error:
                self._failed(error, loop.time())
                await asyncio.sleep(PAUSE)
            else:
                return caller

    def _failed(self, error: OSError, now: float) -> None:
        if now >= self._told_until:
            why = f"{error.strerror or error}.\n{_NEXT_STEPS.get(error.errno or 0, 'See: pulse doctor')}"
            log.warning("connections not taken in", extra={"listen": self._where, "error": why})
        self._told_until = now + STORY


def _place_of(listener: socket.socket) -> str:
    """Where it listens: a path, or an address with its port."""
    name = listener.getsockname()
    return name if isinstance(name, str) else addresses.join(*name[:2])
