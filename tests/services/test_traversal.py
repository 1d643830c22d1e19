"""Traversal service: questions and answers over the session, probes by the data plane."""

import asyncio

import pytest

from pulse.core.effects import AnswerPunch, AskPunch, Attempt, ExpectProbes, SendProbe, SendProbesApart
from pulse.core.facts import Fact, PunchAnswered, PunchAsked
from pulse.core.paths.traversal import ANSWER
from pulse.core.types import NodeId
from pulse.errors import LinkError, Refused
from pulse.services.traversal import TraversalService
from tests.authority import node
from tests.fakes import FakeLinks

ALICE, BOB = node("alice"), node("bob")


class World:
    """A node that hears an answer of alice and none of bob; its mesh says `answer` to whoever asks."""

    def __init__(self, answer: bytes | None = None) -> None:
        self.links = FakeLinks()
        self.facts: asyncio.Queue[Fact] = asyncio.Queue()
        self.asked: list[tuple[str, bytes, float]] = []
        self.answer = answer
        self.service = TraversalService(self.links, self.call, self.tell)

    async def call(self, who: NodeId, method: str, body: bytes, timeout: float) -> bytes:
        self.asked.append((method, body, timeout))
        if who != ALICE:
            raise LinkError("no answer")
        return b"here"

    def tell(self, fact: Fact) -> None:
        self.facts.put_nowait(fact)
        if isinstance(fact, PunchAsked):
            self.service.perform(AnswerPunch(fact.call, self.answer))


async def test_what_a_node_answers_is_told_and_so_is_silence() -> None:
    world = World()
    running = asyncio.ensure_future(world.service.run())
    world.service.perform(AskPunch(ALICE, b"one"))
    world.service.perform(AskPunch(BOB, b"two"))
    async with asyncio.timeout(10):
        facts = [await world.facts.get(), await world.facts.get()]
    running.cancel()

    assert facts == [PunchAnswered(ALICE, b"here"), PunchAnswered(BOB, None, "no answer")]
    assert world.asked == [("punch", b"one", ANSWER), ("punch", b"two", ANSWER)]
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_another_node_gets_what_the_mesh_answers() -> None:
    world = World(b"me too")

    assert await world.service.answer(ALICE, b"where are you") == b"me too"
    assert world.facts.get_nowait() == PunchAsked(1, ALICE, b"where are you")


async def test_another_node_is_told_that_the_mesh_will_not() -> None:
    with pytest.raises(Refused, match="not now"):
        await World(None).service.answer(ALICE, b"")


def test_probes_and_whose_are_expected_are_the_data_planes() -> None:
    world = World()
    attempt = Attempt(7, bytes(32), bytes(32))
    world.service.perform(ExpectProbes((attempt,)))
    world.service.perform(SendProbe("192.0.2.1:443", 7))
    world.service.perform(SendProbesApart("192.0.2.2:443", 7, 10))

    assert (world.links.expected, world.links.probes) == ((attempt,), [("192.0.2.1:443", 7)])
    assert world.links.probes_apart == [("192.0.2.2:443", 7, 10)]
