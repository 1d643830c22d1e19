"""Insight: a node that is composed tells how it is, and remembers that it started."""

from pathlib import Path

from pulse.core.events import Kind
from pulse.schemas.events import EventsQuery
from pulse.services import enrol
from pulse.store.files import open_data_dir
from tests.authority import MESH
from tests.killpoints.damage import started


async def test_the_start_is_the_first_that_the_journal_has(tmp_path: Path) -> None:
    enrol.found(open_data_dir(tmp_path / "data"), "harmed", MESH, "first")
    async with started(tmp_path / "data") as made:
        first, *_ = (await made.control.events.events(EventsQuery())).events

        assert first.type == Kind.START
        assert (await made.control.node.status()).node.name == "first"


async def test_other_nodes_can_ask_for_traces_reasons_and_sums(tmp_path: Path) -> None:
    enrol.found(open_data_dir(tmp_path / "data"), "harmed", MESH, "first")
    async with started(tmp_path / "data") as made:
        counted = {"hits.report", "hits.get", "stats.report", "stats.get", "stats.peers"}
        assert set(made.telling.methods) == {"trace", "why", *counted}
