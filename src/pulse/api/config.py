"""`/api/config`: the network config as a whole, with a tag, so that two who edit at once do not undo each other.

RFC 9110: whoever puts one says by If-Match which one they looked at.
"""

import re
from http import HTTPStatus
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request

from pulse.api.control import Control
from pulse.api.endpoints import Endpoint, Stamped
from pulse.core.trust.apikeys import Scope

ANY: Final = "*"
_ETAG: Final = re.compile(r'"(\d{1,16})\.(\d{1,16})"')

Number = tuple[int, int]


async def get_config(control: Control, _: Request) -> Stamped[dict[str, Any]]:
    """The network config in force, as it is, all of it."""
    number, told = await control.config.get()
    return Stamped(told, etag(number))


async def put_config(control: Control, request: Request, body: dict[str, Any]) -> Stamped[dict[str, Any]]:
    """Put names and tags in place of those in force; what is left out stays, and all else must be as it is."""
    number, told = await control.config.put(body, await seen(control, request))
    return Stamped(told, etag(number))


def etag(number: Number) -> str:
    """The entity tag of a config: its number."""
    return f'"{number[0]}.{number[1]}"'


async def seen(control: Control, request: Request) -> Number | None:
    """The config that was looked at; None for whichever is in force. Raises HTTPException."""
    told = [each.strip() for line in request.headers.getlist("if-match") for each in line.split(",")]
    if not told:
        raise HTTPException(
            HTTPStatus.PRECONDITION_REQUIRED, "say which config you edited: If-Match with the ETag of GET /api/config"
        )
    if ANY in told:
        return None
    number, _ = await control.config.get()
    matched = [match for each in told if (match := _ETAG.fullmatch(each))]
    if number not in [(int(match[1]), int(match[2])) for match in matched]:
        raise HTTPException(
            HTTPStatus.PRECONDITION_FAILED,
            f"the network config is {etag(number)} by now: nothing is changed. Get it, and edit that one",
        )
    return number


ENDPOINTS = (
    Endpoint("GET", "/api/config", get_config, Scope.READ),
    Endpoint("PUT", "/api/config", put_config, Scope.WRITE, precondition=True),
)
