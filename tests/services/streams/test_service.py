"""Streams between two real data planes: both ends judge, and what turns is cut."""

import asyncio
import contextlib
import socket
from ipaddress import ip_address

from pulse.core.network.destinations import IPAddress, Premises
from pulse.core.network.policy import Rule
from pulse.core.network.streamcodes import StreamKind
from pulse.net import outward
from tests.loopback import PATIENCE
from tests.services.streaming import BEHIND, OWN, hold, listening, opened, pair, shout, two


async def test_bytes_go_both_ways_an_end_is_passed_on_and_both_are_counted() -> None:
    loop = asyncio.get_running_loop()
    async with two() as both, listening(shout) as port, asyncio.timeout(PATIENCE):
        stream = await opened(both, port)
        ours, theirs = pair()
        with ours:
            stream.splice(theirs)
            await loop.sock_sendall(ours, b"hello")
            ours.shutdown(1)
            assert await loop.sock_recv(ours, 99) == b"HELLO"
            assert await loop.sock_recv(ours, 99) == b""
            assert await stream.closed() == (5, 5, 0)
            await asyncio.sleep(0)
            assert both.here.service.count() == 0


async def test_a_rule_that_goes_cuts_the_stream_at_either_end() -> None:
    loop = asyncio.get_running_loop()
    async with two() as both, listening(hold) as port, asyncio.timeout(PATIENCE):
        for cuts in (both.here, both.there):
            both.ruled()
            stream = await opened(both, port)
            ours, theirs = pair()
            with ours:
                stream.splice(theirs)
                assert await loop.sock_recv(ours, 99) == b"word"
                both.config += 1
                cuts.ruled(both.config, Rule("r1", ["*"], ["*"], allow=False))
                with contextlib.suppress(ConnectionResetError):
                    assert await loop.sock_recv(ours, 99) == b""
                await stream.closed()


async def test_a_stream_ends_with_the_approval_of_what_it_leads_to() -> None:
    async def connect(_: IPAddress, port: int) -> socket.socket:
        return await outward.connected(ip_address("127.0.0.1"), port)

    async with two() as both, listening(hold) as port, asyncio.timeout(PATIENCE):
        both.there.premises = Premises(OWN, leads_to=lambda _: True)
        both.there.service.dialling.connect = connect
        stream, own = await opened(both, port, BEHIND, StreamKind.EXIT), await opened(both, port)
        both.ruled()
        assert both.there.service.count() == 2
        both.there.premises = Premises(OWN)
        both.ruled()
        await stream.closed()
        assert both.there.service.count() == 1
        own.cancel()
