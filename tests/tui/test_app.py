"""The interface by its keys, before a node that answers from memory."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Input, Static

from pulse.schemas.names import TagRequest
from pulse.schemas.revoke import RevokeRequest
from pulse.tui.app import TopApp
from pulse.tui.pane import Pane
from tests.api.fake_control import FakeControl, peer

PATIENCE = 30.0

pytestmark = pytest.mark.timeout(120)


class Screen:
    """What is on it."""

    def __init__(self, app: TopApp, pilot: Pilot[None]) -> None:
        self.app, self.pilot = app, pilot

    def text(self, name: str) -> str:
        return str(self.app.screen_stack[0].query_one(f"#{name}", Static).render())

    @property
    def rows(self) -> list[list[str]]:
        grid = self.app.screen_stack[0].query_one("#table", DataTable)
        return [[str(cell) for cell in grid.get_row_at(row)] for row in range(grid.row_count)]

    async def wait(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not true():
                await self.pilot.pause(0.02)

    async def types(self, *keys: str) -> None:
        await self.pilot.press(*keys)


@asynccontextmanager
async def screen(data_dir: Path, rows: int = 1) -> AsyncIterator[Screen]:
    app = TopApp(data_dir)
    async with app.run_test(size=(100, 24)) as pilot:
        shown = Screen(app, pilot)
        await shown.wait(lambda: len(shown.rows) == rows)
        yield shown


@pytest.fixture
def many(control: FakeControl) -> FakeControl:
    control.node.peers = [
        peer(name, id=str(place) * 64, rtt=rtt)
        for place, (name, rtt) in enumerate((("web", 0.03), ("db", 0.01), ("cam", 0.02)))
    ]
    return control


async def test_it_shows_the_sentence_and_the_nodes(data_dir: Path, many: FakeControl) -> None:
    async with screen(data_dir, 3) as shown:
        assert shown.text("sentence") == "All well. 2 nodes, 2 direct."
        assert "mynet" in shown.text("node")
        assert [row[0] for row in shown.rows] == ["web", "db", "cam"]


async def test_what_changes_is_drawn_and_the_cursor_stays_with_its_node(data_dir: Path, many: FakeControl) -> None:
    async with screen(data_dir, 3) as shown:
        await shown.types("down")
        many.node.peers = [peer("new", id="9" * 64), *many.node.peers]
        await shown.wait(lambda: len(shown.rows) == 4)
        grid = shown.app.query_one("#table", DataTable)
        assert shown.rows[grid.cursor_row][0] == "db"


async def test_a_filter_shows_what_fits_and_escape_shows_all(data_dir: Path, many: FakeControl) -> None:
    async with screen(data_dir, 3) as shown:
        await shown.types("slash", "d", "b", "enter")
        assert [row[0] for row in shown.rows] == ["db"]
        assert "filter: db" in shown.text("note")
        await shown.types("escape")
        assert len(shown.rows) == 3
        await shown.types("slash", "w", "e", "escape")
        assert len(shown.rows) == 3, "also while it is typed"


async def test_s_sorts_by_the_next_column_and_shift_s_turns_it_round(data_dir: Path, many: FakeControl) -> None:
    async with screen(data_dir, 3) as shown:
        await shown.types("s")
        assert [row[0] for row in shown.rows] == ["cam", "db", "web"]
        await shown.types("S")
        assert [row[0] for row in shown.rows] == ["web", "db", "cam"]


async def test_numbers_change_the_view_and_q_leads_back_and_out(data_dir: Path, many: FakeControl) -> None:
    async with screen(data_dir, 3) as shown:
        await shown.types("2")
        await shown.wait(lambda: any("tag:backend" in cell for row in shown.rows for cell in row))
        await shown.types("q")
        await shown.wait(lambda: [row[0] for row in shown.rows] == ["web", "db", "cam"])
        await shown.types("q")
        assert shown.app._exit


async def test_details_have_the_reason(data_dir: Path, many: FakeControl) -> None:
    async with screen(data_dir, 3) as shown:
        await shown.types("d")
        assert isinstance(shown.app.screen, Pane)
        pane = shown.app.screen
        await shown.wait(lambda: many.ways.reason.sentence in str(pane.query_one("#text", Static).render()))
        await shown.types("escape")
        assert not isinstance(shown.app.screen, Pane)


async def test_a_tag_is_given_by_its_key(data_dir: Path, many: FakeControl) -> None:
    async with screen(data_dir, 3) as shown:
        await shown.types("t", *"prod", "enter")
        await shown.wait(lambda: "has the tags edge prod" in shown.text("note"))
        assert TagRequest("web", "prod") in many.asked


async def test_a_revocation_is_asked_about_and_no_means_no(data_dir: Path, many: FakeControl) -> None:
    async with screen(data_dir, 3) as shown:
        await shown.types("R", "enter")
        await shown.wait(lambda: shown.text("note") == "pulse revoke web: sure?")
        await shown.types("n", "enter")
        assert shown.text("note") == "nothing is changed"
        assert not [each for each in many.asked if isinstance(each, RevokeRequest)]
        await shown.types("R", "enter", "y", "enter")
        await shown.wait(lambda: any(isinstance(each, RevokeRequest) for each in many.asked))


async def test_an_error_is_shown_where_it_happened(data_dir: Path, many: FakeControl) -> None:
    async with screen(data_dir, 3) as shown:
        await shown.types("colon", *"untag web x", "enter")
        await shown.wait(lambda: 'has no tag "x"' in shown.text("note"))
        assert shown.app.query_one("#note").has_class("failed")


async def test_the_colon_leads_to_views_by_name(data_dir: Path, many: FakeControl) -> None:
    async with screen(data_dir, 3) as shown:
        await shown.types("colon", *"tok", "enter")
        await shown.wait(lambda: bool(shown.rows) and shown.rows[0][1] == "good")
        assert not shown.app.query_one("#line", Input).display


async def test_a_node_that_went_is_told_and_what_was_seen_stays(data_dir: Path, many: FakeControl) -> None:
    async with screen(data_dir, 3) as shown:
        (data_dir / "pulse.sock").unlink()
        await shown.wait(lambda: "no pulse node is running here" in shown.text("note"))
        assert len(shown.rows) == 3
