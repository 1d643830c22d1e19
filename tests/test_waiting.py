"""A wait for bytes that leaves them where they are, and the loop free of the socket."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from pulse.waiting import readable
from tests.loopback import PATIENCE


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        yield ours, theirs


async def test_it_lasts_until_the_first_byte_which_stays(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    waiting = asyncio.ensure_future(readable(ours))
    await asyncio.sleep(0.01)
    assert not waiting.done()

    theirs.send(b"x")
    await asyncio.wait_for(waiting, PATIENCE)
    assert ours.recv(9) == b"x"


async def test_it_ends_with_the_other_side(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    theirs.close()

    await asyncio.wait_for(readable(ours), PATIENCE)
    assert ours.recv(9) == b""


async def test_a_socket_that_somebody_else_has_taken_over_is_waited_for_no_more(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    """As the data plane does, while who watched for its end is only being ended."""
    ours, theirs = ends
    waiting = asyncio.ensure_future(readable(ours))
    await asyncio.sleep(0)
    with socket.socket(fileno=ours.detach()) as taken:
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not asyncio.get_running_loop().remove_reader(taken), "nobody reads it any more"
        theirs.send(b"x")
        assert taken.recv(9) == b"x"
