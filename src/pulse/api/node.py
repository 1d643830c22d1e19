"""`/api/status`, `/api/nodes`, `/api/id`, `/api/cert(s)`, `/api/ping`, `/api/stop`: this node and what it sees."""

from starlette.requests import Request

from pulse.api.control import Control
from pulse.api.endpoints import LOCAL, Endpoint
from pulse.core.trust.apikeys import Scope
from pulse.schemas.cert import FleetCertificate
from pulse.schemas.node import CertificateInfo, NodeIdentity, PeerRow, PingReply, PingRequest, Stopping
from pulse.schemas.scribe import MeshState


async def status(control: Control, _: Request) -> MeshState:
    """The mesh as this node sees it."""
    return await control.node.status()


async def nodes(control: Control, _: Request) -> list[PeerRow]:
    """The other nodes of the mesh, as this node sees them."""
    return (await control.node.status()).peers


async def identity(control: Control, _: Request) -> NodeIdentity:
    """Who this node is."""
    return await control.node.identity()


async def certificate(control: Control, _: Request) -> CertificateInfo:
    """This node's certificate."""
    return await control.node.certificate()


async def certificates(control: Control, _: Request) -> list[FleetCertificate]:
    """The certificates of all nodes known here, the one that ends first first."""
    return await control.node.certificates()


async def ping(control: Control, _: Request, body: PingRequest) -> PingReply:
    """Ask another node over its session and measure."""
    return await control.node.ping(body)


async def stop(control: Control, _: Request) -> Stopping:
    """Stop this node."""
    return await control.node.stop()


ENDPOINTS = (
    Endpoint("GET", "/api/status", status, Scope.READ),
    Endpoint("GET", "/api/nodes", nodes, Scope.READ),
    Endpoint("GET", "/api/id", identity, Scope.READ),
    Endpoint("GET", "/api/cert", certificate, Scope.READ),
    Endpoint("GET", "/api/certs", certificates, Scope.READ),
    Endpoint("POST", "/api/ping", ping, Scope.READ),
    Endpoint("POST", "/api/stop", stop, LOCAL, status=202),
)
