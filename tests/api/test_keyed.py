"""Who may do what: every endpoint in every role, and what is said to those without a key."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pulse.api.app import ENDPOINTS
from pulse.api.endpoints import LOCAL, Endpoint
from pulse.core.trust.apikeys import Scope
from tests.api.doors import JSON, Doors, doors
from tests.api.http import call

BODIES = {
    "POST /api/acls": b'{"from":"*","to":"db-server"}',
    "DELETE /api/acls": b'{"id":"r1"}',
    "/api/acls/move": b'{"id":"r1","place":1}',
    "/api/acls/explain": b'{"source":"laptop","destination":"db-server"}',
    "/api/acls/diff": b'{"rules":[]}',
    "POST /api/acls/test": b'{"from":"laptop","to":"db-server"}',
    "DELETE /api/acls/test": b'{"id":"t1"}',
    "PUT /api/groups": b'{"name":"eyes","members":["cam-7"]}',
    "DELETE /api/groups": b'{"name":"eyes"}',
    "DELETE /api/tokens": b'{"id":"abab"}',
    "/api/tokens": b'{"ttl":3600}',
    "/api/config": b'{"names":{},"tags":{}}',
    "/api/config/file": b'{"file":{"settings":{"mesh_cidr":"10.100.0.0/16"}}}',
    "/api/config/plan": b'{"file":{"settings":{"mesh_cidr":"10.100.0.0/16"}}}',
    "PUT /api/templates": b'{"name":"web","tags":["web"]}',
    "DELETE /api/templates": b'{"name":"web"}',
    "POST /api/dns": b'{"name":"db","type":"A","value":"10.9.0.1"}',
    "DELETE /api/dns": b'{"name":"db.pulse","type":"CNAME"}',
    "/api/invite": b'{"ttl":3600}',
    "/api/ping": b'{"node":"db-server"}',
    "/api/trace": b'{"node":"laptop"}',
    "/api/why": b'{"node":"laptop"}',
    "/api/name": b'{"node_id":"4be2","name":"relay-02"}',
    "/api/tags": b'{"node_id":"4be2","tag":"edge"}',
    "/api/pins": b'{"node_id":"db-server"}',
    "/api/roles": b'{"node_id":"db-server","role":"operator"}',
    "/api/revoke": b'{"node_id":"cam-7"}',
    "/api/bulk": b'{"pattern":"*","action":"tag","tag":"edge"}',
    "/api/restart": b'{"node":"laptop"}',
    "/api/settings": b'{"node":"laptop","settings":{"node.log_level":"debug"}}',
    "POST /api/routes": b'{"node_id":"db-server","cidr":"192.168.7.0/24"}',
    "/api/routes/approve": b'{"cidr":"192.168.7.0/24"}',
    "DELETE /api/routes": b'{"cidr":"192.168.7.0/24"}',
    "/api/ca/rotation/without": b'{"nodes":["laptop"]}',
    "/api/keys": b'{"name":"more","scope":"write"}',
}
"""What each endpoint that hears a body is content with."""

QUERIES = {"/api/events/at": "?time=1000", "/api/whereabouts": "?host=relay-01.pulse"}
"""What is asked of those that hear a query and want something in it."""

AT_HOME = {
    ("POST", "/api/stop"),
    ("POST", "/api/reload"),
    ("POST", "/api/restart"),
    ("POST", "/api/settings"),
    ("POST", "/api/ca/rotation"),
    ("POST", "/api/ca/rotation/without"),
    ("GET", "/api/tokens/master"),
    ("POST", "/api/roles"),
    ("DELETE", "/api/roles"),
    ("GET", "/api/keys"),
    ("POST", "/api/keys"),
    ("DELETE", "/api/keys/{key}"),
    ("PUT", "/api/resolver"),
    ("DELETE", "/api/resolver"),
}
"""What no key is good for."""

NOT_HERE = 404
"""Also 405, where another method of the path is there."""

DONE = range(200, 300)


@pytest.fixture(scope="module")
def node() -> Iterator[Doors]:
    with tempfile.TemporaryDirectory(prefix="pulse-", dir="/tmp") as name, doors(Path(name)) as found:
        yield found


def head_of(endpoint: Endpoint) -> str:
    path = endpoint.path.replace("{prefix}", "abab").replace("{key}", "grafana")
    path += QUERIES.get(path, "")
    return f"{endpoint.method} {path} HTTP/1.1\nIf-Match: *"


def body_of(endpoint: Endpoint) -> bytes:
    if not endpoint.body:
        return b""
    return BODIES.get(f"{endpoint.method} {endpoint.path}") or BODIES[endpoint.path]


def wanted(endpoint: Endpoint, role: str) -> int:
    """The status: 0 for done."""
    if role == "local":
        return 0
    if role not in ("read", "write"):
        return 401
    if endpoint.scope is LOCAL:
        return NOT_HERE
    return 0 if Scope(role).covers(endpoint.scope) else 403


@pytest.mark.parametrize("role", ["nobody", "wrong", "revoked", "read", "write", "local"])
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda each: f"{each.method} {each.path}")
def test_an_endpoint_answers_those_it_is_for_and_nobody_else(node: Doors, endpoint: Endpoint, role: str) -> None:
    node.control.asked.clear()
    node.control.node.stopped.clear()

    status, headers, said = node.ask(role, head_of(endpoint), body_of(endpoint))

    if (refused := wanted(endpoint, role)) == 0:
        # Done, or the node itself said no.
        assert status in DONE or node.control.asked, said
        return
    assert status == said["status"]
    assert status == refused or (refused == NOT_HERE and status == 405)
    assert headers["content-type"] == "application/problem+json"
    assert not node.control.asked
    assert not node.control.node.stopped.is_set()


def test_what_no_key_is_good_for_is_known_by_name() -> None:
    assert {(each.method, each.path) for each in ENDPOINTS if each.scope is LOCAL} == AT_HOME


def test_what_changes_something_takes_a_key_that_may_write() -> None:
    reads = {(each.method, each.path) for each in ENDPOINTS if each.scope is Scope.READ}

    assert {path for method, path in reads if method != "GET"} == {
        "/api/ping", "/api/trace", "/api/why", "/api/acls/explain", "/api/acls/diff", "/api/config/plan",
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/api", "/api/nothing", "/openapi.json", "/metrics", "/api/status/"])
def test_without_a_key_every_path_is_the_same(node: Doors, path: str) -> None:
    status, headers, said = node.ask("nobody", f"GET {path} HTTP/1.1")

    assert status == 401
    assert headers["www-authenticate"] == 'Bearer realm="pulse"'
    assert "pulse api-key create" in said["detail"]


@pytest.mark.parametrize(
    "shown",
    ["", "Authorization: {key}", "Authorization: Basic {key}", "Authorization: Bearer", "Authorization: Bearer {key}x",
     "Authorization: Bearer {key}\nAuthorization: Bearer {key}", "Cookie: key={key}", "X-API-Key: {key}"],
)  # fmt: skip
def test_a_key_is_shown_in_one_way_only(node: Doors, shown: str) -> None:
    head = f"GET /api/status?key={node.keys['read']} HTTP/1.1\n{shown.format(key=node.keys['read'])}".strip()

    assert call(node.address, head)[0] == 401


def test_a_key_is_known_whatever_the_case_of_its_scheme(node: Doors) -> None:
    assert call(node.address, f"GET /api/id HTTP/1.1\nAuthorization: bearer {node.keys['read']}")[0] == 200


def test_the_document_over_tcp_tells_what_takes_which_key(node: Doors) -> None:
    _, _, document = node.ask("read", "GET /api/openapi.json HTTP/1.1")

    told = {
        (method.upper(), path): operation["security"]
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert told == {
        (each.method, each.path): [{"key": [each.scope.value]}] for each in ENDPOINTS if each.scope is not LOCAL
    }


def test_whoever_has_no_key_is_answered_before_the_body_came(node: Doors) -> None:
    head = f"POST /api/tokens HTTP/1.1\n{JSON}\nExpect: 100-continue"

    assert call(node.address, head, b"{}")[0] == 401
