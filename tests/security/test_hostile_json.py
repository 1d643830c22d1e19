"""JSON that is none, or means two things, or is made to hurt: at every endpoint of a CA, on its socket and over TCP."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import pytest

from pulse.api.app import served
from pulse.calls.apikeys import ApiKeyCalls
from pulse.client import connect
from pulse.lab.lab import Lab
from pulse.lab.plan import HostPlan, Plan
from pulse.schemas.apikeys import ApiKeyRequest
from tests.api.http import Answer, call, say
from tests.e2e.mesh import Node
from tests.namespace import inside, require_root
from tests.security.scene import memory, state

ALONE = Plan(hosts={"a": HostPlan()})
PORT = 8080
DEEP = 100_000

HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "half of it": b'{"name": "a',
    "more behind it": b"{} {}",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "no UTF-8": b'{"name": "\xff"}',
    "half a surrogate": b'{"name": "\\ud800"}',
    "a number that is none": b'{"max_uses": NaN}',
    "a number without end": b'{"max_uses": ' + b"9" * 100_000 + b"}",
    "an exponent without end": b'{"ttl": 1e' + b"9" * 10_000 + b"}",
    "arrays in arrays": b"[" * DEEP,
    "arrays in arrays that end": b"[" * DEEP + b"]" * DEEP,
    "objects in objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "an array for an object": b"[]",
    "a field nobody knows": b'{"__proto__": {"scope": "write"}}',
    "a name twice": b'{"node_id": "a", "node_id": "b"}',
    "many names": json.dumps({f"n{number}": 1 for number in range(20_000)}).encode(),
}

TWICE: dict[str, tuple[str, bytes]] = {
    "uses of a token": ("POST /api/tokens", b'{"max_uses": 1, "max_uses": 0}'),
    "who is revoked": ("POST /api/revoke", b'{"node_id": "aaaa", "node_id": "bbbb"}'),
    "whom a rule is about": ("POST /api/acls", b'{"from": "web", "from": "*", "to": "*"}'),
}
"""Each is good but for the one name."""

Asks = Callable[[str, bytes], Answer]


@dataclass(frozen=True)
class Doors:
    """A CA and its two APIs."""

    node: Node
    asks: dict[str, Asks]


@pytest.fixture(scope="module")
def doors() -> Iterator[Doors]:
    require_root()
    with Lab(ALONE) as lab:
        node = Node(lab["a"])
        node.start("--ca", "--scribe", "--network", "test", "--scribe-listen", f"127.0.0.1:{PORT}")
        with connect(node.host.data) as client:
            key = ApiKeyCalls(client).create_api_key(ApiKeyRequest("test", "write")).key

        def over_tcp(head: str, body: bytes) -> Answer:
            with inside(lab["a"].namespace):
                return call(("127.0.0.1", PORT), head, body, key)

        yield Doors(node, {"socket": partial(say, node.host.data / "pulse.sock"), "tcp": over_tcp})
        assert " ERROR " not in node.log


@pytest.fixture(params=["socket", "tcp"])
def door(request: pytest.FixtureRequest, doors: Doors) -> Iterator[tuple[bool, Asks]]:
    """One of them, and whether it is the one for keys; whatever is said there changes nothing."""
    before, held = state(doors.node), memory(doors.node)
    yield request.param == "tcp", doors.asks[request.param]
    assert state(doors.node) == before
    assert memory(doors.node) - held < 32 << 20


def asked(asks: Asks, request: str, body: bytes) -> Answer:
    return asks(f"{request} HTTP/1.1\nContent-Type: application/json\nIf-Match: *", body)


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_no_endpoint_takes_what_is_no_plain_json(door: tuple[bool, Asks], body: bytes) -> None:
    keyed, asks = door
    hearing = [each for each in served(keyed=keyed) if each.body is not None]
    assert len(hearing) > 10

    for endpoint in hearing:
        status, headers, problem = asked(
            asks, f"{endpoint.method} {endpoint.path.replace('{', '').replace('}', '')}", body
        )
        assert (status, headers["content-type"]) == (400, "application/problem+json"), (endpoint.path, problem)
        assert problem["detail"].isprintable()


@pytest.mark.parametrize(("request_line", "body"), TWICE.values(), ids=TWICE)
def test_a_name_that_is_there_twice_is_refused_by_name(door: tuple[bool, Asks], request_line: str, body: bytes) -> None:
    status, _, problem = asked(door[1], request_line, body)

    assert (status, "is there twice in one object" in problem["detail"]) == (400, True), problem


def test_a_body_over_a_mebibyte_is_refused(door: tuple[bool, Asks]) -> None:
    assert asked(door[1], "POST /api/tokens", b" " * (1024 * 1024 + 1))[0] == 413
