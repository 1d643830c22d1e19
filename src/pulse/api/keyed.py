"""Lets through who shows a key, and says what it is good for. Over TCP nobody is known by the kernel's word.

Invariant: without a key nothing is answered but that one is needed, on loopback too, whatever was asked for.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection

from pulse.api.app import GRANTED, problem
from pulse.core.trust.apikeys import Scope

SHOWN: Final = "pulse.shown"
"""Where in a request's ASGI scope stands what to call once it showed a key."""

WANTED: Final = (
    "this API takes a key: send it as Authorization: Bearer plk_…\n"
    "Make one on the node: pulse api-key create <name> --scope read|write"
)


class Keyed:
    """Passes on requests with a key, marked with its scope."""

    def __init__(self, app: ASGIApp, judge: Callable[[str], Scope | None]) -> None:
        """Guard `app`; `judge` says what a key is good for, None for what is no key."""
        self._app, self._judge = app, judge

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """One request."""
        granted = self._granted(Headers(scope=scope).getlist("authorization"))
        if granted is None:
            answer = problem(HTTPStatus.UNAUTHORIZED, WANTED, "Refused")
            answer.headers["WWW-Authenticate"] = 'Bearer realm="pulse"'
            # Whoever has no key does not keep the connection either.
            answer.headers["Connection"] = "close"
            await answer(scope, receive, send)
            return
        if shown := scope.get(SHOWN):
            shown()
        await self._app({**scope, GRANTED: granted}, receive, send)

    def _granted(self, shown: list[str]) -> Scope | None:
        if len(shown) != 1:
            return None
        scheme, _, key = shown[0].partition(" ")
        return self._judge(key.strip()) if scheme.lower() == "bearer" else None
