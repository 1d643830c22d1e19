"""The OpenAPI 3.1 document, made from the endpoints and their types."""

from collections.abc import Sequence
from typing import Any

import msgspec

from pulse import schemas
from pulse.api.routes import Endpoint


def document(endpoints: Sequence[Endpoint], version: str) -> dict[str, Any]:
    """The whole document."""
    types = [kind for each in endpoints for kind in (each.body, each.answer) if kind is not None]
    found, components = msgspec.json.schema_components(
        [*types, schemas.Problem], ref_template="#/components/schemas/{name}"
    )
    named = iter(found)
    paths: dict[str, Any] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, named)
    return {
        "openapi": "3.1.0",
        "info": {"title": "pulse control API", "version": version},
        "paths": paths,
        "components": {"schemas": components},
    }


def _operation(endpoint: Endpoint, named: Any) -> dict[str, Any]:
    operation: dict[str, Any] = {"operationId": endpoint.handler.__name__, "summary": endpoint.summary}
    if "{" in endpoint.path:
        name = endpoint.path.partition("{")[2].partition("}")[0]
        operation["parameters"] = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}}]
    if endpoint.query is not None:
        operation["parameters"] = _query(endpoint.query)
    if endpoint.body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": next(named)}}}
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    operation["responses"] = {
        str(endpoint.status): {"description": "done", "content": {"application/json": {"schema": next(named)}}},
        "default": {"description": "a problem", "content": problem},
    }
    return operation


def _query(kind: type[msgspec.Struct]) -> list[dict[str, Any]]:
    """The fields of a struct as query parameters."""
    _, components = msgspec.json.schema_components([kind])
    described = components[kind.__name__]
    required = described.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": schema}
        for name, schema in described["properties"].items()
    ]
