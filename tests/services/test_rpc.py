"""RPC: one answer to each request, and one that fails harms no other."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from pulse.core.messages import RPC_LIMIT, MethodName, decode_answer, encode_call
from pulse.core.types import NodeId
from pulse.errors import Conflict, LinkError, NotFound, PulseError, Refused
from pulse.services import rpc
from pulse.services.rpc import Method, RpcService, echo
from tests.authority import node
from tests.fakes import FakeLinks

ALICE, BOB = node("alice"), node("bob")


async def who(caller: NodeId, _: bytes) -> bytes:
    """Tell the caller who it is."""
    return caller.encode()


async def refuse(caller: NodeId, body: bytes) -> bytes:
    """Say no."""
    raise Refused("operators only")


async def break_down(caller: NodeId, body: bytes) -> bytes:
    """A mistake in a method."""
    raise KeyError("secret detail")


@asynccontextmanager
async def two_nodes(methods: Mapping[str, Method]) -> AsyncIterator[RpcService]:
    """Alice's service, whose calls reach Bob, who has these methods."""
    bob = FakeLinks(node=BOB)
    task = asyncio.ensure_future(RpcService(bob, methods).run())
    yield RpcService(FakeLinks(node=ALICE, far={BOB: bob}), {})
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_method_is_called_and_answered() -> None:
    async with two_nodes({"ping": echo}) as alice:
        assert await alice.call(BOB, "ping", b"hello") == b"hello"


async def test_a_method_knows_its_verified_caller() -> None:
    async with two_nodes({"who": who}) as alice:
        assert await alice.call(BOB, "who") == ALICE.encode()


async def test_a_method_may_say_no_and_the_caller_hears_the_reason() -> None:
    async with two_nodes({"config.edit": refuse}) as alice:
        with pytest.raises(Refused, match="operators only"):
            await alice.call(BOB, "config.edit")


async def test_who_keeps_the_journal_is_told_who_was_refused_what_it_may_not_do() -> None:
    told: list[tuple[str, NodeId]] = []
    bob = FakeLinks(node=BOB)
    service = RpcService(
        bob, dict.fromkeys(("config.edit", MethodName.PUNCH), refuse), refused=lambda why, who: told.append((why, who))
    )
    task = asyncio.ensure_future(service.run())
    alice = RpcService(FakeLinks(node=ALICE, far={BOB: bob}), {})
    for method in (MethodName.PUNCH, "config.edit", "nothing"):
        with pytest.raises(PulseError):
            await alice.call(BOB, method)
    task.cancel()

    assert told == [("request refused; operators only", ALICE)]


async def test_an_unknown_method_is_not_found_and_its_name_moves_no_cursor() -> None:
    async with two_nodes({}) as alice:
        with pytest.raises(NotFound, match="later release") as error:
            await alice.call(BOB, "la\x1b[2J")
    assert "\x1b" not in str(error.value)


async def test_a_request_that_breaks_a_method_is_answered_and_the_next_one_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with two_nodes({"bad": break_down, "ping": echo}) as alice:
        with pytest.raises(PulseError, match="its log says how") as error:
            await alice.call(BOB, "bad")
        assert await alice.call(BOB, "ping", b"still here") == b"still here"
    assert "secret" not in str(error.value)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        "request broke a method"
    ]


async def test_an_answer_that_is_too_long_is_refused_and_the_next_one_given() -> None:
    async def much(_: NodeId, __: bytes) -> bytes:
        return bytes(RPC_LIMIT)

    async with two_nodes({"much": much, "ping": echo}) as alice:
        with pytest.raises(PulseError, match="answer of"):
            await alice.call(BOB, "much")
        assert await alice.call(BOB, "ping", b"still there") == b"still there"


async def test_bytes_that_are_no_request_are_answered() -> None:
    bob = FakeLinks(node=BOB)
    task = asyncio.ensure_future(RpcService(bob, {}).run())

    with pytest.raises(PulseError, match="undecodable request"):
        decode_answer(await bob.asks(ALICE, b"\xc1"))
    task.cancel()


async def test_a_slow_request_holds_up_no_other() -> None:
    over = asyncio.Event()

    async def wait(caller: NodeId, body: bytes) -> bytes:
        await over.wait()
        return b"done"

    async with two_nodes({"wait": wait, "ping": echo}) as alice, asyncio.TaskGroup() as tasks:
        slow = tasks.create_task(alice.call(BOB, "wait"))
        assert await alice.call(BOB, "ping", b"quick") == b"quick"
        over.set()
        assert await slow == b"done"


async def test_only_so_many_requests_are_worked_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "AT_ONCE", 2)
    inside, most = 0, 0

    async def count(caller: NodeId, body: bytes) -> bytes:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0)
        inside -= 1
        return b""

    async with two_nodes({"count": count}) as alice, asyncio.TaskGroup() as tasks:
        for _ in range(20):
            tasks.create_task(alice.call(BOB, "count"))
    assert most == 2


async def test_a_node_no_link_leads_to_is_an_error_of_the_link() -> None:
    async with two_nodes({}) as alice:
        with pytest.raises(LinkError, match="no link leads there"):
            await alice.call(node("carol"), "ping")


async def test_a_node_that_does_not_answer_is_waited_for_so_long() -> None:
    alice = RpcService(FakeLinks(node=ALICE, far={BOB: FakeLinks()}), {})
    with pytest.raises(LinkError, match="no answer"):
        await alice.call(BOB, "ping", timeout=0.0)


async def test_an_error_of_the_far_node_keeps_its_kind() -> None:
    async def collide(caller: NodeId, body: bytes) -> bytes:
        raise Conflict("taken")

    async with two_nodes({"take": collide}) as alice:
        with pytest.raises(Conflict, match="taken"):
            await alice.call(BOB, "take")


async def test_a_request_is_decoded_from_what_call_encodes() -> None:
    bob = FakeLinks(node=BOB)
    task = asyncio.ensure_future(RpcService(bob, {"ping": echo}).run())

    assert decode_answer(await bob.asks(ALICE, encode_call("ping", b"x"))) == b"x"
    task.cancel()
