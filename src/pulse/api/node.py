"""`/api/status`, `/api/id`, `/api/cert`, `/api/ping`, `/api/stop`: this node and what it sees."""

from starlette.requests import Request

from pulse import schemas
from pulse.api.control import Control
from pulse.api.routes import Endpoint


async def status(control: Control, _: Request) -> schemas.Status:
    """The mesh as this node sees it."""
    return await control.status()


async def identity(control: Control, _: Request) -> schemas.NodeIdentity:
    """Who this node is."""
    return await control.identity()


async def certificate(control: Control, _: Request) -> schemas.CertificateInfo:
    """This node's certificate."""
    return await control.certificate()


async def ping(control: Control, _: Request, body: schemas.PingRequest) -> schemas.PingReply:
    """Ask another node over its session and measure."""
    return await control.ping(body)


async def stop(control: Control, _: Request) -> schemas.Stopping:
    """Stop this node."""
    return await control.stop()


ENDPOINTS = (
    Endpoint("GET", "/api/status", status),
    Endpoint("GET", "/api/id", identity),
    Endpoint("GET", "/api/cert", certificate),
    Endpoint("POST", "/api/ping", ping),
    Endpoint("POST", "/api/stop", stop, status=202),
)
