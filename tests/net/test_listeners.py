"""Why nothing listens somewhere is said in one way, with the flag that chooses another place."""

import errno
import os
import socket

import pytest

from pulse.errors import Conflict, PulseError, SystemRefused
from pulse.net.listeners import Place, listen_both, listen_tcp, refusal


def place(host: str = "127.0.0.1", port: int = 0, **more: bool) -> Place:
    return Place("the oracle", "--oracle-listen", host, port, **more)


def test_what_listens_never_blocks() -> None:
    with listen_tcp(place(), 8) as made, socket.create_connection(made.getsockname()):
        assert made.gettimeout() == 0.0


def test_both_kinds_have_one_port_and_never_block() -> None:
    udp, tcp = listen_both(place())
    with udp, tcp:
        assert udp.getsockname() == tcp.getsockname()
        assert (udp.gettimeout(), tcp.gettimeout()) == (0.0, 0.0)


def test_a_port_that_is_taken_is_told_with_who_has_it_and_what_to_do() -> None:
    with listen_tcp(place(), 8) as made:
        port = made.getsockname()[1]
        told = rf"^the oracle cannot listen on 127\.0\.0\.1:{port}: another program has that port\.\nSee which: ss "
        for listen in (lambda at: listen_tcp(at, 8), listen_both):
            with pytest.raises(Conflict, match=told + rf".*:{port}'\. Or choose another: --oracle-listen 127"):
                listen(place(port=port))


def test_an_address_that_this_machine_lacks_is_told_unless_it_may_come() -> None:
    with pytest.raises(SystemRefused, match=r"203\.0\.113\.7:0: this machine does not have that address\.\n"):
        listen_tcp(place("203.0.113.7"), 8)
    listen_tcp(place("203.0.113.7", ahead=True), 8).close()


@pytest.mark.parametrize(
    ("number", "port", "said"),
    [
        (
            errno.EACCES,
            53,
            r"\*:53: ports below 1024 need root or CAP_NET_BIND_SERVICE\.\nRun it with sudo\. Or",
        ),
        (errno.EACCES, 5353, r"\*:5353: Permission denied\.\nChoose another"),
        (errno.EMFILE, 53, r"\*:53: Too many open files\.\nChoose another"),
    ],
)
def test_what_the_system_refuses_is_told_with_what_to_do(number: int, port: int, said: str) -> None:
    refused = refusal(place("", port), OSError(number, os.strerror(number)))
    assert isinstance(refused, SystemRefused)
    with pytest.raises(PulseError, match=said):
        raise refused


def test_what_can_be_done_without_can_be_switched_off() -> None:
    taken = OSError(errno.EADDRINUSE, "")
    assert "off" not in str(refusal(place(), taken))
    assert str(refusal(place(sheddable=True), taken)).endswith(", or none: --oracle-listen off")
