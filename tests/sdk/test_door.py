"""The door for programs as an event loop sees it: an answer, and not a byte that is not its own."""

import asyncio
import socket
from pathlib import Path

import pytest

from pulse import tunnels
from pulse.core.network.tunnelline import Asked
from pulse.errors import LinkError, StreamFailed
from pulse.sdk import door
from tests.sdk.rooms import leaving_nothing
from tests.tunneling import CUT, FakeTunnels, leave_unread, refused, say_first, tunnels_at


async def test_what_was_asked_for_is_at_its_first_byte(tmp_path: Path) -> None:
    def greet(stream: socket.socket) -> None:
        stream.sendall(b"SSH-2.0")

    with tunnels_at(tmp_path / "t", FakeTunnels(greet)) as fake:
        asked = Asked("db", "localhost:22", confirm=True)
        connection, answer = await door.asked(tmp_path / "t", asked)
        reader, writer = await door.streams(connection)
        assert (answer.ok, await reader.read()) == (True, b"SSH-2.0")
        writer.close()
    assert fake.asked == [asked]


async def test_a_refusal_has_the_words_of_the_node(tmp_path: Path) -> None:
    fake = FakeTunnels(answer=refused("the rules do not let it", "not_allowed", 3))
    with tunnels_at(tmp_path / "t", fake), pytest.raises(StreamFailed, match="the rules"):
        await door.asked(tmp_path / "t", Asked("db", "localhost:22"))


async def talk(writer: asyncio.StreamWriter) -> None:
    """As long as somebody takes it."""
    while True:
        writer.write(b"word")
        await writer.drain()


async def reached(place: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await door.streams(*await door.reached(place, "db", "localhost:22"))


@pytest.mark.parametrize("ending", [CUT, b""], ids=["lost", "a node that is killed"])
async def test_what_is_cut_is_reset_for_who_reads_and_for_who_writes(tmp_path: Path, ending: bytes) -> None:
    with tunnels_at(tmp_path / "t", FakeTunnels(leave_unread, ending=ending)):
        async with leaving_nothing():
            reader, writer = await reached(tmp_path / "t")
            with pytest.raises(ConnectionResetError):
                await reader.read()
            with pytest.raises(ConnectionResetError):
                await talk(writer)
            writer.close()


async def test_ends_are_ends_and_half_of_it_may_go_on(tmp_path: Path) -> None:
    with tunnels_at(tmp_path / "t", FakeTunnels(say_first)):
        async with leaving_nothing():
            reader, writer = await reached(tmp_path / "t")
            assert await reader.read() == b"word"
            writer.write(b"still there")
            writer.write_eof()
            await writer.drain()
            writer.close()
            await writer.wait_closed()


async def test_a_node_that_says_nothing_is_given_up_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tunnels, "PATIENCE", 0.05)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "t"))
        listener.listen(0)
        async with leaving_nothing():
            with pytest.raises(LinkError, match="gave no answer"):
                await door.asked(tmp_path / "t", Asked("db", "localhost:22"))
            # What was given up still waits to be taken in, and there is room for no more.
            with pytest.raises(StreamFailed, match="too many callers waiting"):
                await door.asked(tmp_path / "t", Asked("db", "localhost:22"))


async def test_who_finds_no_place_comes_again(tmp_path: Path) -> None:
    fake = FakeTunnels(answer=refused("no place for one more", "crowded_here", 5))
    with tunnels_at(tmp_path / "t", fake):
        asking = asyncio.ensure_future(door.asked(tmp_path / "t", Asked("db", "localhost:22", confirm=True)))
        while len(fake.asked) < 2:
            await asyncio.sleep(0.01)
        fake.answer = FakeTunnels.answer
        connection, answer = await asking
        connection.close()
    assert answer.ok


async def test_who_finds_no_place_for_long_hears_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnels, "PATIENCE", 1.0)
    fake = FakeTunnels(answer=refused("no place for one more", "crowded_here", 5))
    with tunnels_at(tmp_path / "t", fake), pytest.raises(StreamFailed, match="no place") as raised:
        await door.asked(tmp_path / "t", Asked("db", "localhost:22"))
    assert raised.value.word == "crowded_here"
