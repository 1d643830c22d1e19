"""Counters are reported by every node, kept by the scribe, and neither lost nor doubled by what happens to it."""

import asyncio
from collections.abc import Callable

import pytest

from pulse.core.messages import MethodName, pack
from pulse.core.network import reporter
from pulse.core.network.tally import Report
from pulse.errors import LinkError, ProtocolError, Refused
from pulse.services import tally as module
from tests.services.counting import RULES, Mesh, mesh
from tests.services.office import CAM, HOME, RELAY, fill_disk

__all__ = ["fill_disk", "mesh"]

METHODS = (MethodName.HITS, MethodName.STATS)
LIE = pack(Report(bytes(16), 1, {"r1": 9, "bytes_in": 9}))


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute is over each time."""
    monkeypatch.setattr(reporter, "AGAIN", 0.0)


async def test_an_answer_that_is_lost_doubles_nothing(mesh: Mesh) -> None:
    mesh.counted(RELAY, r1=3)
    mesh.moved(RELAY, HOME, 300)
    mesh.deaf.add(RELAY.node_id)
    assert await mesh.report(RELAY, RELAY) == [False, False]
    mesh.deaf.clear()
    mesh.counted(RELAY, r1=4)
    mesh.moved(RELAY, HOME, 400)
    await mesh.report(RELAY)

    assert await mesh.flows() == [4, 0, 0]
    assert await mesh.bytes() == {"relay": (400, 0)}


async def test_a_scribe_killed_before_it_wrote_is_told_again_and_counts_once(mesh: Mesh, hasty: None) -> None:
    mesh.counted(RELAY, r1=3)
    mesh.moved(RELAY, HOME, 300)
    await mesh.report(RELAY)
    mesh.write()
    mesh.counted(RELAY, r1=9)
    mesh.moved(RELAY, HOME, 900)
    await mesh.report(RELAY)
    mesh.start(HOME)
    assert await mesh.flows() == [3, 0, 0]
    assert await mesh.bytes() == {"relay": (300, 0)}

    await mesh.report(RELAY)
    assert await mesh.flows() == [9, 0, 0]
    assert await mesh.bytes() == {"relay": (900, 0)}


async def test_a_node_that_starts_anew_counts_on_top_and_says_its_last_word_as_it_stops(mesh: Mesh) -> None:
    mesh.counted(RELAY, r1=3)
    mesh.moved(RELAY, HOME, 300)
    await mesh.report(RELAY)
    mesh.counted(RELAY, r1=4)
    mesh.moved(RELAY, HOME, 350)
    await mesh.nodes[RELAY.node_id].leave()
    mesh.start(RELAY)
    mesh.counted(RELAY, r1=2)
    mesh.moved(RELAY, HOME, 20)
    await mesh.report(RELAY)

    assert await mesh.flows() == [6, 0, 0]
    assert await mesh.bytes() == {"relay": (370, 0)}


async def test_who_stops_says_what_it_never_said_and_waits_for_nobody_long(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    await mesh.nodes[RELAY.node_id].leave()
    assert mesh.calls == [], "nothing was counted"
    mesh.unreachable.add(HOME.node_id)
    mesh.moved(RELAY, HOME, 300)
    await mesh.report(RELAY)
    mesh.unreachable.clear()
    await mesh.nodes[RELAY.node_id].leave()
    assert await mesh.bytes() == {"relay": (300, 0)}

    async def silent(*_: object) -> bytes:
        await asyncio.sleep(3600)
        raise LinkError("no answer")

    monkeypatch.setattr(module, "LAST_WORDS", 0.01)
    mesh.nodes[RELAY.node_id].call = silent
    mesh.moved(RELAY, HOME, 400)
    async with asyncio.timeout(10):
        await mesh.nodes[RELAY.node_id].leave()


async def test_a_new_scribe_goes_on_with_what_nodes_that_run_have_counted(mesh: Mesh) -> None:
    mesh.counted(CAM, r1=3)
    mesh.moved(CAM, HOME, 300)
    await mesh.report()
    mesh.appoint(RELAY, 2)
    mesh.ruled(2, 3, RULES, RELAY)
    mesh.counted(CAM, r1=4)
    mesh.moved(CAM, HOME, 400)
    await mesh.report()
    assert await mesh.flows(RELAY) == [4, 0, 0]
    assert await mesh.bytes(RELAY) == {"cam-7": (400, 0)}
    for method, what in zip(METHODS, ("hits", "traffic"), strict=True):
        with pytest.raises(LinkError, match=f"does not sum {what}"):
            await mesh.nodes[HOME.node_id].methods[method](CAM.node_id, LIE)

    mesh.appoint(HOME, 3)
    mesh.ruled(3, 4, RULES)
    await mesh.report()
    assert await mesh.flows() == [4, 0, 0]
    assert await mesh.bytes() == {"cam-7": (400, 0)}


@pytest.mark.parametrize("method", METHODS)
async def test_what_is_no_report_and_what_a_revoked_node_says_is_refused(mesh: Mesh, method: MethodName) -> None:
    mesh.counted(CAM, r1=3)
    mesh.moved(CAM, HOME, 300)
    await mesh.report(CAM)
    asked = mesh.nodes[HOME.node_id].methods[method]
    with pytest.raises(ProtocolError):
        await asked(CAM.node_id, b"\x93")
    mesh.offices[HOME.node_id].revoke(CAM)
    with pytest.raises(Refused, match="revoked"):
        await asked(CAM.node_id, LIE)

    assert await mesh.flows() == [0, 0, 0]
    assert await mesh.bytes() == {}


async def test_a_full_disk_costs_a_warning_and_nothing_is_acknowledged_or_forgotten(
    mesh: Mesh, fill_disk: Callable[[], None], hasty: None, caplog: pytest.LogCaptureFixture
) -> None:
    mesh.counted(RELAY, r1=3)
    mesh.moved(RELAY, HOME, 300)
    await mesh.report(RELAY)
    fill_disk()
    mesh.write()

    assert [record.__dict__["of"] for record in caplog.records if record.message == "sums not written"] == [
        "hits",
        "traffic",
    ]
    await mesh.report(RELAY)
    assert mesh.calls == [*METHODS, *METHODS], "what is not on disk is told again"
    assert await mesh.flows() == [3, 0, 0]
    assert await mesh.bytes() == {"relay": (300, 0)}


async def test_it_reports_by_itself_and_writes_when_it_ends(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.001)
    counted = mesh.hits[HOME.node_id].tally
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(mesh.nodes[HOME.node_id].run())
        mesh.counted(HOME, r1=1)
        mesh.moved(HOME, RELAY, 100)
        while "r1" not in counted.last:
            await asyncio.sleep(0.001)
        running.cancel()
    mesh.start(HOME)

    assert await mesh.flows() == [1, 0, 0]
    assert await mesh.bytes() == {"home": (100, 0)}


async def test_a_file_that_is_damaged_costs_a_warning(mesh: Mesh, caplog: pytest.LogCaptureFixture) -> None:
    mesh.counted(RELAY, r1=3)
    await mesh.report(RELAY)
    mesh.write()
    (mesh.offices[HOME.node_id].place / "hits").write_bytes(b"spoilt")
    mesh.start(HOME)

    assert await mesh.flows() == [0, 0, 0]
    assert [record.message for record in caplog.records] == ["sums lost"]
