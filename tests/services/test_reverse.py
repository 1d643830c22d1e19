"""Reverse forwards between two real data planes: only where a node allows it, and only as long as it is wanted."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address

import pytest

from pulse.core.network.destinations import Destination, IPAddress
from pulse.core.network.policy import Rule
from pulse.core.network.streamcodes import StreamCode, StreamKind
from pulse.errors import LinkError, StreamFailed
from pulse.net import outward
from pulse.services import reverse as service
from pulse.services.reverse import ReverseService
from pulse.services.streams.opening import Opened
from pulse.services.streams.service import StreamsService
from tests.loopback import PATIENCE
from tests.ports import free_port
from tests.services.streaming import End, Two, listening, pair, two
from tests.shortage import TOLD, come_meanwhile, untaken


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer in capitals, once all was said."""
    writer.write((await reader.read()).upper())
    writer.close()


def serving(end: End, tasks: asyncio.TaskGroup, *, allowed: bool) -> tuple[ReverseService, Callable[[], object]]:
    made = ReverseService(end.mesh, end.service, allowed, outward.resolved, outward.connected)
    end.service.answering.answers = {StreamKind.LISTEN: made.listen, StreamKind.BACK: made.back}
    return made, tasks.create_task(made.run()).cancel


@asynccontextmanager
async def leading(*, allowed: bool = True) -> AsyncIterator[tuple[Two, ReverseService]]:
    """Two nodes; ours asks, and theirs allows it or not."""
    async with two() as both, asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
        ours, stop_ours = serving(both.here, tasks, allowed=False)
        _, stop_theirs = serving(both.there, tasks, allowed=allowed)
        yield both, ours
        stop_ours()
        stop_theirs()


async def lead(both: Two, ours: ReverseService, port: int, to: int) -> Opened:
    opened = await ours.lead(both.there.node.me.node_id, port, Destination("localhost", to))
    assert isinstance(opened, Opened)
    return opened


async def exchange(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"word")
        writer.write_eof()
        return await reader.read()
    finally:
        writer.close()


async def test_a_port_there_leads_here_until_it_is_wanted_no_more() -> None:
    async with leading() as (both, ours), listening(shout) as to:
        port = free_port()
        stream = await lead(both, ours, port, to)
        held, given = pair()
        stream.splice(given)
        with held:
            assert [await exchange(port) for _ in range(2)] == [b"WORD"] * 2
        await stream.closed()
        while True:
            try:
                await exchange(port)
            except ConnectionError:
                break
            await asyncio.sleep(0.01)


async def test_a_node_that_was_not_told_to_listens_for_nobody() -> None:
    async with leading(allowed=False) as (both, ours):
        with pytest.raises(StreamFailed) as raised:
            await lead(both, ours, free_port(), 1)
        assert raised.value.code == StreamCode.FORBIDDEN


async def test_the_rules_have_to_allow_both_directions() -> None:
    async with leading() as (both, ours):
        port = free_port()
        here, there = (each.node.me.node_id for each in (both.here, both.there))
        for source, destination in ((here, there), (there, here)):
            both.ruled(Rule("r1", [source], [destination], allow=True))
            with pytest.raises(StreamFailed) as raised:
                await lead(both, ours, port, 1)
            assert raised.value.code == StreamCode.NOT_ALLOWED


async def test_roots_ports_taken_ones_and_more_than_a_few_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_OF_ONE", 1)
    async with leading() as (both, ours), listening(shout) as taken:
        codes = []
        first = await lead(both, ours, free_port(), 1)
        for port in (1023, free_port()):
            with pytest.raises(StreamFailed) as raised:
                await lead(both, ours, port, 1)
            codes.append(raised.value.code)
        monkeypatch.setattr(service, "MOST_OF_ONE", 9)
        with pytest.raises(StreamFailed) as raised:
            await lead(both, ours, taken, 1)
        assert [*codes, raised.value.code] == [StreamCode.FORBIDDEN, StreamCode.BUSY, StreamCode.BUSY]
        first.cancel()


async def test_nothing_comes_back_by_a_port_that_nobody_here_asked_for() -> None:
    async with leading() as (both, _):
        with pytest.raises(StreamFailed) as raised:
            await both.there.service.open(both.here.node.me.node_id, Destination("127.0.0.1", 22), StreamKind.BACK)
        assert raised.value.code == StreamCode.FORBIDDEN


async def test_one_port_leads_to_one_place_and_is_free_after_a_failure() -> None:
    async with leading() as (both, ours):
        port = free_port()
        stream = await lead(both, ours, port, 1)
        with pytest.raises(StreamFailed, match="already"):
            await lead(both, ours, port, 2)
        ours.forget(both.there.node.me.node_id, port)
        stream.cancel()
        await stream.closed()


async def test_every_address_of_the_destination_is_tried_and_a_name_that_is_none_is_refused() -> None:
    async with leading() as (both, ours), listening(shout) as to:

        async def resolve(host: str) -> list[IPAddress]:
            return [ip_address("::1"), ip_address("127.0.0.1")] if host == "localhost" else await outward.resolved(host)

        ours.resolve = resolve
        port, other = free_port(), free_port()
        stream = await lead(both, ours, port, to)
        held, given = pair()
        stream.splice(given)
        with held:
            assert await exchange(port) == b"WORD", "nothing listens at ::1"
        await stream.closed()
        odd = await ours.lead(both.there.node.me.node_id, other, Destination("a..b", to))
        with contextlib.suppress(ConnectionResetError):
            assert await exchange(other) == b""
        odd.cancel()


@pytest.mark.parametrize(
    "error",
    [
        StreamFailed("no", StreamCode.AWAY),
        LinkError("the session is gone"),
        ConnectionResetError("reset"),
        OSError("no descriptor is left"),
        asyncio.CancelledError(),
        KeyError("a mistake"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_becomes_of_one_connection_the_port_goes_on(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    async def failing(*_: object) -> Opened:
        raise error

    async with leading() as (both, ours), listening(shout) as to:
        port = free_port()
        stream = await lead(both, ours, port, to)
        with monkeypatch.context() as broken:
            broken.setattr(StreamsService, "open", failing)
            with pytest.raises(OSError, match=r"reset|not connected"):
                await exchange(port)
        assert await exchange(port) == b"WORD"
        stream.cancel()


async def test_who_waits_to_be_led_back_leaves_room_for_no_more_than_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_CALLERS", 2)
    async with leading() as (both, ours), listening(shout) as to:
        port = free_port()
        stream = await lead(both, ours, port, to)
        both.there.has_path = False
        waiting = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        with contextlib.suppress(OSError):
            assert await exchange(port) == b""
        both.there.has_path = True
        both.there.service.routes_changed()
        for reader, writer in waiting:
            writer.write(b"word")
            writer.write_eof()
            assert await reader.read() == b"WORD"
            writer.close()
        stream.cancel()


async def test_who_comes_while_no_descriptor_is_left_is_led_back_once_there_is_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with leading() as (both, ours), listening(shout) as to:
        port = free_port()
        stream = await lead(both, ours, port, to)
        caller = socket.socket()
        await come_meanwhile(caller, ("127.0.0.1", port), caplog)
        reader, writer = await asyncio.open_connection(sock=caller)
        writer.write(b"word")
        writer.write_eof()
        assert await reader.read() == b"WORD"
        writer.close()
        stream.cancel()
    assert untaken(caplog) == [(f"127.0.0.1:{port}", TOLD)]
