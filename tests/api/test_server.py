"""The control socket: who can open it, what happens to its file, how it ends."""

import os
import socket
import stat
import threading
from pathlib import Path

import pytest

from pulse.api import server
from pulse.api.server import ControlSocket
from pulse.client import Client
from pulse.errors import ConfigError, Conflict, LinkError, SystemRefused
from tests.api.fake_control import FakeControl, serving
from tests.people import NOBODY, run_as

NEEDS = "import pathlib; from pulse.client import Client; from pulse.errors import PulseError; import encodings.idna"
ASK = """
try:
    with Client(pathlib.Path(sys.argv[1])) as client:
        print(client.status().sentence)
except PulseError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_file_is_closed_to_others_whatever_the_umask(place: Path) -> None:
    before = os.umask(0)
    try:
        bound = ControlSocket(place)
    finally:
        os.umask(before)

    assert mode_of(place) & 0o007 == 0
    bound.close()


def test_the_file_is_gone_at_the_end(place: Path) -> None:
    with serving(place, FakeControl()):
        assert place.is_socket()

    assert not place.exists()


def test_the_file_of_another_node_is_left_alone_at_the_end(place: Path) -> None:
    bound = ControlSocket(place)
    place.unlink()
    later = socket.socket(socket.AF_UNIX)
    later.bind(str(place))

    bound.close()

    assert place.is_socket()
    later.close()


def test_the_file_of_a_dead_node_is_replaced(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(place))
    with pytest.raises(LinkError):
        Client(place)

    with serving(place, FakeControl()), Client(place) as client:
        assert client.status().well


def test_a_second_daemon_is_told_of_the_first(place: Path, control: FakeControl) -> None:
    with pytest.raises(Conflict, match="already runs here"):
        ControlSocket(place)

    with Client(place) as client:
        assert client.status().well


def test_a_file_that_is_no_socket_is_never_removed(place: Path) -> None:
    place.write_text("mine")

    with pytest.raises(Conflict, match="no socket"):
        ControlSocket(place)

    assert place.read_text() == "mine"


def test_a_link_to_elsewhere_is_not_followed(place: Path) -> None:
    place.symlink_to(place.parent / "elsewhere")

    with pytest.raises(Conflict, match="no socket"):
        ControlSocket(place)


def test_a_path_too_long_for_a_socket_is_named(place: Path) -> None:
    with pytest.raises(ConfigError, match=r"control\.socket"):
        ControlSocket(place.parent / ("x" * 120))


def test_a_directory_that_cannot_be_made_is_named(place: Path) -> None:
    place.parent.joinpath("file").touch()

    with pytest.raises(SystemRefused, match="control socket"):
        ControlSocket(place.parent / "file" / "pulse.sock")


def test_another_user_is_stopped_by_the_file(place: Path, control: FakeControl) -> None:
    place.parent.chmod(0o755)

    answer = run_as(NOBODY, NEEDS, ASK, str(place))

    assert answer.returncode == 1
    assert "Refused: the node at" in answer.stderr
    assert "belongs to uid" in answer.stderr


def test_another_user_is_refused_in_words_even_if_the_file_is_open(place: Path, control: FakeControl) -> None:
    place.parent.chmod(0o755)
    place.chmod(0o666)

    answer = run_as(NOBODY, NEEDS, ASK, str(place))

    assert answer.returncode == 1
    assert "uid 65534 may not control it" in answer.stderr


def test_members_of_the_group_get_in(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: becomes another user")
    monkeypatch.setattr(server, "group_id", lambda: 4242)

    with serving(place, FakeControl()):
        place.parent.chmod(0o755)
        assert mode_of(place) == 0o660
        assert place.stat().st_gid == 4242
        answer = run_as(NOBODY, NEEDS, ASK, str(place), groups=[4242])

    assert answer.stderr == ""
    assert answer.stdout == "All well. 2 nodes, 2 direct.\n"


def test_the_client_sees_the_process_it_talks_to(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        assert client.pid == os.getpid()


def test_many_clients_at_once_are_answered(place: Path, control: FakeControl) -> None:
    answers: list[bool] = []

    def ask() -> None:
        with Client(place) as client:
            answers.extend(client.status().well for _ in range(5))

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [True] * 100


def test_an_idle_client_does_not_hold_up_the_end(place: Path) -> None:
    with serving(place, FakeControl()):
        client = Client(place)
        assert client.status().well

    with pytest.raises(LinkError):
        client.status()
    client.close()
