"""The first line, by what the node tells and whether there is room for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widgets import Static

from pulse.errors import LinkError, PulseError, Refused
from pulse.schemas.scribe import MeshState
from pulse.tui.headline import Headline
from tests.api.fake_control import FakeControl

WELL = "All well. 2 nodes, 2 direct."


class Only(App[None]):
    """An application that has nothing else."""

    def compose(self) -> ComposeResult:
        yield Headline()


@asynccontextmanager
async def line(columns: int) -> AsyncIterator[tuple[Headline, Pilot[None]]]:
    app = Only()
    async with app.run_test(size=(columns, 3)) as pilot:
        yield app.query_one(Headline), pilot


def words(headline: Headline) -> list[str]:
    return [str(headline.query_one(name, Static).render()) for name in ("#sentence", "#node")]


async def told(sentence: str) -> MeshState:
    return msgspec.structs.replace(await FakeControl().node.status(), sentence=sentence)


async def test_the_node_gives_way_to_the_sentence_and_that_ends_in_an_ellipsis() -> None:
    long = "1 thing to see to: relay-01 is not reached: no answer (is it up? is its UDP port open?)."
    async with line(80) as (headline, pilot):
        headline.seen(await told(WELL), 0.0)
        node = words(headline)[1]
        assert words(headline)[0] == WELL
        assert node.startswith("mynet · ")
        headline.seen(await told(long), 0.0)
        cut, node_then = words(headline)
        assert (cut[-1], long.startswith(cut[:-1]), len(cut) > 70, node_then) == ("…", True, True, "")
        await pilot.resize_terminal(160, 3)
        await pilot.pause()
        assert words(headline) == [long, node]


@pytest.mark.parametrize(
    ("why", "who"),
    [(LinkError("gone"), "The node is gone or silent"), (Refused("no"), "The node tells nothing new")],
)
async def test_since_when_what_is_shown_is_old_is_told_until_the_node_is_back(why: PulseError, who: str) -> None:
    async with line(80) as (headline, _):
        headline.missed(why, 3.0)
        assert words(headline)[0] == f"{who}."
        headline.seen(await told(WELL), 10.0)
        for now, old in ((15.0, "5 s"), (40.0, "30 s"), (730.0, "12 min")):
            headline.missed(why, now)
            assert words(headline)[0] == f"{who}: what is shown is {old} old."
        assert headline.query_one("#sentence").has_class("failed")
        headline.seen(await told(WELL), 731.0)
        assert words(headline)[0] == WELL
        assert not headline.query_one("#sentence").has_class("failed")
