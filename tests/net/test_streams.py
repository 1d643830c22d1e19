"""Streams behind the adapter: each hears its own events, however it ends."""

import asyncio
import socket

from pulse.core.network.streamcodes import StreamCode
from pulse.core.types import NodeId
from pulse.net.links import Moved
from pulse.net.streams import BROKE
from tests.loopback import PATIENCE, node


async def test_a_stream_is_offered_answered_spliced_and_told_to_be_over() -> None:
    loop = asyncio.get_running_loop()
    with node("alice") as alice, node("bob", 2) as bob:
        await alice.link_with(bob)
        async with asyncio.timeout(PATIENCE):
            ours = alice.links.streams.open(bob.me.node_id, b"db:5432")
            theirs = await bob.links.streams.wait_offered()
            assert (theirs.node, theirs.header) == (alice.me.node_id, b"db:5432")
            near, near_end = socket.socketpair()
            far, far_end = socket.socketpair()
            with near, far:
                theirs.splice(far_end.detach())
                assert await ours.answered() == 0
                ours.splice(near_end.detach())
                near.setblocking(False)
                far.setblocking(False)
                await loop.sock_sendall(near, b"hello")
                assert await loop.sock_recv(far, 9) == b"hello"
                assert (alice.links.streams.active, bob.links.streams.active) == (1, 1)
                near.shutdown(socket.SHUT_WR)
                far.shutdown(socket.SHUT_WR)
                assert await ours.ended == Moved(5, 0)
                assert await theirs.ended == Moved(0, 5)
                await asyncio.sleep(0)
                told = [(each.links.streams.active, each.links.streams.total) for each in (alice, bob)]
                assert told == [(0, 1), (0, 1)]
                assert (alice.links.streams.bytes_out, bob.links.streams.bytes_in) == (5, 5)


async def test_what_cut_a_stream_is_told_at_both_ends_and_counted() -> None:
    with node("alice") as alice, node("bob", 2) as bob:
        await alice.link_with(bob)
        async with asyncio.timeout(PATIENCE):
            ours = alice.links.streams.open(bob.me.node_id, b"db:5432")
            theirs = await bob.links.streams.wait_offered()
            near, near_end = socket.socketpair()
            far, far_end = socket.socketpair()
            with near, far:
                theirs.splice(far_end.detach())
                assert await ours.answered() == 0
                ours.splice(near_end.detach())
                theirs.cancel()
                ends = [(await each.ended).cut for each in (ours, theirs)]
                assert ends == [StreamCode.RESET, StreamCode.CANCELLED]
                await asyncio.sleep(0)
                assert [each.links.streams.cut for each in (alice, bob)] == [1, 1]


async def test_a_refusal_comes_with_its_code_and_one_that_is_given_up_ends_at_both() -> None:
    with node("alice") as alice, node("bob", 2) as bob:
        await alice.link_with(bob)
        async with asyncio.timeout(PATIENCE):
            ours = alice.links.streams.open(bob.me.node_id, b"")
            (await bob.links.streams.wait_offered()).refuse(7)
            assert (await ours.answered(), await ours.ended) == (7, Moved(0, 0))
            given_up = alice.links.streams.open(bob.me.node_id, b"")
            theirs = await bob.links.streams.wait_offered()
            given_up.cancel()
            assert await given_up.answered() != 0
            assert (await theirs.ended).cut == StreamCode.CANCELLED


async def test_a_node_that_no_way_leads_to_refuses_with_a_code_of_our_own() -> None:
    with node("alice") as alice:
        async with asyncio.timeout(4 * PATIENCE):
            ours = alice.links.streams.open(NodeId("ab" * 32), b"")
            assert await ours.answered() >= 256


async def test_a_header_that_is_too_long_is_refused_here() -> None:
    with node("alice") as alice:
        async with asyncio.timeout(PATIENCE):
            assert await alice.links.streams.open(NodeId("ab" * 32), b"x" * 4097).answered() == 259


async def test_a_stream_that_ends_without_an_answer_is_lost() -> None:
    with node("alice") as alice:
        ours = alice.links.streams.open(NodeId("ab" * 32), b"")
        alice.links.streams.closed(ours.number, 0, 0, 0)
        assert await ours.answered() == BROKE
