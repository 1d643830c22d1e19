"""Relay service: a stranger's request goes to the CA unread, and the CA's answer back."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import pytest

from pulse import clock
from pulse.core.trust.join import JOIN_LIMIT, Denied, Refusal, build_general_refusal, parse_answer
from pulse.core.types import NodeId
from pulse.errors import LinkError, Refused
from pulse.net.links import JoinOffer
from pulse.services.relay import PATIENCE, RelayService
from tests.authority import NOW, node, request, token
from tests.fakes import FakeLinks

CA, SECOND_CA = sorted((node("ca"), node("second ca")))
TOKEN = token("invite")
ASKED = request("newcomer", TOKEN)


@pytest.fixture(autouse=True)
def fixed_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "wall", lambda: NOW)


class Mesh:
    """The RPCs a relay makes, and what each node answers."""

    def __init__(self, answers: Mapping[NodeId, bytes | Exception]) -> None:
        self.answers = answers
        self.calls: list[tuple[NodeId, str, bytes, float]] = []

    async def call(self, to: NodeId, method: str, body: bytes, timeout: float) -> bytes:
        self.calls.append((to, method, body, timeout))
        answer = self.answers[to]
        if isinstance(answer, Exception):
            raise answer
        return answer


@asynccontextmanager
async def relaying(
    links: FakeLinks, mesh: Mesh, ca_nodes: Callable[[], frozenset[NodeId]] | None = None
) -> AsyncIterator[None]:
    known = ca_nodes or (lambda: frozenset({NodeId(each) for each in mesh.answers}))
    task = asyncio.ensure_future(RelayService(links, mesh.call, known).run())
    yield
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def answered(links: FakeLinks, offer: int) -> bytes:
    async with asyncio.timeout(10):
        while offer not in links.join_answers:
            await asyncio.sleep(0)
    return links.join_answers[offer]


def refusal(answer: bytes) -> Denied:
    """What the joiner reads, who believes a relay so much and no more."""
    denied = parse_answer(answer, ASKED, TOKEN.keys)
    assert isinstance(denied, Denied)
    return denied


async def test_the_request_reaches_the_ca_unread_and_its_answer_the_stranger() -> None:
    links, mesh = FakeLinks(), Mesh({CA: b"answer"})
    async with relaying(links, mesh):
        links.offers(JoinOffer(7, "203.0.113.7:5000", ASKED))

        assert await answered(links, 7) == b"answer"
    assert mesh.calls == [(CA, "join", ASKED, PATIENCE)]


async def test_a_ca_that_hangs_up_hangs_up_on_the_stranger() -> None:
    links = FakeLinks()
    async with relaying(links, Mesh({CA: b""})):
        links.offers(JoinOffer(1, "203.0.113.7:5000", b"garbage"))

        assert await answered(links, 1) == b""


async def test_a_second_ca_node_is_asked_if_the_first_cannot_be_reached() -> None:
    links, mesh = FakeLinks(), Mesh({CA: LinkError("no answer"), SECOND_CA: b"answer"})
    async with relaying(links, mesh):
        links.offers(JoinOffer(1, "203.0.113.7:5000", ASKED))

        assert await answered(links, 1) == b"answer"
    assert [call[0] for call in mesh.calls] == [CA, SECOND_CA]


@pytest.mark.parametrize("error", [LinkError("no answer"), Refused("the CA does not know this relay")])
async def test_a_ca_that_does_not_answer_is_unreachable_for_the_stranger(error: Exception) -> None:
    links = FakeLinks()
    async with relaying(links, Mesh({CA: error})):
        links.offers(JoinOffer(1, "203.0.113.7:5000", ASKED))

        assert refusal(await answered(links, 1)) == Denied(Refusal.CA_UNREACHABLE, NOW)


async def test_an_answer_longer_than_the_lane_takes_is_none() -> None:
    links = FakeLinks()
    async with relaying(links, Mesh({CA: bytes(JOIN_LIMIT + 1)})):
        links.offers(JoinOffer(1, "203.0.113.7:5000", ASKED))

        assert refusal(await answered(links, 1)) == Denied(Refusal.CA_UNREACHABLE, NOW)


async def test_a_relay_that_met_no_ca_yet_says_so() -> None:
    links = FakeLinks()
    async with relaying(links, Mesh({})):
        links.offers(JoinOffer(1, "203.0.113.7:5000", ASKED))

        assert await answered(links, 1) == build_general_refusal(Refusal.CA_UNREACHABLE, NOW)


async def test_a_slow_answer_holds_up_no_other_stranger() -> None:
    links, over = FakeLinks(), asyncio.Event()

    class Slow(Mesh):
        async def call(self, to: NodeId, method: str, body: bytes, timeout: float) -> bytes:
            if body == b"slow":
                await over.wait()
            return body

    async with relaying(links, Slow({CA: b""})):
        links.offers(JoinOffer(1, "203.0.113.7:5000", b"slow"))
        links.offers(JoinOffer(2, "203.0.113.8:5000", b"quick"))
        assert await answered(links, 2) == b"quick"
        assert 1 not in links.join_answers
        over.set()
        assert await answered(links, 1) == b"slow"
