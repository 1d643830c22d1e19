"""Streams of ours: who may, how long they wait, and what a person is told."""

import asyncio
from ipaddress import ip_address

import pytest

from pulse.core.network import streamcodes
from pulse.core.network.destinations import Destination, IPAddress
from pulse.core.network.policy import Rule
from pulse.core.network.streamcodes import StreamCode, StreamKind
from pulse.core.types import NodeId
from pulse.errors import StreamFailed
from pulse.services.streams import opening, paths
from tests.loopback import PATIENCE
from tests.services.streaming import hold, listening, opened, refused, shout, two


async def test_what_the_rules_deny_is_refused_before_anything_is_sent() -> None:
    async with two() as both, listening(shout) as port:
        both.here.ruled(2, Rule("r1", ["*"], ["*"], allow=True, protocols=[6], ports=[(port + 1, port + 1)]))
        error = await refused(both, port)
        assert error.code == StreamCode.NOT_ALLOWED
        here, there = (each.node.me.node_id[:12] for each in (both.here, both.there))
        assert f"pulse acl explain {here} {there}:{port}" in str(error)
        assert both.there.service.count() == 0


async def test_a_node_that_is_away_or_is_ourselves_is_said_so() -> None:
    async with two() as both:
        with pytest.raises(StreamFailed, match="is this node itself"):
            await both.here.service.open(both.here.node.me.node_id, Destination("localhost", 1), StreamKind.CONNECT)
        with pytest.raises(StreamFailed) as raised:
            await both.here.service.open(NodeId("ab" * 32), Destination("localhost", 1), StreamKind.CONNECT)
        assert raised.value.code == StreamCode.NOT_ALLOWED


async def test_an_opener_who_gives_up_leaves_nothing_behind() -> None:
    async with two() as both, listening(hold) as port:
        async with asyncio.TaskGroup() as tasks:
            opening = tasks.create_task(opened(both, port))
            await asyncio.sleep(0)
            opening.cancel()
        async with asyncio.timeout(PATIENCE):
            while both.there.service.count() or both.here.service.count():
                await asyncio.sleep(0.01)


async def test_a_path_that_is_just_coming_up_is_waited_for() -> None:
    async with two() as both, listening(hold) as port, asyncio.timeout(PATIENCE):
        both.here.has_path = False
        async with asyncio.TaskGroup() as tasks:
            opening = tasks.create_task(opened(both, port))
            await asyncio.sleep(0.05)
            assert both.here.service.count() == 0, "nothing is sent where no path leads"
            both.here.has_path = True
            both.here.service.routes_changed()
        opening.result().cancel()


@pytest.mark.parametrize("kind", [StreamKind.CONNECT, StreamKind.SOCKS, StreamKind.LISTEN])
async def test_where_no_path_leads_nobody_waits_for_long(monkeypatch: pytest.MonkeyPatch, kind: StreamKind) -> None:
    monkeypatch.setattr(paths, "PATH_WITHIN", 0.05)
    async with two() as both, listening(hold) as port:
        both.here.has_path = False
        error = await refused(both, port, kind=kind)
    assert (error.code, error.word, error.exit_code) == (StreamCode.AWAY, "away", 5)
    there = both.there.node.me.node_id[:12]
    assert str(error).startswith(f"{there} ({there}) cannot be reached now: it is off, or no path leads there.\n")
    assert str(error).endswith(f"See which: pulse why {there}")


async def test_who_waits_for_an_answer_is_told_once_the_last_path_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a session does that has lost its node: it would wait for two minutes."""
    monkeypatch.setattr(paths, "PATH_WITHIN", 0.05)
    async with two() as both, asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
        both.there.service.dialling.resolve = endless
        asking = tasks.create_task(refused(both, 1, "slow.example"))
        while not both.there.service.count():
            await asyncio.sleep(0.01)
        both.here.has_path = False
        both.here.service.routes_changed()
        assert (await asking).code == StreamCode.AWAY
        while both.there.service.count() or both.here.service.count():
            await asyncio.sleep(0.01)


async def test_one_limit_is_for_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "OPEN_WITHIN", 0.05)
    async with two() as both:
        both.there.service.dialling.resolve = endless
        error = await refused(both, 1, "slow.example")
    assert (error.code, error.exit_code) == (StreamCode.SILENT, 5)
    assert "pulse why" in str(error)


async def test_a_node_is_asked_for_so_many_at_once_and_the_rest_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "ASKED_AT_ONCE", 2)
    may = asyncio.Event()

    async def slow(_: str) -> list[IPAddress]:
        await may.wait()
        return [ip_address("127.0.0.1")]

    async with two() as both, listening(hold) as port, asyncio.timeout(PATIENCE):
        both.there.service.dialling.resolve = slow
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(opened(both, port, "slow.example")) for _ in range(5)]
            while both.there.service.count() < 2:
                await asyncio.sleep(0.01)
            assert both.here.service.count() == 2
            may.set()
        for each in asked:
            each.result().cancel()
        assert both.here.service.opening._turns == {}


async def endless(_: str) -> list[IPAddress]:
    """A name server that lets everybody wait."""
    await asyncio.Event().wait()
    return []


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (StreamCode.LOST, "pulse why bob"),
        (StreamCode.RESET, "its program broke the connection off"),
        (StreamCode.CANCELLED, "was cut here"),
        (StreamCode.BROKEN, "pulse why bob"),
    ],
)
def test_what_cut_a_stream_is_said_with_the_next_step(code: StreamCode, said: str) -> None:
    error = streamcodes.cut(code, "bob (4be27a3391c0)", Destination("localhost", 22))
    assert (error.word, error.exit_code) == (code.word, 5)
    assert "the stream to localhost:22 on bob (4be27a3391c0) was cut" in str(error)
    assert said in str(error)
