"""How a node's join lane is reached, by whatever of its addresses answers first in their order.

Invariant: nothing is sent on the lane; whether the node behind it is to be trusted is for the caller to judge.
"""

import asyncio

from pulse.errors import LinkError, ProtocolError
from pulse.net.addresses import resolve
from pulse.net.links import JoinLane, Links

ADDRESS_PATIENCE = 5.0
"""Seconds for one of the addresses a name has, so that a dead IPv6 does not eat the time of a living IPv4."""


async def open_lane(links: Links, address: str, *, pinned: bool) -> tuple[JoinLane, float]:
    """The join lane at `address` (`host:port`), and the seconds it took to open. Raises LinkError or OSError."""
    error = LinkError(f"{address} has no address")
    for resolved in await resolve(address):
        started = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(ADDRESS_PATIENCE):
                lane = await links.join(resolved, pinned=pinned)
        except TimeoutError:
            error = LinkError("no answer")
            continue
        except (LinkError, ProtocolError) as failed:
            error = LinkError(str(failed))
            continue
        return lane, asyncio.get_running_loop().time() - started
    raise error
