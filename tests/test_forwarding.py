"""Ports here that lead to nodes, as programs have them; `pulse forward` has its own tests."""

import socket
import threading
from pathlib import Path

import pytest

from pulse.core.network import tunnelline
from pulse.core.network.destinations import Destination
from pulse.errors import Conflict, PulseError, StreamFailed, SystemRefused
from pulse.forwarding import HERE, Forward, Switch, listening
from tests.tunneling import FakeTunnels, leave_unread, refused, shout, tunnels_at

TO = Destination("localhost", 22)


def leading(place: Path, fake: FakeTunnels, failures: list[PulseError], use: object) -> None:
    """Serve one port while `use` has it, and stop."""
    wanted = Forward("db", TO, HERE, 0)
    stop, stopping = socket.socketpair()
    with tunnels_at(place / "tunnel.sock", fake), listening(wanted) as listener, stopping:
        switch = Switch(place, lambda _, error: failures.append(error), stopping)
        thread = threading.Thread(target=switch.serve, args=([(listener, wanted)],))
        thread.start()
        try:
            use(listener.getsockname())  # type: ignore[operator]
        finally:
            stop.close()
            thread.join(10)
        assert not thread.is_alive()


def test_a_connection_is_handed_to_the_node_until_it_is_stopped(tmp_path: Path) -> None:
    def use(at: tuple[str, int]) -> None:
        with socket.create_connection(at) as connection:
            connection.sendall(b"word")
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(9) == b"WORD"

    fake, failures = FakeTunnels(shout), list[PulseError]()
    leading(tmp_path, fake, failures, use)
    assert (fake.asked[0].dest_node, fake.asked[0].dest_addr, failures) == ("db", "localhost:22", [])


def test_one_that_leads_nowhere_is_reset_and_the_reason_told(tmp_path: Path) -> None:
    def use(at: tuple[str, int]) -> None:
        with socket.create_connection(at) as connection, pytest.raises(ConnectionResetError):
            connection.recv(9)

    failures: list[PulseError] = []
    leading(tmp_path, FakeTunnels(answer=refused("nothing listens", "refused", 5)), failures, use)
    assert [type(each) for each in failures] == [StreamFailed]


def test_a_port_that_is_taken_is_a_conflict() -> None:
    with listening(Forward("db", TO, HERE, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Conflict, match=f"listens on {HERE}:{port} already"):
            listening(Forward("db", TO, HERE, port))


@pytest.mark.parametrize(
    ("host", "said"),
    [("192.0.2.9", "no such address: 192.0.2.9:7070. See its addresses: ip addr"), ("no-such-host.invalid", "cannot")],
)
def test_where_this_machine_cannot_listen_is_said_with_the_next_step(host: str, said: str) -> None:
    with pytest.raises(SystemRefused, match=said) as raised:
        listening(Forward("db", TO, host, 7070))
    assert str(raised.value).endswith(f"Choose another port: --local {HERE}:<port>")


@pytest.mark.parametrize(("word", "told"), [("lost", ["the stream was cut"]), ("reset", [])])
def test_what_is_cut_later_is_told_unless_a_program_broke_it_off(tmp_path: Path, word: str, told: list[str]) -> None:
    def use(at: tuple[str, int]) -> None:
        with socket.create_connection(at) as connection:
            assert connection.recv(9) == b"word"
            assert connection.recv(9) == b""
        over.wait(10)

    over = threading.Event()

    def served(stream: socket.socket) -> None:
        leave_unread(stream)
        threading.Timer(0.2, over.set).start()

    failures: list[PulseError] = []
    ending = tunnelline.refusal(StreamFailed("the stream was cut", word=word))
    leading(tmp_path, FakeTunnels(served, ending=ending), failures, use)
    assert [str(each) for each in failures] == told
