"""An endpoint's types are those of its handler."""

from starlette.requests import Request

from pulse import schemas
from pulse.api.control import Control
from pulse.api.endpoints import Endpoint


async def shout(control: Control, _: Request, body: schemas.PingRequest) -> schemas.PingReply:
    """Ask loudly."""
    return await control.node.ping(body)


def test_types_and_summary_are_read_off_the_handler() -> None:
    endpoint = Endpoint("POST", "/api/shout", shout)

    assert endpoint.body is schemas.PingRequest
    assert endpoint.answer is schemas.PingReply
    assert endpoint.summary == "Ask loudly."
