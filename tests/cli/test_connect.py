"""`pulse connect`: standard input and output, whatever they are, and each direction's end."""

import contextlib
import hashlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.shell import Shell
from tests.tunneling import CUT, FakeTunnels, leave_unread, refused, say_first, shout, tunnels_at

MEGABYTES = 8 << 20
CONNECT = ("connect", "--node", "db", "--dest", ":22")


@pytest.fixture
def place(shell: Shell) -> Path:
    shell.data_dir.mkdir(mode=0o700)
    return shell.data_dir / "tunnel.sock"


def connect(shell: Shell) -> list[str]:
    return shell.command(*CONNECT, "--data-dir", str(shell.data_dir))


def echo(stream: socket.socket) -> None:
    while data := stream.recv(1 << 20):
        stream.sendall(data)


def test_the_end_of_input_is_passed_on_and_the_answer_still_comes(shell: Shell, place: Path) -> None:
    with tunnels_at(place, FakeTunnels(shout)) as fake:
        done = shell.pulse(
            "connect", "--node", "db", "--dest", ":22", "--data-dir", str(shell.data_dir), given="hello\n"
        )
    assert (done.code, done.out, done.err) == (0, "HELLO\n", "")
    assert fake.asked[0].dest_addr == ":22"


def test_who_says_nothing_more_hears_the_end_and_may_go_on_speaking(shell: Shell, place: Path) -> None:
    with (
        tunnels_at(place, FakeTunnels(say_first)),
        subprocess.Popen(
            connect(shell), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=shell.variables()
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.read() == b"word"
        process.stdin.write(b"still there")
        process.stdin.close()
        assert process.wait(30) == 0


@pytest.mark.parametrize("through", ["pipes", "files", "sockets"])
def test_megabytes_come_back_whole_through_pipes_files_and_sockets(
    shell: Shell, place: Path, tmp_path: Path, through: str
) -> None:
    data = os.urandom(MEGABYTES)
    with tunnels_at(place, FakeTunnels(echo)):
        if through == "pipes":
            back = subprocess.run(
                connect(shell), input=data, stdout=subprocess.PIPE, env=shell.variables(), check=True, timeout=60
            ).stdout
        elif through == "files":
            (tmp_path / "in").write_bytes(data)
            with (tmp_path / "in").open("rb") as source, (tmp_path / "out").open("wb") as target:
                subprocess.run(
                    connect(shell), stdin=source, stdout=target, env=shell.variables(), check=True, timeout=60
                )
            back = (tmp_path / "out").read_bytes()
        else:
            back = _through_a_socket(shell, data)
    assert hashlib.sha256(back).digest() == hashlib.sha256(data).digest()


def _through_a_socket(shell: Shell, data: bytes) -> bytes:
    """One socket for both, that does not block, as programs like socat hand it over."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    with (
        ours,
        subprocess.Popen(
            connect(shell), stdin=theirs.fileno(), stdout=theirs.fileno(), env=shell.variables()
        ) as process,
    ):
        theirs.close()
        back, left = bytearray(), memoryview(data)
        while left:
            left = left[ours.send(left[:65536]) :]
            back += ours.recv(1 << 20)
        ours.shutdown(socket.SHUT_WR)
        while more := ours.recv(1 << 20):
            back += more
        assert process.wait(60) == 0
    return bytes(back)


def test_a_refusal_is_the_nodes_own_words_and_exit_code_and_nothing_on_standard_output(
    shell: Shell, place: Path
) -> None:
    with tunnels_at(place, FakeTunnels(answer=refused("the rules do not let it", "not_allowed", 3))):
        done = shell.pulse(*CONNECT, "--data-dir", str(shell.data_dir))
    assert (done.code, done.out, done.err) == (3, "", "error: the rules do not let it\n")


@pytest.mark.parametrize("ending", [CUT, b""], ids=["lost", "a node that is killed"])
def test_a_stream_that_is_cut_is_no_end(shell: Shell, place: Path, ending: bytes) -> None:
    with tunnels_at(place, FakeTunnels(leave_unread, ending=ending)):
        done = shell.pulse(*CONNECT, "--data-dir", str(shell.data_dir))
    assert (done.code, done.out) == (5, "word")
    assert done.err.startswith("error: the stream to db was cut" if ending else "error: the node ended the connection")


def test_who_reads_us_no_more_ends_us(shell: Shell, place: Path) -> None:
    def talk(stream: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                stream.sendall(bytes(1 << 16))

    with (
        tunnels_at(place, FakeTunnels(talk)),
        subprocess.Popen(
            connect(shell), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=shell.variables()
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.read(1) == b"\0"
        process.stdout.close()
        assert process.wait(30) == 1


def test_a_node_that_is_not_there_is_said_so(shell: Shell) -> None:
    done = shell.pulse(*CONNECT, "--data-dir", str(shell.data_dir))
    assert (done.code, "pulse start" in done.err) == (5, True)


def test_the_way_of_the_bytes_loads_no_event_loop(shell: Shell) -> None:
    code = "import sys, pulse.cli.connect; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=shell.variables(), check=True, timeout=60
    )
    assert not {"asyncio", "ssl", "cryptography", "rich", "pulse._dataplane"} & set(done.stdout.split())
