"""Whole nodes and their doors: who gets in by a member, who by nobody, and what a refusal leaves behind."""

import asyncio
import os
import signal
import socket

import pytest

from pulse import node
from pulse.calls.tokens import TokenCalls
from pulse.errors import Conflict, LinkError, Refused
from pulse.schemas.tokens import TokenRequest
from tests.loopback import PATIENCE
from tests.ports import free_port
from tests.test_node import FOUND, NETWORK, Machine, first, place, second

__all__ = ["first", "place", "second"]

WRONG_TOKEN = "wrong-token-0123456789-abcdefghijklmnop"


@pytest.fixture
def third(second: Machine) -> Machine:
    return Machine("third", second.place, free_port())


def address(of: Machine) -> str:
    return f"127.0.0.1:{of.port}"


async def new_token(ca: Machine) -> str:
    return (await ca.ask(lambda client: TokenCalls(client).create_token(TokenRequest()))).token


async def test_a_third_node_joins_by_a_member_that_is_not_the_ca(
    first: Machine, second: Machine, third: Machine
) -> None:
    async with first.runs(**FOUND) as started, second.runs(started.invite):
        await second.linked_with(first)
        joined = await third.joins(token=await new_token(first), join=address(second))

    assert (joined.node.network, joined.pinned) == (NETWORK, True)


async def test_a_member_whose_ca_is_gone_says_so_and_nothing_is_written(
    first: Machine, second: Machine, third: Machine
) -> None:
    async with first.runs(**FOUND) as started:
        await second.joins(started.invite)
        token = await new_token(first)
    async with second.runs():
        with pytest.raises(LinkError, match="cannot reach the CA"):
            await third.joins(token=token, join=address(second))

    assert not (third.place / "third" / "identity").exists()


async def test_an_invite_is_good_for_one_machine(first: Machine, second: Machine, third: Machine) -> None:
    async with first.runs(**FOUND) as started:
        await second.joins(started.invite)
        with pytest.raises(Refused, match="used up"):
            await third.joins(started.invite)

    assert not (third.place / "third" / "identity").exists()


async def test_a_wrong_token_opens_nothing(first: Machine, second: Machine) -> None:
    async with first.runs(**FOUND):
        with pytest.raises(Refused, match="token unknown or wrong"):
            await second.joins(token=WRONG_TOKEN, join=address(first))


async def test_a_join_into_another_network_than_the_named_one_is_refused(first: Machine, second: Machine) -> None:
    async with first.runs(**FOUND):
        with pytest.raises(Refused, match=f"this is network {NETWORK}, not other"):
            await second.joins(token=await new_token(first), join=address(first), network="other")

    assert not (second.place / "second" / "identity").exists()


async def test_a_port_in_use_is_refused_before_anything_is_made(first: Machine) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", first.port))
        with pytest.raises(Conflict, match=f"UDP port {first.port} is in use"):
            await first.start_fails(**FOUND)

    assert not (first.place / "first" / "ca").exists()


async def test_a_founding_given_up_leaves_no_ca_at_work_beside_another_network(first: Machine, second: Machine) -> None:
    async with first.runs(**FOUND) as started:
        async with second.runs(ca=True, network="given-up"):
            pass
        (second.place / "second" / "identity").rename(second.place / "given up")
        async with second.runs(started.invite) as joined:
            with pytest.raises(Refused, match="tokens live on the CA"):
                await second.ask(lambda client: TokenCalls(client).list_tokens())

    assert joined.node.network == NETWORK


async def test_sigterm_stops_a_node_as_its_owner_does(first: Machine) -> None:
    async with asyncio.timeout(PATIENCE):
        await node.run(first.config(**FOUND), lambda _: os.kill(os.getpid(), signal.SIGTERM))

    assert not first.socket.exists()
