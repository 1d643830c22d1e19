"""Why nothing listens somewhere, or nobody is taken in there, is said in one way, with what to do."""

import asyncio
import errno
import os
import socket

import pytest

from pulse.errors import Conflict, PulseError, SystemRefused
from pulse.net import listeners
from pulse.net.listeners import Arrivals, Place, listen_both, listen_tcp, refusal
from tests.loopback import PATIENCE
from tests.shortage import TOLD, no_descriptors, untaken


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


async def test_without_descriptors_who_comes_waits_and_that_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listeners, "PAUSE", 0.01)
    with listen_tcp(place(), 8) as listener:
        port = listener.getsockname()[1]
        arrivals = Arrivals(listener)
        for _ in range(2):
            with socket.socket() as caller:
                taking = asyncio.ensure_future(arrivals.next())
                with no_descriptors():
                    caller.connect(("127.0.0.1", port))
                    await asyncio.sleep(0.05)
                    assert not taking.done()
                async with asyncio.timeout(PATIENCE):
                    (await taking).close()
    assert untaken(caplog) == [(f"127.0.0.1:{port}", TOLD)]


async def test_that_is_told_again_after_a_while_without_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listeners, "PAUSE", 0.01)
    monkeypatch.setattr(listeners, "STORY", 0.0)
    with listen_tcp(place(), 8) as listener, socket.socket() as caller:
        taking = asyncio.ensure_future(Arrivals(listener).next())
        async with asyncio.timeout(PATIENCE):
            with no_descriptors():
                caller.connect(listener.getsockname())
                while len(untaken(caplog)) < 2:
                    await asyncio.sleep(0.01)
            (await taking).close()


async def test_who_left_before_it_was_taken_in_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listeners, "PAUSE", 3600.0)
    loop = asyncio.get_running_loop()
    accept, left = loop.sock_accept, [ConnectionAbortedError(errno.ECONNABORTED, "Software caused connection abort")]

    async def accepted(sock: socket.socket) -> tuple[socket.socket, object]:
        if left:
            raise left.pop()
        return await accept(sock)

    monkeypatch.setattr(loop, "sock_accept", accepted)
    with listen_tcp(place(), 8) as listener, socket.create_connection(listener.getsockname()):
        async with asyncio.timeout(PATIENCE):
            (await Arrivals(listener).next()).close()
    assert (left, untaken(caplog)) == ([], [])
