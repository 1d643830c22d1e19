"""A local program's connection: what is looked at stays, and last words arrive."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from pulse.net import local
from pulse.net.local import LocalClient


@pytest.fixture
def ends() -> Iterator[tuple[LocalClient, socket.socket]]:
    ours, theirs = socket.socketpair()
    client = LocalClient(ours)
    theirs.setblocking(False)
    yield client, theirs
    client.close()
    theirs.close()


async def test_what_is_looked_at_stays_until_it_is_taken(ends: tuple[LocalClient, socket.socket]) -> None:
    client, theirs = ends
    theirs.send(b"hello, far side")

    assert await client.look() == b"hello, far side"
    client.take(7)
    assert await client.look() == b"far side"
    with client.release() as released:
        assert released.recv(100) == b"far side"


async def test_a_look_waits_for_the_first_byte_and_sees_the_end(ends: tuple[LocalClient, socket.socket]) -> None:
    client, theirs = ends
    looking = asyncio.ensure_future(client.look())
    await asyncio.sleep(0.01)
    assert not looking.done()
    theirs.send(b"x")
    assert await looking == b"x"
    client.take(1)
    theirs.shutdown(socket.SHUT_WR)
    assert await client.look() == b""


async def test_who_leaves_while_it_is_watched_is_noticed(ends: tuple[LocalClient, socket.socket]) -> None:
    client, theirs = ends
    left = asyncio.Event()
    with client.watched(left.set):
        theirs.send(b"x")
        await asyncio.sleep(0.01)
    client.take(1)
    assert not left.is_set()
    with client.watched(left.set):
        theirs.close()
        await asyncio.wait_for(left.wait(), 10)


async def test_who_is_hung_up_on_reads_why_whatever_it_still_sends(
    ends: tuple[LocalClient, socket.socket],
) -> None:
    client, theirs = ends
    theirs.send(b"more than was read")
    await client.say(b"no")
    hanging = asyncio.ensure_future(client.hang_up())
    loop = asyncio.get_running_loop()
    assert [await loop.sock_recv(theirs, 10), await loop.sock_recv(theirs, 10)] == [b"no", b""]
    theirs.close()
    await hanging


async def test_who_stays_is_hung_up_on_anyway(
    ends: tuple[LocalClient, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "LINGER", 0.01)
    client, theirs = ends
    await client.hang_up()

    with pytest.raises(OSError, match=r"."):
        theirs.send(b"x")
