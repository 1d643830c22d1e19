"""Runs the services of a node, and one that fails anew: what another machine wrote is not to end a node.

Invariant: a failure is told, and ends the node only where the service could not run at all.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol

from pulse.errors import PulseError

log = logging.getLogger(__name__)

LIVED: Final = 1.0
"""Seconds for which a service must have run to have run at all."""

PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds until it is run anew, doubling while it does not live: what made it fail may come again at once."""

MOST: Final = 8
"""Failures in a row without having run at all: then the node ends, and begins anew if its manager wants that."""


class Service(Protocol):
    """One running thing."""

    async def run(self) -> None:
        """Serve, until cancelled."""
        ...


async def kept(service: Service, resumed: Callable[[], None], pause: float = PAUSE, lived: float = LIVED) -> None:
    """Run a service until it is cancelled, anew after each failure; `resumed` is told before.

    Raises what it raises the `MOST`th time in a row that it did not run at all; a PulseError, which says what is wrong
    here, if it never did.
    """
    loop = asyncio.get_running_loop()
    failures, ran = 0, False
    while True:
        began = loop.time()
        try:
            await service.run()
        except Exception as error:
            ran = ran or loop.time() - began >= lived
            failures = 1 if loop.time() - began >= lived else failures + 1
            if failures >= MOST or (isinstance(error, PulseError) and not ran):
                raise
            log.exception("service failed", extra={"service": type(service).__name__})
        else:
            return
        await asyncio.sleep(min(pause * 2 ** (failures - 1), LONGEST_PAUSE))
        resumed()
