"""The control API as a starlette application: endpoints in, problems out.

Invariant: every answer but metrics is JSON of `pulse.schemas`, errors included; only this file maps errors to HTTP.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, compile_path

from pulse.api import (
    acls,
    apikeys,
    bulk,
    ca,
    config,
    configfile,
    dns,
    doctor,
    events,
    hits,
    metrics,
    names,
    node,
    pins,
    reload,
    remote,
    resolver,
    revoke,
    roles,
    rotation,
    routes,
    stats,
    templates,
    tokens,
    topology,
    trace,
    whereabouts,
    why,
)
from pulse.api.control import Control
from pulse.api.endpoints import GRANTED, LOCAL, Endpoint, Stamped, Written
from pulse.api.openapi import document
from pulse.core import strictjson
from pulse.core.trust.apikeys import Scope
from pulse.errors import ConfigError, PulseError
from pulse.schemas.structs import Problem

log = logging.getLogger(__name__)

ENDPOINTS: tuple[Endpoint, ...] = (
    *node.ENDPOINTS,
    *topology.ENDPOINTS,
    *trace.ENDPOINTS,
    *why.ENDPOINTS,
    *whereabouts.ENDPOINTS,
    *pins.ENDPOINTS,
    *tokens.ENDPOINTS,
    *templates.ENDPOINTS,
    *config.ENDPOINTS,
    *configfile.ENDPOINTS,
    *names.ENDPOINTS,
    *dns.ENDPOINTS,
    *acls.ENDPOINTS,
    *hits.ENDPOINTS,
    *bulk.ENDPOINTS,
    *roles.ENDPOINTS,
    *revoke.ENDPOINTS,
    *rotation.ENDPOINTS,
    *ca.ENDPOINTS,
    *events.ENDPOINTS,
    *stats.ENDPOINTS,
    *metrics.ENDPOINTS,
    *apikeys.ENDPOINTS,
    *resolver.ENDPOINTS,
    *doctor.ENDPOINTS,
    *reload.ENDPOINTS,
    *remote.ENDPOINTS,
    *routes.ENDPOINTS,
)

BODY_LIMIT: Final = 1024 * 1024
"""Bytes of a request's body: a network config of thousands of nodes fits."""

EVENTS: Final = "/api/events"
STREAM: Final = "text/event-stream"

_KINDS: Final[Mapping[int, str]] = {HTTPStatus.NOT_FOUND: "NotFound", HTTPStatus.PRECONDITION_FAILED: "Conflict"}
"""The errors of `pulse.errors` that go with a status; ConfigError goes with all others."""

_encode = msgspec.json.Encoder().encode

Handler = Callable[[Request], Awaitable[Response]]


def build(
    control: Control,
    version: str = "0",
    *,
    keyed: bool = False,
    stream: Handler | None = None,
    endpoints: Sequence[Endpoint] = ENDPOINTS,
) -> Starlette:
    """The application that commands `control`: all of it, or if `keyed` what keys are good for, and each request's is.

    Of `endpoints` alone, if they are not all there are. `stream` answers who wants to follow events.
    A keyed one must stand behind `pulse.api.keyed`: a request that it did not mark is an error.
    """
    handlers: dict[str, dict[str, Handler]] = {}
    there = served(endpoints, keyed=keyed)
    for endpoint in there:
        handler = _handler(control, endpoint)
        handlers.setdefault(endpoint.path, {})[endpoint.method] = _scoped(endpoint, handler) if keyed else handler
    if stream:
        follow = _scoped(Endpoint("GET", EVENTS, stream, Scope.READ), stream) if keyed else stream
        handlers[EVENTS]["GET"] = _negotiated(follow, handlers[EVENTS]["GET"])
    described = _encode(document(there, version, keyed=keyed))

    async def describe(_: Request) -> Response:
        return Response(described, media_type="application/json")

    served_at = [Route(path, describe) for path in ("/api/openapi.json", "/openapi.json")]
    served_at += [Route(path, _by_method(found), methods=list(found)) for path, found in handlers.items()]
    gone = [each for each in endpoints if each not in there]
    app = Starlette(routes=served_at, exception_handlers={HTTPException: _problems(gone)})
    app.router.redirect_slashes = False
    return app


def served(endpoints: Sequence[Endpoint] = ENDPOINTS, *, keyed: bool) -> Sequence[Endpoint]:
    """Those there are: what no key is good for is not there at all."""
    return [each for each in endpoints if not keyed or each.scope is not LOCAL]


def _scoped(endpoint: Endpoint, handler: Handler) -> Handler:
    """The handler for requests whose key is good for it; the body of others is never read."""

    async def handle(request: Request) -> Response:
        refusal = endpoint.refusal(request.scope[GRANTED])
        return problem(HTTPStatus.FORBIDDEN, refusal, "Refused") if refusal else await handler(request)

    return handle


def _negotiated(stream: Handler, otherwise: Handler) -> Handler:
    """What happens, for who asks for a stream, and for others what has happened."""

    async def handle(request: Request) -> Response:
        if request.method == "GET" and STREAM in request.headers.get("accept", ""):
            return await stream(request)
        return await otherwise(request)

    return handle


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
        return _answer(said, endpoint.status)

    return handle


def _answer(said: Any, status: int) -> Response:
    headers = {}
    if isinstance(said, Written):
        return Response(said.text.encode("utf-8", "replace"), status, media_type=said.kind)
    if isinstance(said, Stamped):
        said, headers = said.said, {"ETag": said.etag}
    return Response(_encode(said), status, headers, media_type="application/json")


def _hearing(endpoint: Endpoint) -> Callable[[Request], Awaitable[tuple[Any, ...]]]:
    """Reads what the endpoint's handler wants besides the request: its body, its query, or nothing."""
    body = msgspec.json.Decoder(endpoint.body) if endpoint.body is not None else None
    query = endpoint.query

    async def hear(request: Request) -> tuple[Any, ...]:
        if query is None and request.query_params:
            raise ConfigError(f"{request.url.path} takes nothing after a question mark")
        if body is not None:
            text = await _body(request)
            said = body.decode(text)
            strictjson.check(text)
            return (said,)
        if query is not None:
            return (msgspec.convert(_once(request), query, strict=False),)
        return ()

    return hear


def _once(request: Request) -> dict[str, str]:
    """The query, in which nothing may be said twice."""
    said = request.query_params
    if len(said.multi_items()) > len(said):
        raise ConfigError(f"{request.url.path} was asked one thing twice. Leave out the one you do not mean")
    return dict(said)


async def _body(request: Request) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if kind != "application/json":
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send the body as application/json")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {BODY_LIMIT} bytes")
    return bytes(body)


def _problems(gone: Sequence[Endpoint]) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Tells what went wrong before an endpoint was asked; `gone` are those that the control socket alone has."""
    local = [(each.method, compile_path(each.path)[0]) for each in gone]

    async def tell(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        kind, detail, path = _KINDS.get(error.status_code, "ConfigError"), error.detail, request.url.path
        if error.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
            detail = f"there is no {request.method} {path} here; see /api/openapi.json"
            if any(method == request.method and form.fullmatch(path) for method, form in local):
                detail = f"this is done on the node's own machine alone: log in there ({detail})"
        response = problem(HTTPStatus(error.status_code), detail, kind)
        response.headers.update(error.headers or {})
        return response

    return tell


def _broken(request: Request, error: Exception) -> Response:
    if not isinstance(error, ClientDisconnect):
        log.error("control request failed", exc_info=error, extra={"path": request.url.path})
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "pulse failed at this; its log has the details", "PulseError")


def problem(status: HTTPStatus, detail: str, error: str) -> Response:
    """An error as RFC 9457 has it; `error` names a class of `pulse.errors`."""
    said = Problem(status.phrase, status.value, detail, error)
    return Response(_encode(said), status.value, media_type="application/problem+json")
