"""The OpenAPI 3.1 document, made from the endpoints and their types."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from pulse.api.endpoints import Endpoint, Written
from pulse.schemas.structs import Problem

TAG: Final = {"type": "string", "pattern": '^"[0-9]{1,16}[.][0-9]{1,16}"$'}
IF_MATCH: Final = {
    "name": "If-Match",
    "in": "header",
    "required": True,
    "description": "the ETag of what was looked at, or * for whatever is there",
    "schema": {"anyOf": [{"const": "*"}, {"type": "string"}]},
}
WRITTEN: Final = {"description": "done", "content": {"text/plain": {"schema": {"type": "string"}}}}
KEY: Final = {"type": "http", "scheme": "bearer", "description": "a key (plk_…) of `pulse api-key create`"}


def document(endpoints: Sequence[Endpoint], version: str, *, keyed: bool = False) -> dict[str, Any]:
    """The whole document; if `keyed`, each operation says that it takes a key, and of which scope."""
    types = [kind for each in endpoints for kind in (each.body, each.answer) if kind not in (None, Written)]
    found, components = msgspec.json.schema_components([*types, Problem], ref_template="#/components/schemas/{name}")
    named = iter(found)
    paths: dict[str, Any] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, named)
        if keyed:
            paths[endpoint.path][endpoint.method.lower()]["security"] = [{"key": [str(endpoint.scope)]}]
    schemes = {"securitySchemes": {"key": KEY}} if keyed else {}
    return {
        "openapi": "3.1.0",
        "info": {"title": "pulse control API", "version": version},
        "paths": paths,
        "components": {"schemas": components, **schemes},
    }


def _operation(endpoint: Endpoint, named: Any) -> dict[str, Any]:
    resource = endpoint.handler.__module__.rpartition(".")[2]
    operation: dict[str, Any] = {"operationId": f"{resource}.{endpoint.handler.__name__}", "summary": endpoint.summary}
    if "{" in endpoint.path:
        name = endpoint.path.partition("{")[2].partition("}")[0]
        operation["parameters"] = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}}]
    if endpoint.query is not None:
        operation["parameters"] = _query(endpoint.query)
    if endpoint.precondition:
        operation["parameters"] = [IF_MATCH]
    if endpoint.body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": next(named)}}}
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    operation["responses"] = {
        str(endpoint.status): WRITTEN if endpoint.is_written else _done(endpoint, next(named)),
        "default": {"description": "a problem", "content": problem},
    }
    return operation


def _done(endpoint: Endpoint, schema: Any) -> dict[str, Any]:
    """The answer if all went well."""
    headers = {"headers": {"ETag": {"required": True, "schema": TAG}}} if endpoint.is_stamped else {}
    return {"description": "done", **headers, "content": {"application/json": {"schema": schema}}}


def _query(kind: type[msgspec.Struct]) -> list[dict[str, Any]]:
    """The fields of a struct as query parameters."""
    _, components = msgspec.json.schema_components([kind])
    described = components[kind.__name__]
    required = described.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": schema}
        for name, schema in described["properties"].items()
    ]
