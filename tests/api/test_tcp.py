"""The API over TCP against those who are slow, many, or speak no HTTP."""

import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import h11
import pytest

from pulse.api import tcp
from pulse.api.app import BODY_LIMIT
from pulse.api.tcp import TcpListener, hosts_of
from pulse.errors import Conflict, SystemRefused
from tests.api.doors import JSON, Doors, doors
from tests.api.http import answer, call

TOKEN = f"POST /api/tokens HTTP/1.1\n{JSON}"


@pytest.fixture
def node(place: Path) -> Iterator[Doors]:
    with doors(place.parent) as found:
        yield found


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines that a test can wait for."""
    monkeypatch.setattr(tcp, "_DEADLINES", {h11.IDLE: 0.3, h11.SEND_BODY: 0.6})


def connected(node: Doors) -> socket.socket:
    return socket.create_connection(node.address, timeout=20)


def said_until_the_end(connection: socket.socket) -> bytes:
    """All that comes until the other side hangs up."""
    data = b""
    try:
        while chunk := connection.recv(65536):
            data += chunk
    except ConnectionResetError:
        pass
    return data


def test_five_seconds_for_a_header() -> None:
    assert tcp._DEADLINES[h11.IDLE] == tcp.HEADER_DEADLINE == 5.0


@pytest.mark.parametrize("begun", [b"", b"GET /api/id HTTP/1.1\r\nHost: local"])
def test_whoever_does_not_finish_a_header_is_hung_up_on(hasty: None, node: Doors, begun: bytes) -> None:
    with connected(node) as connection:
        connection.sendall(begun)
        assert said_until_the_end(connection) == b""


def test_a_header_that_trickles_in_is_no_better(hasty: None, node: Doors) -> None:
    with connected(node) as connection:
        connection.sendall(b"GET /api/id HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        connection.settimeout(0.05)
        for _ in range(400):
            try:
                connection.sendall(b"a")
                if connection.recv(1) == b"":
                    return
            except TimeoutError:
                continue
            except OSError:
                return
    pytest.fail("a byte now and then keeps a connection for ever")


def test_a_body_that_does_not_come_is_not_waited_for(hasty: None, node: Doors) -> None:
    head = f"POST /api/tokens HTTP/1.1\r\nHost: localhost\r\n{JSON}\r\nContent-Length: 10\r\n"
    head += f"Authorization: Bearer {node.keys['write']}\r\n\r\n{{"
    with connected(node) as connection:
        connection.sendall(head.encode())
        assert b" 200 " not in said_until_the_end(connection)
    assert not node.control.asked


def test_a_second_request_has_its_own_deadline(hasty: None, node: Doors) -> None:
    request = f"GET /api/id HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {node.keys['read']}\r\n\r\n".encode()
    with connected(node) as connection:
        connection.sendall(request + request + request[:20])
        said = said_until_the_end(connection)
    assert said.count(b"HTTP/1.1 200 ") == 2


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_too_long_is_refused_however_it_comes(node: Doors, chunked: bool) -> None:
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {BODY_LIMIT + 1}"
    head = f"POST /api/tokens HTTP/1.1\r\nHost: localhost\r\n{JSON}\r\n{length}\r\nConnection: close\r\n"
    head += f"Authorization: Bearer {node.keys['write']}\r\n\r\n"
    body = b" " * (BODY_LIMIT + 1)
    with connected(node) as connection:
        connection.sendall(head.encode() + (b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body))
        assert answer(said_until_the_end(connection))[0] == 413
    assert not node.control.asked


def test_what_is_no_http_gets_a_problem_and_fills_no_log(node: Doors, caplog: pytest.LogCaptureFixture) -> None:
    with connected(node) as connection:
        connection.sendall(b"\x16\x03\x01\r\n\r\n")
        status, headers, said = answer(said_until_the_end(connection))

    assert (status, said["status"], headers["content-type"]) == (400, 400, "application/problem+json")
    assert not caplog.records


def test_a_web_socket_is_not_opened(node: Doors) -> None:
    upgrade = (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {'A' * 22}==",
    )
    lines = ["GET /api/events HTTP/1.1", "Host: localhost", *upgrade, "", ""]
    with connected(node) as connection:
        connection.sendall("\r\n".join(lines).encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")


def asks(connection: socket.socket, key: str = "") -> bytes:
    """One request on a connection that is to go on, and the answer, whole."""
    shown = f"Authorization: Bearer {key}\r\n" if key else ""
    connection.sendall(f"GET /api/id HTTP/1.1\r\nHost: localhost\r\n{shown}\r\n".encode())
    said = b""
    while not said.endswith(b"}"):
        chunk = connection.recv(65536)
        assert chunk, said
        said += chunk
    return said


@pytest.mark.parametrize(("key", "host", "status"), [("nobody", "localhost", 401), ("read", "evil.example", 403)])
def test_whoever_is_not_let_in_does_not_keep_the_connection(node: Doors, key: str, host: str, status: int) -> None:
    lines = ["GET /api/id HTTP/1.1", f"Host: {host}", f"Authorization: Bearer {node.keys[key]}", "", ""]
    with connected(node) as connection:
        connection.sendall("\r\n".join(lines).encode())
        told = answer(said_until_the_end(connection))

    assert (told[0], told[1]["connection"]) == (status, "close")


def test_when_all_places_are_taken_the_oldest_without_a_key_gives_way(
    node: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "CONNECTIONS", 3)
    key = node.keys["read"]
    with connected(node) as known, connected(node) as oldest, connected(node) as other:
        assert asks(known, key).startswith(b"HTTP/1.1 200 ")
        for _ in range(5):
            with connected(node) as newcomer:
                assert asks(newcomer, key).startswith(b"HTTP/1.1 200 ")
        assert said_until_the_end(oldest) == b""
        assert asks(known, key).startswith(b"HTTP/1.1 200 ")
        assert asks(other).startswith(b"HTTP/1.1 401 ")


def test_when_all_have_shown_a_key_who_comes_is_hung_up_on(node: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "CONNECTIONS", 2)
    key = node.keys["read"]
    with connected(node) as one, connected(node) as other:
        assert [asks(each, key)[:13] for each in (one, other)] == [b"HTTP/1.1 200 "] * 2
        with connected(node) as newcomer:
            assert said_until_the_end(newcomer) == b""
        assert [asks(each, key)[:13] for each in (one, other)] == [b"HTTP/1.1 200 "] * 2


def test_one_key_cannot_take_all_places_for_itself(node: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "CONNECTIONS", 3)
    monkeypatch.setattr(tcp, "SHARE", 2)
    reads = node.keys["read"]
    with connected(node) as oldest, connected(node) as one, connected(node) as other:
        assert [asks(each, reads)[:13] for each in (oldest, one, other)] == [b"HTTP/1.1 200 "] * 3
        with connected(node) as newcomer:
            assert asks(newcomer, node.keys["write"]).startswith(b"HTTP/1.1 200 ")
            assert said_until_the_end(oldest) == b""
            assert [asks(each, reads)[:13] for each in (one, other)] == [b"HTTP/1.1 200 "] * 2


def test_a_failure_of_ours_is_logged_and_not_told(node: Doors, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        status, _, said = node.ask("read", "POST /api/ping HTTP/1.1", b'{"node":"bug"}')

    assert status == 500
    assert "a detail" not in str(said)
    assert [record.message for record in caplog.records] == ["control request failed"]


def test_a_port_that_is_taken_is_named_with_what_to_do() -> None:
    with TcpListener("127.0.0.1", 0) as first, pytest.raises(Conflict, match="--scribe-listen"):
        TcpListener(*first.socket.getsockname()[:2])


def test_an_address_that_is_not_ours_is_named() -> None:
    with pytest.raises(SystemRefused, match=r"192\.0\.2\.1:8080"):
        TcpListener("192.0.2.1", 8080)


def test_an_address_that_comes_with_the_mesh_may_be_listened_at_before(place: Path) -> None:
    with TcpListener("10.100.41.7", 0, ahead=True) as listener:
        assert listener.address.startswith("10.100.41.7:")


def test_the_hosts_of_a_node_are_where_it_listens_and_what_it_is_called() -> None:
    found = hosts_of("", ("pulse.example.com",), "10.100.41.7", "fd7a::33", "relay-01", "4be2")

    assert found == {"pulse.example.com", "10.100.41.7", "fd7a::33", "relay-01", "relay-01.pulse", "4be2.pulse"}


def test_the_end_of_the_node_closes_the_port(place: Path) -> None:
    with doors(place.parent) as node:
        assert call(node.address, "GET /api/id HTTP/1.1")[0] == 401

    with pytest.raises(ConnectionRefusedError):
        connected(node)
