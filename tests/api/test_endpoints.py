"""An endpoint's types are those of its handler."""

from starlette.requests import Request

from pulse.api.control import Control
from pulse.api.endpoints import Endpoint
from pulse.schemas.node import PingReply, PingRequest


async def shout(control: Control, _: Request, body: PingRequest) -> PingReply:
    """Ask loudly."""
    return await control.node.ping(body)


def test_types_and_summary_are_read_off_the_handler() -> None:
    endpoint = Endpoint("POST", "/api/shout", shout)

    assert endpoint.body is PingRequest
    assert endpoint.answer is PingReply
    assert endpoint.summary == "Ask loudly."
