"""Places for streams, and the rules that decided on them."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pulse.core.network.policy import Rule
from pulse.core.network.streamcodes import StreamCode
from pulse.core.types import NodeId
from pulse.net.links import RuleHits
from pulse.services.streams import opening
from tests.loopback import PATIENCE
from tests.services.streaming import hold, listening, opened, refused, shout, two


async def test_each_end_counts_the_rule_that_decided_and_what_none_matched() -> None:
    async with two() as both, listening(shout) as port:
        both.ruled(Rule("r1", ["*"], ["*"], allow=True, protocols=[6], ports=[(port, port)]))
        (await opened(both, port)).cancel()
        await refused(both, port + 1)
        both.there.ruled(9, Rule("r2", ["*"], ["*"], allow=False))
        await refused(both, port)
        assert both.here.service.hits() == RuleHits({"r1": 1}, 1)
        assert both.there.service.hits() == RuleHits({"r1": 1, "r2": 1}, 0)


@contextmanager
def hurried() -> Iterator[None]:
    """Meanwhile nobody waits for long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "OPEN_WITHIN", 0.3)
        yield


@pytest.mark.parametrize("full", ["here", "there"])
async def test_no_node_opens_more_streams_than_its_share(full: str) -> None:
    async with two() as both, listening(hold) as port:
        getattr(both, full).service.register.places.of_one = 2
        held = [await opened(both, port) for _ in range(2)]
        with hurried():
            assert (await refused(both, port)).code == StreamCode.BUSY
        held.pop().cancel()
        async with asyncio.timeout(PATIENCE):
            while both.there.service.count() > 1 or both.here.service.count() > 1:
                await asyncio.sleep(0.01)
        (await opened(both, port)).cancel()


@pytest.mark.parametrize("full", ["here", "there"])
async def test_who_finds_no_room_waits_for_it(full: str) -> None:
    async with two() as both, listening(hold) as port, asyncio.timeout(PATIENCE):
        getattr(both, full).service.register.places.of_one = 2
        held = [await opened(both, port) for _ in range(2)]
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(opened(both, port)) for _ in range(4)]
            await asyncio.sleep(0.05)
            assert not any(each.done() for each in waiting)
            for stream in held:
                stream.cancel()
            for first in asyncio.as_completed(waiting):
                (await first).cancel()


async def test_who_takes_what_it_can_leaves_room_for_others() -> None:
    async with two() as both, listening(hold) as port:
        for end in (both.here, both.there):
            end.service.register.places.most = 8
        held = [await opened(both, port) for _ in range(4)]
        # As many as are left for all others.
        with hurried():
            assert (await refused(both, port)).code == StreamCode.BUSY
        assert not both.there.service.register.is_full(NodeId("ab" * 32))
        for each in held:
            each.cancel()
