"""What `pulse top` looks like: each view on a screen of 80 by 24 and on a wide one, and what opens over them.

The node answers from memory and is looked at once, by a clock of its own; runs before real meshes are in tests/e2e.
"""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from textual.widgets import DataTable, Static
from textual.worker import Worker

from pulse.schemas.pin import PinInfo
from pulse.tui.app import TopApp
from pulse.tui.pane import Pane
from pulse.tui.tables import TABLES
from pulse.tui.views import nodes
from tests.api.fake_control import FakeControl, peer
from tests.api.fake_ways import ID
from tests.tui.snapshots import WRITES, agrees
from tests.tui.test_app import Screen

NARROW, WIDE = (80, 24), (160, 30)

LAPTOP, CAM = "9" * 64, "8" * 64

PEERS = [
    peer("relay-01", id=ID, v4="10.100.41.7", roles=["ca", "scribe"], version="0.1.0", mtu=1340, hops=1),
    peer(
        "laptop", link="websocket", via="relay-01", rtt=0.061, loss=0.004, path=[ID, LAPTOP], hops=2, suspect=True,
        tags=["backend", "staging"], version="0.1.0", address="", mtu=1280, v4="10.100.9.140",
        pinned=PinInfo(LAPTOP, "laptop", "relay-01", ID, direct=False, followed=True, problem=""),
    ),
    peer("cam-7", id=CAM, v4="10.100.77.2", link="-", seen=7200.0, last_error="timed out", address=""),
]  # fmt: skip

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def mesh(control: FakeControl, monkeypatch: pytest.MonkeyPatch) -> FakeControl:
    control.node.peers = PEERS
    pause, never = TopApp._pause, float("inf")

    def looks_once(app: TopApp, worker: Worker[None], *_: float) -> None:
        pause(app, worker, never, never)

    monkeypatch.setattr(TopApp, "_pause", looks_once)
    seconds = itertools.count()
    monkeypatch.setattr(nodes, "time", SimpleNamespace(monotonic=lambda: float(next(seconds))))
    return control


@asynccontextmanager
async def shown(data_dir: Path, size: tuple[int, int] = NARROW) -> AsyncIterator[Screen]:
    app = TopApp(data_dir)
    # What was moved before the look that is drawn: bytes of every second, by the clock of the test.
    for rates, counts in ((app._memory.rates_out, (0, 9e5, 5e5)), (app._memory.rates_in, (0, 0, 4e3))):
        total = 0.0
        for at, count in enumerate(counts, -len(counts)):
            total += count
            rates.looked({LAPTOP: -2e6 + total, CAM: 1.0}, float(at))
    async with app.run_test(size=size) as pilot:
        screen = Screen(app, pilot)
        await screen.wait(lambda: len(screen.rows) == len(PEERS))
        yield screen


@pytest.mark.parametrize("place", range(1, len(TABLES) + 1), ids=[each.name for each in TABLES])
async def test_a_view_looks_as_it_did(data_dir: Path, mesh: FakeControl, place: int) -> None:
    name = TABLES[place - 1].name
    async with shown(data_dir) as screen:
        if place > 1:
            await screen.types(str(place))
            await screen.wait(lambda: bool(screen.rows) and screen.app.table.name == name)
        await agrees(f"{name}-{NARROW[0]}", screen.pilot)
        await screen.pilot.resize_terminal(*WIDE)
        fits = [each for each in TABLES[place - 1].columns if each.wide <= WIDE[0]]
        grid = screen.app.query_one("#table", DataTable)
        await screen.wait(lambda: len(grid.columns) == len(fits) and bool(screen.rows))
        await agrees(f"{name}-{WIDE[0]}", screen.pilot)


async def test_what_opens_over_a_view_looks_as_it_did(data_dir: Path, mesh: FakeControl) -> None:
    async with shown(data_dir) as screen:
        await screen.types("question_mark")
        await screen.wait(lambda: isinstance(screen.app.screen, Pane))
        await agrees("help", screen.pilot)
        await screen.types("escape", "d")
        await screen.wait(lambda: "NAT" in words(screen.app))
        await agrees("details", screen.pilot)


async def test_the_lines_under_a_view_look_as_they_did(data_dir: Path, mesh: FakeControl) -> None:
    async with shown(data_dir) as screen:
        await screen.types("s", "S", "slash", *"la", "enter")
        await agrees("filtered", screen.pilot)
        await screen.types("R", "enter")
        await screen.wait(lambda: screen.text("note").endswith("sure?"))
        await agrees("question", screen.pilot)
        await screen.types("n", "enter", "colon", *"tpo", "enter")
        await screen.wait(lambda: isinstance(screen.app.screen, Pane))
        await agrees("error", screen.pilot)


def words(app: TopApp) -> str:
    return "".join(str(each.render()) for each in app.screen.query("#text").results(Static))


async def test_another_look_is_noticed_and_shown_line_by_line(
    data_dir: Path, mesh: FakeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(WRITES, raising=False)
    async with shown(data_dir) as screen:
        mesh.node.peers = [peer("other", id=ID)]
        await screen.types("9", "1")
        await screen.wait(lambda: len(screen.rows) == 1)
        with pytest.raises(AssertionError, match=r"(?s)\n- relay-01 .*\n\+ other .*If that is meant"):
            await agrees(f"nodes-{NARROW[0]}", screen.pilot, patience=0)
