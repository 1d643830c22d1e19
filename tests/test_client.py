"""Finding the node that runs here, and saying so when there is none."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pulse.client import Client, candidates, connect
from pulse.config import SERVICE_DATA_DIR, SERVICE_SOCKET
from pulse.errors import ConfigError, LinkError, PulseError
from tests.api.conftest import place
from tests.api.fake_control import FakeControl, serving

__all__ = ["place"]


@contextmanager
def answering(path: Path, answer: bytes) -> Iterator[None]:
    """A server that says `answer` once, whatever it is asked, and hangs up."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


def test_without_a_hint_ones_own_node_is_asked_then_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")

    assert candidates(None, {}) == [Path("/home/ada/.pulse/pulse.sock"), SERVICE_SOCKET]


def test_a_named_data_directory_is_the_only_one_meant() -> None:
    assert candidates(Path("/srv/a"), {"PULSE_DATA_DIR": "/srv/b"}) == [Path("/srv/a/pulse.sock")]
    assert candidates(None, {"PULSE_DATA_DIR": "/srv/b"}) == [Path("/srv/b/pulse.sock")]
    assert candidates(SERVICE_DATA_DIR, {}) == [SERVICE_SOCKET]


def test_a_named_socket_is_the_only_one_meant() -> None:
    assert candidates(None, {"PULSE_CONTROL_SOCKET": "/srv/c.sock", "PULSE_DATA_DIR": "/b"}) == [Path("/srv/c.sock")]


def test_no_node_is_told_with_the_places_that_were_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("pulse.client.SERVICE_SOCKET", tmp_path / "service.sock")

    with pytest.raises(LinkError) as refused:
        connect(None, {})

    assert str(refused.value) == (
        f"no pulse node is running here (asked {tmp_path}/.pulse/pulse.sock, {tmp_path}/service.sock).\n"
        "Start one: pulse start"
    )


def test_the_node_of_a_data_directory_is_found(place: Path) -> None:
    with serving(place, FakeControl()), connect(place.parent, {}) as client:
        assert client.path == place
        assert client.status().well


def test_the_socket_of_a_dead_node_is_no_node(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(place))

    with pytest.raises(LinkError, match="no pulse node is running here"):
        connect(place.parent, {})


def test_a_path_too_long_for_a_socket_is_named() -> None:
    with pytest.raises(ConfigError, match="too long"):
        connect(Path("/" + "x" * 120), {})


def test_a_node_that_hangs_up_is_told(place: Path) -> None:
    with answering(place, b""), Client(place) as client, pytest.raises(LinkError, match="hung up"):
        client.status()


def test_a_node_that_is_silent_is_told(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place))
        listening.listen()
        with Client(place, timeout=0.05) as client, pytest.raises(LinkError, match=r"did not answer within 0\.05 s"):
            client.status()


@pytest.mark.parametrize("content", [b"{}", b"[]", b"\xff", b'{"sentence": 5}'])
def test_an_answer_of_another_version_is_told(place: Path, content: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(content), content)

    with answering(place, answer), Client(place) as client, pytest.raises(LinkError, match="another version"):
        client.status()


def test_an_error_without_words_is_still_an_error(place: Path) -> None:
    with (
        answering(place, b"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n"),
        Client(place) as client,
        pytest.raises(PulseError, match="HTTP status 502"),
    ):
        client.status()


def test_what_is_no_http_is_told(place: Path) -> None:
    with answering(place, b"SSH-2.0-x\r\n\r\n"), Client(place) as client, pytest.raises(LinkError, match="hung up"):
        client.status()


def test_the_client_is_light() -> None:
    heavy = ("asyncio", "uvicorn", "starlette", "cryptography", "rich", "textual", "ssl")
    code = f"import sys, pulse.client; print([name for name in {heavy} if name in sys.modules])"

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})

    assert said.stdout == "[]\n"
