"""The interface by its keys, before a node that answers from memory."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.events import Key
from textual.keys import _character_to_key
from textual.pilot import Pilot
from textual.widgets import DataTable, Input, Static

from pulse.schemas.dns import RecordRef, RecordRequest
from pulse.schemas.names import NameRequest, TagRequest
from pulse.schemas.pin import PinRequest, UnpinRequest
from pulse.schemas.policy import FlowRequest, RuleMove, RuleRef, RuleRequest
from pulse.schemas.revoke import RevokeRequest
from pulse.schemas.routes import RouteRef
from pulse.schemas.tokens import TokenRequest
from pulse.tui.app import TopApp
from pulse.tui.commands import _WRITTEN
from pulse.tui.model import Sorting
from pulse.tui.pane import Pane
from pulse.tui.tables import TABLES
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

    def bursts(self, text: str) -> None:
        """All of it typed before the first key is heard, as over a slow line."""
        for character in text:
            key = {"\r": "enter", "↓": "down"}.get(character) or _character_to_key(character)
            self.app.post_message(Key(key, character if character.isprintable() and character != "↓" else None))


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
        await shown.types("3")
        await shown.wait(lambda: any("tag:backend" in cell for row in shown.rows for cell in row))
        await shown.types("q")
        await shown.wait(lambda: [row[0] for row in shown.rows] == ["web", "db", "cam"])
        await shown.types("q")
        assert shown.app._exit


@pytest.mark.parametrize("key", ["d", "enter"])
async def test_details_have_the_reason(data_dir: Path, many: FakeControl, key: str) -> None:
    async with screen(data_dir, 3) as shown:
        await shown.types(key)
        await shown.wait(lambda: isinstance(shown.app.screen, Pane))
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


@pytest.mark.parametrize("typed", [":restart", "/strata", "↓:sSdq?135"])
async def test_keys_of_one_burst_are_for_the_line_that_the_first_opened(
    data_dir: Path, many: FakeControl, typed: str
) -> None:
    async with screen(data_dir, 3) as shown:
        shown.bursts(typed)
        line = shown.app.query_one("#line", Input)
        await shown.wait(lambda: line.value == typed.lstrip("↓")[1:])
        assert (shown.app.table, shown.app.sorting, len(shown.app.screen_stack)) == (TABLES[0], Sorting(), 1)


async def test_a_burst_is_heard_in_order_and_its_command_is_of_the_line_it_was_typed_at(
    data_dir: Path, many: FakeControl
) -> None:
    async with screen(data_dir, 3) as shown:
        shown.bursts("↓tprod\r")
        await shown.wait(lambda: TagRequest("db", "prod") in many.asked)


async def test_lines_of_one_burst_are_run_one_after_the_other(data_dir: Path, many: FakeControl) -> None:
    async with screen(data_dir, 3) as shown:
        shown.bursts(":tag web a\r:untag web edge\r")
        await shown.wait(lambda: len([each for each in many.asked if isinstance(each, TagRequest)]) == 2)
        assert {each.tag for each in many.asked if isinstance(each, TagRequest)} == {"a", "edge"}


async def test_what_was_typed_ahead_of_a_question_answers_none(data_dir: Path, many: FakeControl) -> None:
    async with screen(data_dir, 3) as shown:
        shown.bursts(":revoke web\ry\r")
        await shown.wait(lambda: shown.text("note") == "pulse revoke web: sure?")
        assert shown.app.query_one("#line", Input).value == ""
        await shown.types("enter")
        assert shown.text("note") == "nothing is changed"
        assert not [each for each in many.asked if isinstance(each, RevokeRequest)]


async def test_while_the_line_is_open_neither_tab_nor_the_mouse_leads_away_from_it(
    data_dir: Path, many: FakeControl
) -> None:
    async with screen(data_dir, 3) as shown:
        await shown.types("colon", "tab", "s")
        await shown.pilot.click("#table", offset=(2, 2))
        await shown.types("t")
        assert shown.app.query_one("#line", Input).value == "st"
        await shown.types("escape", "down")
        grid = shown.app.query_one("#table", DataTable)
        assert grid.has_focus


@pytest.mark.parametrize("keys", [(), ("colon", "x"), ("question_mark",)])
async def test_control_c_leaves_wherever_it_is_pressed(
    data_dir: Path, many: FakeControl, keys: tuple[str, ...]
) -> None:
    async with screen(data_dir, 3) as shown:
        await shown.types(*keys, "ctrl+c")
        await shown.wait(lambda: shown.app._exit)


async def test_the_colon_leads_to_views_by_name(data_dir: Path, many: FakeControl) -> None:
    async with screen(data_dir, 3) as shown:
        await shown.types("colon", *"tok", "enter")
        await shown.wait(lambda: bool(shown.rows) and shown.rows[0][1] == "good")
        assert not shown.app.query_one("#line", Input).display


async def test_a_node_that_went_is_told_and_what_was_seen_stays(data_dir: Path, many: FakeControl) -> None:
    async with screen(data_dir, 3) as shown:
        (data_dir / "pulse.sock").rename(data_dir / "away")
        await shown.wait(lambda: "no pulse node is running here" in shown.text("note"))
        assert len(shown.rows) == 3
        assert shown.text("sentence").startswith("The node is gone or silent: what is shown is ")
        (data_dir / "away").rename(data_dir / "pulse.sock")
        await shown.wait(lambda: "? help" in shown.text("note"))
        assert not shown.app.query_one("#note").has_class("failed")
        assert shown.text("sentence") == "All well. 2 nodes, 2 direct."


ACTIONS: dict[tuple[str, str], tuple[str, type, bool]] = {
    ("nodes", "t"): ("prod", TagRequest, False),
    ("nodes", "u"): ("edge", TagRequest, False),
    ("nodes", "n"): ("front", NameRequest, False),
    ("nodes", "p"): ("db", PinRequest, False),
    ("nodes", "P"): ("", UnpinRequest, False),
    ("nodes", "R"): ("", RevokeRequest, True),
    ("policy", "a"): ("web --to db", RuleRequest, False),
    ("policy", "m"): ("1", RuleMove, False),
    ("policy", "e"): ("laptop db-server:5432", FlowRequest, False),
    ("policy", "R"): ("", RuleRef, True),
    ("tokens", "a"): ("", TokenRequest, False),
    ("tokens", "R"): ("", str, True),
    ("dns", "a"): ("x A 10.9.0.9", RecordRequest, False),
    ("dns", "R"): ("", RecordRef, True),
    ("routes", "a"): ("", RouteRef, False),
    ("routes", "R"): ("", RouteRef, True),
}
"""What finishes the command of a key, what the node is asked then, and whether a person is asked before."""


@pytest.mark.parametrize("view", dict.fromkeys(view for view, _ in ACTIONS))
async def test_every_action_of_a_view_reaches_the_node(data_dir: Path, many: FakeControl, view: str) -> None:
    async with screen(data_dir, 3) as shown:
        await shown.types(str([each.name for each in TABLES].index(view) + 1))
        await shown.wait(lambda: shown.app.table.name == view and bool(shown.rows))
        for (of, key), action in ACTIONS.items():
            if of == view:
                await acts(shown, many, key, *action)


async def acts(shown: Screen, control: FakeControl, key: str, typed: str, kind: type, sure: bool) -> None:
    """Press it, type what finishes its command, say yes if it is asked about, and wait until the node was asked."""
    before = len(control.asked)
    await shown.types(key, *typed, "enter")
    if sure:
        await shown.wait(lambda: shown.text("note").endswith("sure?"))
        await shown.types("y", "enter")
    await shown.wait(lambda: any(isinstance(each, kind) for each in control.asked[before:]))
    await shown.wait(lambda: not shown.text("note").startswith("pulse "))
    await shown.types("escape")


def test_no_action_is_left_out() -> None:
    """Those on paths are those on nodes."""
    assert {*ACTIONS} == {each for each in _WRITTEN if each[0] != "paths"}
    assert {text for (view, _), text in _WRITTEN.items() if view == "paths"} == {
        text for (view, _), text in _WRITTEN.items() if view == "nodes"
    }


async def test_the_question_mark_says_what_the_keys_do_and_q_closes_it(data_dir: Path, many: FakeControl) -> None:
    async with screen(data_dir, 3) as shown:
        await shown.types("question_mark")
        await shown.wait(lambda: isinstance(shown.app.screen, Pane))
        assert "With a node under the cursor" in str(shown.app.screen.query_one("#text", Static).render())
        await shown.types("q")
        assert not isinstance(shown.app.screen, Pane)
        assert not shown.app._exit


async def test_a_narrow_screen_leaves_columns_out_and_a_wider_one_has_them(data_dir: Path, many: FakeControl) -> None:
    async with screen(data_dir, 3) as shown:
        grid = shown.app.query_one("#table", DataTable)
        await shown.pilot.resize_terminal(80, 24)
        await shown.wait(lambda: len(grid.columns) == 7)
        assert max(map(len, shown.rows)) == 7
        await shown.pilot.resize_terminal(180, 48)
        await shown.wait(lambda: len(grid.columns) == 15)
        assert [row[0] for row in shown.rows] == ["web", "db", "cam"]


async def test_a_cell_that_has_no_room_ends_in_an_ellipsis(data_dir: Path, control: FakeControl) -> None:
    control.node.peers = [peer("n" * 63, id="1" * 64)]
    async with screen(data_dir) as shown:
        await shown.pilot.resize_terminal(80, 24)
        await shown.wait(lambda: shown.rows[0][0].endswith("n…"))
        assert sum(map(len, shown.rows[0])) + 2 * len(shown.rows[0]) <= 80


async def test_what_happens_is_looked_at_when_it_happens(data_dir: Path, many: FakeControl) -> None:
    async with screen(data_dir, 3) as shown:
        await shown.types("5")
        await shown.wait(lambda: shown.app.table.name == "dns" and bool(shown.rows))
        shown.app._stirred.set()
        many.dns.there = []
        await shown.wait(lambda: shown.rows == [])
