"""schemathesis asks every endpoint over TCP what its document says can be asked, and much that cannot."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from pulse.api.app import served
from pulse.api.openapi import document
from tests.api.doors import Doors, doors

EXAMPLES = 15
"""Of each endpoint, good and bad ones."""

SCHEMA = schemathesis.openapi.from_dict(
    msgspec.json.decode(msgspec.json.encode(document(served(keyed=True), "0", keyed=True))),
    config=schemathesis.Config.from_dict(
        {
            "generation": {"mode": "all", "database": "none", "with-security-parameters": False},
            # RFC 9110 and 6585: any tag may be sent, only that of what is in force is good, and one has to be.
            "checks": {
                "positive_data_acceptance": {"expected-statuses": ["2xx", 403, 404, 409, 412, 503]},
                "missing_required_header": {"expected-statuses": [428]},
            },
        }
    ),
)


@SCHEMA.hook
def map_body(_: Any, body: Any) -> Any:
    """A number with a fraction of nothing is an integer to JSON Schema, and to us it is none."""
    return _whole(body)


def _whole(value: Any) -> Any:
    match value:
        case dict():
            return {name: _whole(each) for name, each in value.items()}
        case list():
            return [_whole(each) for each in value]
        case float():
            return int(value) if value.is_integer() else value
    return value


@pytest.fixture(scope="module")
def node() -> Iterator[Doors]:
    with tempfile.TemporaryDirectory(prefix="pulse-", dir="/tmp") as name, doors(Path(name)) as found:
        yield found


@SCHEMA.parametrize()
@settings(max_examples=EXAMPLES, derandomize=True, suppress_health_check=list(HealthCheck))
def test_an_endpoint_keeps_to_its_document(case: Any, node: Doors) -> None:
    host, port = node.address
    case.call_and_validate(base_url=f"http://{host}:{port}", headers={"Authorization": f"Bearer {node.keys['write']}"})
