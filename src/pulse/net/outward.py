"""Connections that this node makes for others: names resolved here, and one address at a time dialled.

Invariant: a connection goes to the address it was asked for and to no other.
"""

import asyncio
import contextlib
import resource
import socket
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Any, Final, Generic, TypeVar
from weakref import WeakValueDictionary

from pulse.core.network.destinations import IPAddress
from pulse.net.policyrules import MARK

Who = TypeVar("Who", bound=Hashable)
Result = TypeVar("Result")

FILES: Final = 65536
"""Descriptors a node wants at most: one a stream, and most systems start with 1,024."""


_resolvers: Final = ThreadPoolExecutor(64, "resolver")
"""Threads that wait for name servers: names of others never keep those of the rest of the node busy."""


class Turns(Generic[Who]):
    """So many of something at once for each who asks.

    Invariant: what was begun keeps its place until it ends, whether or not anybody still waits for it.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._turns: WeakValueDictionary[Who, asyncio.Semaphore] = WeakValueDictionary()
        """Of those who have a place or wait for one."""

    async def had(self, who: Who, begin: Callable[[], Awaitable[Result]]) -> Result:
        """What comes of it, once it was their turn."""
        turn = self._turns.setdefault(who, asyncio.Semaphore(self._places))
        await turn.acquire()
        begun = asyncio.ensure_future(begin())
        begun.add_done_callback(lambda _: turn.release())
        return await asyncio.shield(begun)


async def resolved(host: str) -> list[IPAddress]:
    """All addresses of a name, or the one that is written there, best first. Raises OSError (`socket.gaierror`)."""
    with contextlib.suppress(ValueError):
        # A zone means an interface of this machine, and what has one is link-local: judged by its address alone.
        return [ip_address(host.partition("%")[0])]
    found = await asyncio.get_running_loop().run_in_executor(_resolvers, _look_up, host)
    return list(dict.fromkeys(ip_address(str(address[0]).partition("%")[0]) for *_, address in found))


def _look_up(host: str) -> list[tuple[Any, ...]]:
    return [*socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


async def connected(address: IPAddress, port: int) -> socket.socket:
    """A socket connected there, by the host's own routes though it may use an exit itself. Raises OSError."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        # Who may not mark could not have led packets to an exit either.
        with contextlib.suppress(PermissionError):
            made.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
        await asyncio.get_running_loop().sock_connect(made, (str(address), port))
    except BaseException:
        made.close()
        raise
    return made


def raise_file_limit() -> None:
    """Allow this process as many descriptors as it wants, or as the system lets it have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
