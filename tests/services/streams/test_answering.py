"""Streams of others: judged here too, and whatever goes wrong with one ends that one."""

import asyncio

import pytest

from pulse.core.network.policy import Rule
from pulse.core.network.streamcodes import StreamCode
from pulse.errors import SystemRefused
from pulse.services.streams import opening
from tests.loopback import PATIENCE
from tests.services.streaming import failing, hold, listening, opened, refused, shout, two


async def test_the_far_end_asks_its_own_rules() -> None:
    async with two() as both, listening(shout) as port:
        both.there.ruled(2, Rule("r1", ["*"], ["*"], allow=True, protocols=[17]))
        assert (await refused(both, port)).code == StreamCode.NOT_ALLOWED


async def test_a_fault_ends_one_stream_and_no_other(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = ((SystemRefused("no more descriptors"), StreamCode.BUSY), (KeyError("x"), StreamCode.BROKEN))
    async with two() as both, listening(hold) as port:
        held, wanted = await opened(both, port), both.there.service.dialling.resolve
        # Who finds no room waits for it.
        monkeypatch.setattr(opening, "OPEN_WITHIN", 0.3)
        for error, code in faults:
            both.there.service.dialling.resolve = failing(error)
            assert (await refused(both, port)).code == code
        both.there.service.dialling.resolve = wanted
        monkeypatch.undo()
        (await opened(both, port)).cancel()
        held.cancel()
    assert "stream not answered" in caplog.text


async def test_a_header_that_makes_no_sense_is_refused() -> None:
    async with two() as both, asyncio.timeout(PATIENCE):
        stream = both.here.node.links.streams.open(both.there.node.me.node_id, b"\xc1")
        assert await stream.answered() == StreamCode.BROKEN
