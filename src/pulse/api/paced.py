"""Bounds what programs of this machine that show no key may cost the node.

Invariant: however many ask and however often, the rest of the node has its turn.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection

from pulse.api.app import problem
from pulse.core.bucket import Bucket

RATE: Final = 20.0
RATE_MOST: Final = 40.0
"""Requests a second without a key, and at once; who asks more often waits: it is the mesh's own time."""

MOST_WAITING: Final = 60
"""Of them; the rest is told to come again, so that a scrape waits for three seconds at most."""

CROWDED: Final = "metrics are asked for more often than they are told.\nAsk again in some seconds, and more rarely"


class Paced:
    """Hands requests on as often as may be, those of all who ask together."""

    def __init__(self, app: ASGIApp, now: Callable[[], float]) -> None:
        """Guard `app`; `now` is the clock by which it sleeps, too."""
        self._app, self._now = app, now
        self._left = Bucket(RATE, RATE_MOST, now())

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """One request, at its turn."""
        now = self._now()
        if self._left.level(now) < -MOST_WAITING:
            crowded = problem(HTTPStatus.SERVICE_UNAVAILABLE, CROWDED, "LinkError")
            crowded.headers.update({"Connection": "close", "Retry-After": "5"})
            await crowded(scope, receive, send)
            return
        self._left.spend(1, now)
        await asyncio.sleep(self._left.ready_at(0, now) - now)
        await self._app(scope, receive, send)
