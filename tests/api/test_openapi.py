"""The OpenAPI document agrees with what is served."""

from pathlib import Path

from pulse.api.app import ENDPOINTS
from tests.api.fake_control import FakeControl
from tests.api.http import say


def test_every_endpoint_is_described(place: Path, control: FakeControl) -> None:
    status, _, document = say(place, "GET /openapi.json HTTP/1.1")

    assert status == 200
    assert document["openapi"] == "3.1.0"
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == {(each.method, each.path) for each in ENDPOINTS}


def test_every_reference_leads_somewhere(place: Path, control: FakeControl) -> None:
    _, _, document = say(place, "GET /openapi.json HTTP/1.1")

    for reference in _references(document):
        assert reference.removeprefix("#/components/schemas/") in document["components"]["schemas"]


def test_bodies_and_queries_are_described(place: Path, control: FakeControl) -> None:
    _, _, document = say(place, "GET /openapi.json HTTP/1.1")

    create = document["paths"]["/api/tokens"]["post"]
    assert create["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/TokenTerms"}
    log = document["paths"]["/api/ca/log"]["get"]
    assert {each["name"] for each in log["parameters"]} == {"after", "limit"}


def test_operations_have_names_of_their_own(place: Path, control: FakeControl) -> None:
    _, _, document = say(place, "GET /api/openapi.json HTTP/1.1")

    names = [each["operationId"] for methods in document["paths"].values() for each in methods.values()]
    assert len(set(names)) == len(names)


def _references(node: object) -> list[str]:
    if isinstance(node, list):
        return [found for each in node for found in _references(each)]
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for each in node.values() for found in _references(each)]
    return []
