"""`pulse forward`: ports here that lead elsewhere, and what is said when they do not."""

import contextlib
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shell import Shell
from tests.ports import free_port
from tests.tunneling import FakeTunnels, refused, shout, tunnels_at


@pytest.fixture
def place(shell: Shell) -> Path:
    shell.data_dir.mkdir(mode=0o700)
    return shell.data_dir / "tunnel.sock"


@contextlib.contextmanager
def forwarding(shell: Shell, *flags: str, lines: int = 2) -> Iterator["subprocess.Popen[str]"]:
    """Run it until it says that it listens; ended by Ctrl-C."""
    command = shell.command("forward", *flags, "--data-dir", str(shell.data_dir))
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=shell.variables()
    ) as process:
        assert process.stdout is not None
        process.said = [process.stdout.readline() for _ in range(lines)]  # type: ignore[attr-defined]
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130


def exchange(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as made:
        made.sendall(b"word")
        made.shutdown(socket.SHUT_WR)
        return made.recv(99) + made.recv(99)


def test_several_ports_lead_to_what_is_behind_one_node(shell: Shell, place: Path) -> None:
    one, other = free_port(), free_port()
    flags = ("--dest", ":5432", "--local", f":{one}", "--dest", "localhost:80", "--local", f"127.0.0.1:{other}")
    with tunnels_at(place, FakeTunnels(shout)) as fake, forwarding(shell, "--node", "db", *flags, lines=3) as process:
        assert process.said[0] == f"127.0.0.1:{one} leads to localhost:5432 on db\n"  # type: ignore[attr-defined]
        assert [exchange(port) for port in (one, other, one)] == [b"WORD"] * 3
    assert [each.dest_addr for each in fake.asked[2:]] == ["localhost:5432", "localhost:80", "localhost:5432"]


def test_a_connection_that_leads_nowhere_is_reset_and_the_reason_said(shell: Shell, place: Path) -> None:
    port = free_port()
    fake = FakeTunnels(shout)
    with tunnels_at(place, fake), forwarding(shell, "--node", "db", "--dest", ":1", "--local", f":{port}") as process:
        fake.answer = refused("nothing listens there", "refused", 5)
        with pytest.raises(ConnectionResetError):
            exchange(port)
        fake.answer = FakeTunnels.answer
        assert exchange(port) == b"WORD"
        assert process.stderr is not None
        assert process.stderr.readline() == f"127.0.0.1:{port}: nothing listens there\n"


def test_what_the_rules_deny_is_said_before_anything_listens(shell: Shell, place: Path) -> None:
    with tunnels_at(place, FakeTunnels(answer=refused("the rules deny it", "not_allowed", 3))):
        done = shell.pulse("forward", "--node", "db", "--dest", ":5432", "--data-dir", str(shell.data_dir))
    assert (done.code, done.out, done.err) == (3, "", "error: the rules deny it\n")


def test_a_port_in_use_is_named(shell: Shell, place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, tunnels_at(place, FakeTunnels()):
        port = str(taken.getsockname()[1])
        done = shell.pulse("forward", "--node", "db", "--dest", f":{port}", "--data-dir", str(shell.data_dir))
    assert (done.code, f"another program listens on 127.0.0.1:{port}" in done.err) == (4, True)


@pytest.mark.parametrize(
    "flags",
    [
        ("--node", "a", "--node", "b", "--dest", ":1"),
        ("--node", "a", "--dest", ":1", "--dest", ":2", "--local", ":3"),
        ("--node", "a", "--dest", "1"),
        ("--node", "a", "--dest", ":1", "--local", "x"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(shell: Shell, flags: tuple[str, ...]) -> None:
    assert shell.pulse("forward", *flags).code == 2


def test_the_other_way_a_port_there_leads_here_until_the_node_says_it_is_over(shell: Shell, place: Path) -> None:
    with tunnels_at(place, FakeTunnels()) as fake:
        flags = ("--node", "db", "--dest", ":80", "--local", ":8080", "--reverse")
        done = shell.pulse("forward", *flags, "--data-dir", str(shell.data_dir))
    assert fake.asked[-1].reverse == 8080
    assert done.out.startswith("127.0.0.1:8080 on db leads to localhost:80 here\n")
    assert (done.code, "db listens no more on port 8080" in done.err) == (5, True)


def test_the_other_way_a_node_listens_on_its_loopback_alone(shell: Shell, place: Path) -> None:
    with tunnels_at(place, FakeTunnels()):
        flags = ("--node", "db", "--dest", ":80", "--local", "0.0.0.0:8080", "--reverse")
        done = shell.pulse("forward", *flags, "--data-dir", str(shell.data_dir))
    assert (done.code, "loopback alone" in done.err) == (2, True)
