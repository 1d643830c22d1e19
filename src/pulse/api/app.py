"""The control API as a starlette application: endpoints in, problems out.

Invariant: every answer is JSON of `pulse.schemas`, errors included; only this file maps errors to HTTP.
"""

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from pulse import schemas
from pulse.api import acls, bulk, ca, events, names, node, pin, revoke, roles, tokens, trace, why
from pulse.api.control import Control
from pulse.api.openapi import document
from pulse.api.routes import Endpoint
from pulse.errors import PulseError

log = logging.getLogger(__name__)

ENDPOINTS: tuple[Endpoint, ...] = (
    *node.ENDPOINTS,
    *trace.ENDPOINTS,
    *why.ENDPOINTS,
    *pin.ENDPOINTS,
    *tokens.ENDPOINTS,
    *names.ENDPOINTS,
    *acls.ENDPOINTS,
    *bulk.ENDPOINTS,
    *roles.ENDPOINTS,
    *revoke.ENDPOINTS,
    *ca.ENDPOINTS,
    *events.ENDPOINTS,
)

BODY_LIMIT = 64 * 1024
"""Bytes of a request's body."""

_encode = msgspec.json.Encoder().encode

Handler = Callable[[Request], Awaitable[Response]]


def build(control: Control, version: str = "0") -> Starlette:
    """The application that commands `control`."""
    handlers: dict[str, dict[str, Handler]] = {}
    for endpoint in ENDPOINTS:
        handlers.setdefault(endpoint.path, {})[endpoint.method] = _handler(control, endpoint)
    described = _encode(document(ENDPOINTS, version))

    async def describe(_: Request) -> Response:
        return Response(described, media_type="application/json")

    routes = [Route("/openapi.json", describe)]
    routes += [Route(path, _by_method(found), methods=list(found)) for path, found in handlers.items()]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _http_problem})
    app.router.redirect_slashes = False
    return app


def _by_method(handlers: dict[str, Handler]) -> Handler:
    async def endpoint(request: Request) -> Response:
        return await handlers["GET" if request.method == "HEAD" else request.method](request)

    return endpoint


def _handler(control: Control, endpoint: Endpoint) -> Handler:
    hear = _hearing(endpoint)

    async def handle(request: Request) -> Response:
        try:
            said = await endpoint.handler(control, request, *await hear(request))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return problem(HTTPStatus.BAD_REQUEST, f"the request does not fit: {error}", "ConfigError")
        except PulseError as error:
            return problem(HTTPStatus(error.http_status), str(error), type(error).__name__)
        except HTTPException:
            raise
        except Exception as error:
            return _broken(request, error)
        return Response(_encode(said), endpoint.status, media_type="application/json")

    return handle


def _hearing(endpoint: Endpoint) -> Callable[[Request], Awaitable[tuple[msgspec.Struct, ...]]]:
    """Reads what the endpoint's handler wants besides the request: its body, its query, or nothing."""
    body = msgspec.json.Decoder(endpoint.body) if endpoint.body is not None else None
    query = endpoint.query

    async def hear(request: Request) -> tuple[msgspec.Struct, ...]:
        if body is not None:
            return (body.decode(await _body(request)),)
        if query is not None:
            return (msgspec.convert(dict(request.query_params), query, strict=False),)
        return ()

    return hear


async def _body(request: Request) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if kind != "application/json":
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send the body as application/json")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {BODY_LIMIT} bytes")
    return body


async def _http_problem(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    kind = "NotFound" if error.status_code == HTTPStatus.NOT_FOUND else "ConfigError"
    known = error.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)
    detail = f"there is no {request.method} {request.url.path} here; see /openapi.json" if known else error.detail
    response = problem(HTTPStatus(error.status_code), detail, kind)
    response.headers.update(error.headers or {})
    return response


def _broken(request: Request, error: Exception) -> Response:
    if not isinstance(error, ClientDisconnect):
        log.error("control request failed", exc_info=error, extra={"path": request.url.path})
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "pulse failed at this; its log has the details", "PulseError")


def problem(status: HTTPStatus, detail: str, error: str) -> Response:
    """An error as RFC 9457 has it; `error` names a class of `pulse.errors`."""
    said = schemas.Problem(status.phrase, status.value, detail, error)
    return Response(_encode(said), status.value, media_type="application/problem+json")
