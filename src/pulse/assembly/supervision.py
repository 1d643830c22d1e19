"""Runs the services of a node, and one that fails anew: what another machine wrote is not to end a node.

Invariant: a failure is told, and ends the node only where the service could not run at all.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol

log = logging.getLogger(__name__)

LIVED: Final = 1.0
"""Seconds for which a service must have run to be run anew: what fails sooner would only fail again."""

PAUSE: Final = 1.0
"""Seconds until it is: what made it fail may come again at once, and others are to have their turn."""


class Service(Protocol):
    """One running thing."""

    async def run(self) -> None:
        """Serve, until cancelled."""
        ...


async def kept(service: Service, resumed: Callable[[], None], lived: float = LIVED, pause: float = PAUSE) -> None:
    """Run a service until it is cancelled, anew after each failure; `resumed` is told before.

    Raises what one raises that ran for less than `lived` seconds.
    """
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        try:
            await service.run()
        except Exception:
            if loop.time() - began < lived:
                raise
            log.exception("service failed", extra={"service": type(service).__name__})
        else:
            return
        await asyncio.sleep(pause)
        resumed()
