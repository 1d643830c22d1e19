"""The doors to streams: one line in, then the caller's socket, or the one it hands over, is the stream."""

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any

import pytest

from pulse.core.network.streamcodes import StreamCode, StreamKind
from pulse.net.links import Moved
from pulse.services import tunnels
from tests.services.door import DB, LINE, World, said, serving
from tests.shortage import TOLD, come_meanwhile, untaken

TOKEN = "a token that is long enough, 0123456789"


async def refused(world: World, line: bytes, code: str, **door: Any) -> str:
    async with serving(world, **door) as come:
        caller = come()
        await asyncio.get_running_loop().sock_sendall(caller, line)
        answer = await said(caller)
        assert await asyncio.get_running_loop().sock_recv(caller, 1) == b"", "an end and no reset"
    assert answer["code"] == code
    assert world.opened == []
    return str(answer["error"])


async def until(true: Callable[[], object]) -> None:
    while not true():
        await asyncio.sleep(0.01)


async def test_after_its_line_the_callers_own_connection_is_the_stream_with_every_byte_behind_the_line() -> None:
    world = World()
    async with serving(world) as come:
        caller = come()
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(caller, LINE[:20])
        await asyncio.sleep(0.01)
        await loop.sock_sendall(caller, LINE[20:] + b"hello")
        await until(lambda: world.opened and world.opened[0].given)
        stream = world.opened[0].given
        assert stream is not None
        with stream:
            assert await loop.sock_recv(stream, 99) == b"hello"
            await loop.sock_sendall(stream, b"first byte of the destination")
            assert await loop.sock_recv(caller, 99) == b"first byte of the destination"
    assert world.asked == [(DB.node_id, "localhost:5432", StreamKind.CONNECT)]


async def test_who_asks_to_is_told_that_it_leads_there() -> None:
    world = World()
    async with serving(world) as come:
        caller = come()
        await asyncio.get_running_loop().sock_sendall(caller, LINE[:-2] + b', "confirm": true}\n')
        assert await said(caller) == {"ok": True}
        await until(lambda: world.opened[0].given)
        world.opened[0].given.close()  # type: ignore[union-attr]  # it was spliced


async def test_a_socket_that_is_handed_over_is_the_stream_and_ends_with_who_handed_it_over() -> None:
    world = World()
    loop = asyncio.get_running_loop()
    async with serving(world) as come:
        for leaves in (False, True):
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            caller = come()
            with ours, theirs:
                socket.send_fds(caller, [LINE], [theirs.fileno()])
                assert await said(caller) == {"ok": True}
                opened = world.opened[-1]
                assert opened.given is not None
                await loop.sock_sendall(opened.given, b"word")
                assert await loop.sock_recv(ours, 9) == b"word"
                opened.given.close()
            if leaves:
                caller.close()
                await until(lambda: world.opened[-1].cancelled)
            else:
                opened.over.set()
                assert await said(caller) == {"sent": 3, "received": 4}


async def test_who_handed_a_socket_over_hears_that_it_was_cut_and_how_much_had_gone() -> None:
    world = World()
    async with serving(world) as come:
        ours, theirs = socket.socketpair()
        caller = come()
        with ours, theirs:
            socket.send_fds(caller, [LINE], [theirs.fileno()])
            assert await said(caller) == {"ok": True}
            world.opened[0].moved = Moved(3, 4, StreamCode.LOST)
            world.opened[0].over.set()
            told = await said(caller)
        world.opened[0].given.close()  # type: ignore[union-attr]  # it was spliced
    assert (told["code"], told["exit_code"], told["sent"], told["received"]) == ("lost", 5, 3, 4)
    assert "the stream to localhost:5432 on db was cut" in str(told["error"])
    assert "pulse why db" in str(told["error"])


async def test_a_stream_that_lasts_outlives_who_handed_its_socket_over() -> None:
    world = World()
    async with serving(world) as come:
        ours, theirs = socket.socketpair()
        caller = come()
        with ours, theirs:
            socket.send_fds(caller, [LINE[:-2] + b', "lasting": true}\n'], [theirs.fileno()])
            assert await said(caller) == {"ok": True}
            caller.close()
            await asyncio.sleep(0.05)
            assert not world.opened[0].cancelled
            world.opened[0].over.set()
        world.opened[0].given.close()  # type: ignore[union-attr]  # it was spliced


async def test_what_is_handed_over_has_to_be_a_stream_socket() -> None:
    world = World()
    async with serving(world) as come:
        caller = come()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wrong:
            socket.send_fds(caller, [LINE], [wrong.fileno()])
            assert (await said(caller))["code"] == "bad_request"
    assert world.opened == []


async def test_what_is_handed_over_and_is_no_socket_is_closed() -> None:
    world = World()
    reading, writing = os.pipe()
    async with serving(world) as come:
        caller = come()
        socket.send_fds(caller, [LINE], [writing])
        os.close(writing)
        assert (await said(caller))["code"] == "bad_request"
        assert os.read(reading, 1) == b"", "its last writer is gone"
    os.close(reading)
    assert world.opened == []


async def test_a_port_of_a_node_leads_here_for_as_long_as_the_caller_stays() -> None:
    world = World()
    async with serving(world) as come:
        caller = come()
        await asyncio.get_running_loop().sock_sendall(caller, LINE[:-2] + b', "reverse": 8080}\n')
        assert await said(caller) == {"ok": True}
        assert world.led == [(DB.node_id, 8080, "localhost:5432")]
        caller.close()
        await until(lambda: not world.led)
        assert world.opened[0].cancelled
        world.opened[0].given.close()  # type: ignore[union-attr]  # it was spliced


async def test_a_port_of_this_node_leads_to_the_caller_until_it_says_more_or_is_gone() -> None:
    async with serving(World()) as come:
        for last in (b"more", b""):
            caller = come()
            await asyncio.get_running_loop().sock_sendall(caller, b'{"dest_node": "", "dest_addr": "", "serve": 0}\n')
            assert await said(caller) == {"ok": True, "port": 4711}
            other = come()
            await asyncio.get_running_loop().sock_sendall(other, b'{"dest_node": "", "dest_addr": "", "serve": 4711}\n')
            assert "another program has port 4711" in str((await said(other))["error"])
            if last:
                await asyncio.get_running_loop().sock_sendall(caller, last)
            else:
                caller.close()
            await _free(come)


async def test_over_a_door_that_takes_no_sockets_nobody_serves() -> None:
    line = b'{"dest_node": "", "dest_addr": "", "serve": 8080}\n'
    await refused(World(), line, "bad_request", takes_sockets=False)


async def _free(come: Callable[[], socket.socket]) -> None:
    while "ok" not in await _asks_again(come):
        await asyncio.sleep(0.001)


async def _asks_again(come: Callable[[], socket.socket]) -> dict[str, object]:
    with come() as caller:
        await asyncio.get_running_loop().sock_sendall(caller, b'{"dest_node": "", "dest_addr": "", "serve": 4711}\n')
        return await said(caller)


async def test_a_check_opens_nothing() -> None:
    world = World()
    async with serving(world) as come:
        for refusal, answer in ((None, {"ok": True}), (StreamCode.NOT_ALLOWED, "not_allowed")):
            world.refusal = refusal
            caller = come()
            await asyncio.get_running_loop().sock_sendall(caller, LINE[:-2] + b', "check": true}\n')
            found = await said(caller)
            assert answer in (found, found.get("code"))
    assert world.opened == []


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "bad_request"),
        (b"x" * 5000, "bad_request"),
        (LINE.replace(b"db", b"dc"), "no_node"),
        (LINE.replace(b"localhost:5432", b"localhost"), "bad_request"),
    ],
)
async def test_what_makes_no_sense_is_refused_in_one_line(line: bytes, code: str) -> None:
    assert await refused(World(), line, code)


async def test_the_streams_own_refusal_is_passed_on() -> None:
    assert "connection refused" in await refused(World(refusal=StreamCode.REFUSED), LINE, "refused")


async def test_a_stranger_is_refused_whatever_it_says() -> None:
    assert await refused(World(), LINE, "refused_here", refusal=lambda _: "not yours") == "not yours"


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x"])
async def test_without_the_token_of_the_door_nothing_opens(token: str) -> None:
    line = LINE[:-2] + f', "token": "{token}"}}\n'.encode()
    assert "tcp_token" in await refused(World(), line, "refused_here", token=TOKEN)


async def test_with_the_token_it_does() -> None:
    world = World()
    async with serving(world, token=TOKEN) as come:
        caller = come()
        line = LINE[:-2] + f', "confirm": true, "token": "{TOKEN}"}}\n'.encode()
        await asyncio.get_running_loop().sock_sendall(caller, line)
        assert await said(caller) == {"ok": True}
        await until(lambda: world.opened[0].given)
        world.opened[0].given.close()  # type: ignore[union-attr]  # it was spliced


async def test_who_says_nothing_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnels, "LINE_DEADLINE", 0.05)
    world = World()
    async with serving(world) as come:
        caller = come()
        assert "no line came" in str((await said(caller))["error"])


async def test_of_very_many_the_last_are_told_that_there_is_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnels, "OF_ONE_PROGRAM", 2)
    monkeypatch.setattr(tunnels, "TURNED_AWAY", 1)
    async with serving(World()) as come:
        waiting = [come() for _ in range(2)]
        for _ in range(3):
            answer = await said(come())
            assert answer["code"] == "crowded_here"
            assert "up to 2 connections" in str(answer["error"])
        await asyncio.get_running_loop().sock_sendall(waiting[0], LINE.replace(b"db", b"dc"))
        assert (await said(waiting[0]))["code"] == "no_node"
        waiting[0].close()
        await _has_place(come)


async def _has_place(come: Callable[[], socket.socket]) -> None:
    while True:
        caller = come()
        await asyncio.get_running_loop().sock_sendall(caller, LINE.replace(b"db", b"dc"))
        if (await said(caller))["code"] == "no_node":
            return
        await asyncio.sleep(0.01)


async def test_one_program_that_takes_what_it_can_leaves_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnels, "STREAMS", 4)
    programs = iter("aaab")
    async with serving(World(), who=lambda _: next(programs)) as come:
        greedy = [come() for _ in range(3)]
        assert (await said(greedy[2]))["code"] == "crowded_here"
        await _has_place(come)


def with_token(line: bytes = LINE) -> bytes:
    return line[:-2] + f', "check": true, "token": "{TOKEN}"}}\n'.encode()


async def checks(caller: socket.socket) -> dict[str, object]:
    await asyncio.get_running_loop().sock_sendall(caller, with_token())
    return await said(caller)


async def test_who_shows_no_token_takes_no_place_of_those_who_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnels, "OF_ONE_PROGRAM", 2)
    monkeypatch.setattr(tunnels, "UNPROVEN", 3)
    async with serving(World(), token=TOKEN) as come:
        for round_ in range(3):
            silent = [come() for _ in range(7)]
            assert await checks(come()) == {"ok": True}, round_
            told = await said(silent[0])
            assert told["code"] == "crowded_here"
            assert "3 more came who have not shown the token of this listener" in str(told["error"])


async def test_who_has_said_the_token_already_gives_way_to_no_burst_of_others() -> None:
    async with serving(World(), token=TOKEN) as come:
        first = come()
        first.sendall(with_token())
        for _ in range(tunnels.UNPROVEN + 16):
            come()
        assert await said(first) == {"ok": True}


async def test_who_is_refused_for_its_token_hears_nothing_of_the_places_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tunnels, "OF_ONE_PROGRAM", 0)
    await refused(World(), LINE, "refused_here", token=TOKEN)
    await refused(World(), with_token(), "crowded_here", token=TOKEN)


async def test_who_showed_the_token_has_a_place_of_its_own_until_its_stream_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tunnels, "OF_ONE_PROGRAM", 1)
    monkeypatch.setattr(tunnels, "UNPROVEN", 2)
    world = World()
    async with serving(world, token=TOKEN) as come:
        caller = come()
        await asyncio.get_running_loop().sock_sendall(caller, with_token().replace(b'"check": true, ', b""))
        await until(lambda: world.opened and world.opened[0].given)
        assert [(await checks(come()))["code"] for _ in range(3)] == ["crowded_here"] * 3
        assert not world.opened[0].cancelled, "nobody who came after took it"
        world.opened[0].over.set()
        while (await checks(come())).get("code") == "crowded_here":
            await asyncio.sleep(0.01)
        world.opened[0].given.close()  # type: ignore[union-attr]  # it was spliced


async def test_a_stream_has_its_place_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnels, "OF_ONE_PROGRAM", 1)
    world = World()
    async with serving(world) as come:
        caller = come()
        await asyncio.get_running_loop().sock_sendall(caller, LINE)
        await until(lambda: world.opened and world.opened[0].given)
        assert (await said(come()))["code"] == "crowded_here"
        world.opened[0].over.set()
        await _has_place(come)
        world.opened[0].given.close()  # type: ignore[union-attr]  # it was spliced


async def test_who_comes_while_no_descriptor_is_left_is_served_once_there_is_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(World()) as come:
        place = come().getpeername()
        with socket.socket(socket.AF_UNIX) as caller:
            await come_meanwhile(caller, place, caplog)
            caller.setblocking(False)
            await asyncio.get_running_loop().sock_sendall(caller, LINE[:-2] + b', "check": true}\n')
            assert await said(caller) == {"ok": True}
    assert untaken(caplog) == [(place, TOLD)]
