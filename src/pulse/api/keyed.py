"""Lets through who shows a key, and says what it is good for. Over TCP nobody is known by the kernel's word.

Invariant: without a key nothing is answered but that one is needed, on loopback too, whatever was asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection

from pulse.api.app import problem
from pulse.api.endpoints import GRANTED
from pulse.core.trust.apikeys import Scope, digest

SHOWN: Final = "pulse.shown"
"""Where in a request's ASGI scope stands what to call with the hash of a key once it showed one."""

HOLDER: Final = "pulse.holder"
"""Where in it the `Holder` stands."""

WANTED: Final = (
    "this API takes a key: send it as Authorization: Bearer plk_…\n"
    "Make one on the node: pulse api-key create <name> --scope read|write"
)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who showed a key that was good."""

    key: bytes
    """Hash of the key."""
    is_good: Callable[[], bool]
    """False once the key was revoked."""


class Keyed:
    """Passes on requests with a key, marked with its scope."""

    def __init__(self, app: ASGIApp, judge: Callable[[str], Scope | None]) -> None:
        """Guard `app`; `judge` says what a key is good for, None for what is no key."""
        self._app, self._judge = app, judge

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """One request."""
        key = _shown(Headers(scope=scope).getlist("authorization"))
        granted = self._judge(key)
        if granted is None:
            answer = problem(HTTPStatus.UNAUTHORIZED, WANTED, "Refused")
            answer.headers["WWW-Authenticate"] = 'Bearer realm="pulse"'
            # Whoever has no key does not keep the connection either.
            answer.headers["Connection"] = "close"
            await answer(scope, receive, send)
            return
        holder = Holder(digest(key), lambda: self._judge(key) is not None)
        if shown := scope.get(SHOWN):
            shown(holder.key)
        await self._app({**scope, GRANTED: granted, HOLDER: holder}, receive, send)


def _shown(headers: list[str]) -> str:
    """The key in the one header there may be; nothing if there is none."""
    if len(headers) != 1:
        return ""
    scheme, _, key = headers[0].partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""
