"""Streams as programs of this machine ask for them."""

import resource
import socket
import struct
import tempfile
from pathlib import Path

import pytest

from pulse import tunnels
from pulse.core.network.tunnelline import Asked
from pulse.errors import LinkError, StreamFailed, SystemRefused
from tests.people import NOBODY, run_as
from tests.tunneling import CUT, FakeTunnels, leave_unread, refused, say_first, shout, tunnels_at


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path


def test_what_was_reached_is_at_its_first_byte(data_dir: Path) -> None:
    def greet(stream: socket.socket) -> None:
        stream.sendall(b"SSH-2.0")

    with (
        tunnels_at(data_dir / "tunnel.sock", FakeTunnels(greet)) as fake,
        tunnels.reach("db", "localhost:22", data_dir) as stream,
    ):
        assert stream.recv(99) == b"SSH-2.0"
        assert stream.gettimeout() is None
    assert fake.asked == [Asked("db", "localhost:22", lasting=True)]


@pytest.mark.parametrize("ending", [CUT, b""], ids=["lost", "a node that is killed"])
def test_what_is_cut_raises_where_an_end_would_be_and_again(data_dir: Path, ending: bytes) -> None:
    fake = FakeTunnels(leave_unread, ending=ending)
    with (
        tunnels_at(data_dir / "tunnel.sock", fake),
        tunnels.reach("db", "localhost:22", data_dir) as stream,
        stream.makefile("rb") as file,
    ):
        assert file.read(4) == b"word"
        with pytest.raises(ConnectionResetError):
            file.read(1)
        for _ in range(2):
            with pytest.raises(ConnectionResetError):
                stream.recv(1)
        with pytest.raises(StreamFailed):
            stream.ended()


def test_the_end_of_one_direction_is_an_end_and_so_is_that_of_both(data_dir: Path) -> None:
    with (
        tunnels_at(data_dir / "tunnel.sock", FakeTunnels(say_first)),
        tunnels.reach("db", "localhost:22", data_dir) as stream,
    ):
        assert (stream.recv(9), stream.recv(9)) == (b"word", b"")
        stream.sendall(b"still there")
        stream.shutdown(socket.SHUT_WR)
        assert (stream.ended().sent, stream.recv(9)) == (1, b"")


def test_a_refusal_has_the_words_and_the_exit_code_of_the_node(data_dir: Path) -> None:
    fake = FakeTunnels(answer=refused("the rules do not let it", "not_allowed", 3))
    with tunnels_at(data_dir / "tunnel.sock", fake), pytest.raises(StreamFailed, match="the rules") as raised:
        tunnels.check("db", "localhost:22", data_dir)
    assert (raised.value.word, raised.value.exit_code) == ("not_allowed", 3)


def test_who_finds_no_place_comes_again_and_hears_in_the_end_that_there_is_none(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tunnels, "PATIENCE", 1.0)
    fake = FakeTunnels(answer=refused("no place for one more", "crowded_here", 5))
    with tunnels_at(data_dir / "tunnel.sock", fake), pytest.raises(StreamFailed, match="no place") as raised:
        tunnels.check("db", "localhost:22", data_dir)
    assert tunnels.is_crowded(raised.value)
    assert len(fake.asked) > 1


def test_who_waits_for_a_node_that_stands_still_is_told(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnels, "PATIENCE", 0.1)
    monkeypatch.setattr(tunnels, "_PATIENTLY", struct.pack("ll", 0, 100_000))
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as before:
        listener.bind(str(data_dir / "tunnel.sock"))
        listener.listen(0)
        before.connect(str(data_dir / "tunnel.sock"))
        with pytest.raises(StreamFailed, match="too many callers waiting"):
            tunnels.reach("db", "localhost:22", data_dir)


def test_a_program_that_may_have_no_more_files_is_told_what_to_do(data_dir: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with tunnels_at(data_dir / "tunnel.sock", FakeTunnels()):
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            with pytest.raises(SystemRefused, match=r"no room for a further connection(.|\n)*ulimit -n"):
                tunnels.reach("db", "localhost:22", data_dir)
            with pytest.raises(SystemRefused, match=r"ulimit -n"):
                tunnels.check("db", "localhost:22", data_dir)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_socket_is_handed_over_and_its_end_told(data_dir: Path) -> None:
    ours, theirs = socket.socketpair()
    with tunnels_at(data_dir / "tunnel.sock", FakeTunnels(shout)), ours:
        asking = tunnels.hand_over("db", "localhost:22", theirs, data_dir)
        with asking:
            assert tunnels.read_answer(asking).ok
            theirs.close()
            ours.sendall(b"word")
            ours.shutdown(socket.SHUT_WR)
            assert (ours.recv(9), ours.recv(9)) == (b"WORD", b"")
            assert tunnels.read_answer(asking).sent == 1


def test_a_node_that_hangs_up_says_nothing_true(data_dir: Path) -> None:
    with tunnels_at(data_dir / "tunnel.sock", FakeTunnels(answer=b"")), pytest.raises(StreamFailed, match="pulse logs"):
        tunnels.reach("db", "localhost:22", data_dir).close()


def test_without_a_node_the_socket_asked_is_named(data_dir: Path) -> None:
    with pytest.raises(LinkError, match=str(data_dir / "tunnel.sock")):
        tunnels.reach("db", "localhost:22", data_dir)


def test_the_node_of_somebody_else_is_not_ours() -> None:
    with tempfile.TemporaryDirectory() as place, tunnels_at(Path(place) / "tunnel.sock", FakeTunnels()):
        Path(place).chmod(0o755)
        (Path(place) / "tunnel.sock").chmod(0o600)
        code = f"tunnels.reach('db', 'localhost:22', pathlib.Path({place!r}))"
        done = run_as(NOBODY, "import pathlib; from pulse import tunnels", code)
    assert "Refused" in done.stderr
    assert "is not yours to use" in done.stderr
