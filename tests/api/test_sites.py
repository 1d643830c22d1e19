"""Web pages are kept out, by what a browser says of them that they cannot forge."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pulse.api.sites import canonical, host_of
from tests.api.doors import Doors, doors
from tests.api.http import call

NAME = "PUT /api/name HTTP/1.1\nContent-Type: application/json"
BODY = b'{"node_id":"4be2","name":"relay-02"}'


@pytest.fixture(scope="module")
def node() -> Iterator[Doors]:
    with tempfile.TemporaryDirectory(prefix="pulse-", dir="/tmp") as name, doors(Path(name)) as found:
        yield found


def asked_by(node: Doors, *headers: str, host: str = "localhost:8080") -> int:
    """The status of a change with a good key and these headers; nothing may have happened if it is refused."""
    node.control.asked.clear()
    status, answered, _ = call(node.address, "\n".join((NAME, *headers)), BODY, node.keys["write"], host)
    assert bool(node.control.asked) is (status == 200)
    assert not any(name.startswith("access-control-") for name in answered)
    assert "set-cookie" not in answered
    assert answered["cross-origin-resource-policy"] == "same-origin"
    return status


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:1", "localhost.", "127.0.0.1:8080", "[::1]:8080", "[0:0::1]", "10.100.41.7",
     "pulse.example.com", "Pulse.Example.Com:443"],
)  # fmt: skip
def test_our_own_hosts_are_answered(node: Doors, host: str) -> None:
    assert asked_by(node, host=host) == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.2", "10.100.41.8", "[::2]", "",
     "localhost:x", "localhost@evil.example", "evil.example#localhost", "[::1", "2130706433"],
)  # fmt: skip
def test_a_name_that_was_pointed_here_is_none_of_ours(node: Doors, host: str) -> None:
    assert asked_by(node, host=host) == 403


@pytest.mark.parametrize(
    "header",
    ["Origin: http://evil.example", "Origin: null", "Origin: http://localhost:3000", "Origin: http://localhost",
     "Origin: file://", "Origin: http://localhost:8080@evil.example", "Origin: http://[", "Origin:",
     "Origin: http://localhost:8080\nOrigin: http://evil.example", "Referer: http://evil.example/page",
     "Referer: http://localhost:3000/", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site",
     "Sec-Fetch-Site: else", "Origin: http://localhost:8080\nSec-Fetch-Site: cross-site"],
)  # fmt: skip
def test_what_another_site_asks_is_refused_whatever_its_key(node: Doors, header: str) -> None:
    assert asked_by(node, *header.splitlines()) == 403


@pytest.mark.parametrize(
    "header",
    ["Origin: http://localhost:8080", "Origin: https://localhost:8080", "Referer: http://localhost:8080/a?b",
     "Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: none"],
)  # fmt: skip
def test_what_our_own_page_asks_is_answered(node: Doors, header: str) -> None:
    assert asked_by(node, header) == 200


def test_another_site_is_refused_before_its_key_is_looked_at(node: Doors) -> None:
    status, headers, said = call(node.address, "OPTIONS /api/name HTTP/1.1\nOrigin: http://evil.example")

    assert status == 403
    assert said["detail"] == "a page of another site made this request"
    assert "www-authenticate" not in headers


def test_the_address_a_connection_came_to_is_ours(node: Doors) -> None:
    assert call(node.address, "GET /api/id HTTP/1.1", b"", node.keys["read"], "127.0.0.1")[0] == 200


@pytest.mark.parametrize(
    ("text", "host"),
    [("a:80", "a"), ("[::ffff:127.0.0.1]:80", "127.0.0.1"), ("A.", "a"), ("a:b", ""), ("a b", ""), ("::1", "")],
)
def test_a_host_has_one_spelling(text: str, host: str) -> None:
    assert host_of(text) == host


def test_a_name_is_no_address() -> None:
    assert canonical("Relay-01.") == "relay-01"
    assert canonical("FD7A::0033") == "fd7a::33"
