"""What the journal is asked: events that fit, nodes by their names of then, and how it was at a time."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from pulse import clock
from pulse.core.events import Event, Kind
from pulse.core.types import NodeId
from pulse.errors import ConfigError, NotFound
from pulse.schemas.events import EventsQuery, MomentQuery, PastPeer
from pulse.services.history import TYPES, HistoryService
from pulse.store.events import EventJournal
from pulse.store.files import open_data_dir
from pulse.store.journal import Entry

ME, LAPTOP, CAM, RELAY = (NodeId(digit * 64) for digit in "1234")
NAMES = {ME: "me", LAPTOP: "vm-01", CAM: "cam-7", RELAY: "relay"}
STORY = (
    (100.0, Event(Kind.START, {"version": "1.0"})),
    (101.0, Event(Kind.JOIN, {"node": ME, "name": "me", "v4": "10.100.0.1"})),
    (102.0, Event(Kind.JOIN, {"node": LAPTOP, "name": "laptop", "v4": "10.100.0.2"})),
    (103.0, Event(Kind.JOIN, {"node": RELAY, "name": "relay", "v4": "10.100.0.4", "ca": 1})),
    (104.0, Event(Kind.ROLES, {"epoch": 1, "scribe": RELAY})),
    (105.0, Event(Kind.UP, {"node": LAPTOP, "name": "laptop", "link": "quic", "via": RELAY})),
    (106.0, Event(Kind.EDIT, {"version": "1.7", "by": RELAY, "changed": "names"})),
    (107.0, Event(Kind.EDIT, {"version": "1.7", "node": LAPTOP, "name": "vm-01", "was": "laptop"})),
    (108.0, Event(Kind.REVOKE, {"node": CAM, "name": ""})),
    (109.0, Event(Kind.STOP)),
    (200.0, Event(Kind.START, {"version": "1.0"})),
    (300.0, Event(Kind.START, {"version": "1.0"})),
)


_T = TypeVar("_T")


class Pen:
    """Nothing waits."""

    problem = "no room"
    lost = 3

    async def ask(self, question: Callable[[], _T]) -> _T:
        return question()

    @contextmanager
    def subscribe(self) -> Iterator[AsyncIterator[Entry]]:
        yield self.written()

    async def written(self) -> AsyncIterator[Entry]:
        """What is written while somebody follows."""
        yield Entry(20, 400.0, Kind.ANCHOR, {})
        yield Entry(21, 401.0, Kind.UP, {"node": LAPTOP, "name": "laptop", "link": "quic", "via": RELAY})


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HistoryService]:
    monkeypatch.setattr(clock, "wall", lambda: 1000.0)
    journal = EventJournal.open(open_data_dir(tmp_path / "data"), 99.0)
    journal.append(STORY)
    journal.keep_head()
    yield HistoryService(journal, Pen(), ME, lambda node: NAMES.get(node, node[:12]))
    journal.close()


async def seen(history: HistoryService, **asked: object) -> list[float]:
    found = await history.events(EventsQuery(**asked))  # type: ignore[arg-type]
    return [event.time for event in found.events]


async def test_events_are_told_with_what_is_wrong_and_nodes_by_name(history: HistoryService) -> None:
    found = await history.events(EventsQuery(limit=7))

    assert (found.problem, found.lost) == ("no room", 3)
    up, edit, named, revoked = found.events[:4]
    assert (up.node, up.name, up.fields) == (LAPTOP, "laptop", {"link": "quic", "via": "relay"})
    assert (edit.node, edit.fields) == ("", {"version": "1.7", "by": "relay", "changed": "names"})
    assert (named.name, named.fields) == ("vm-01", {"version": "1.7", "was": "laptop", "name": "vm-01"})
    assert (revoked.name, revoked.fields) == ("cam-7", {})


async def test_who_follows_is_told_the_same_as_who_asks(history: HistoryService) -> None:
    with history.subscribe() as events:
        (up,) = [each async for each in events]

    assert (up.seq, up.type, up.node, up.name) == (21, "up", LAPTOP, "laptop")
    assert up.fields == {"link": "quic", "via": "relay"}


async def test_what_only_says_things_again_is_not_told(history: HistoryService) -> None:
    assert (await history.events(EventsQuery(limit=1000))).events[0].type == "start"
    assert not {"anchor", "known"} & set(TYPES)


@pytest.mark.parametrize(
    ("asked", "times"),
    [
        ({"type": "join"}, [101, 102, 103]),
        ({"type": "stop, roles"}, [104, 109]),
        ({"node": "laptop"}, [102, 105]),
        ({"node": "vm-01"}, [102, 105, 107]),
        ({"node": "22222"}, [102, 105, 107]),
        ({"node": "222"}, []),
        ({"node": "VM-*"}, [102, 105, 107]),
        ({"node": "nobody"}, []),
        ({"since": 108.0}, [108, 109, 200, 300]),
        ({"limit": 2}, [200, 300]),
        ({"after": 4, "limit": 2}, [102, 103]),
        ({"after": 4, "type": "stop"}, [109]),
    ],
)
async def test_events_that_fit(history: HistoryService, asked: dict[str, object], times: list[float]) -> None:
    assert await seen(history, **asked) == times


async def test_an_unknown_type_is_refused_with_those_there_are(history: HistoryService) -> None:
    with pytest.raises(ConfigError, match=r'"foo" is no type of event. There are: start, stop, join'):
        await seen(history, type="join,foo")


async def test_the_mesh_is_told_as_it_was(history: HistoryService) -> None:
    found = await history.at(MomentQuery(105.5))

    assert (found.name, found.state, found.last, found.following, found.config) == ("me", "running", 105, 106, "")
    assert found.peers == [
        PastPeer(LAPTOP, "laptop", "10.100.0.2", "quic", "relay", 105.0, []),
        PastPeer(RELAY, "relay", "10.100.0.4", "-", "", None, ["ca", "scribe"]),
    ]
    later = await history.at(MomentQuery(108.5))
    assert (later.config, later.revoked, later.peers[0].name) == ("1.7", [CAM[:12]], "vm-01")


@pytest.mark.parametrize(("time", "state"), [(150.0, "stopped"), (250.0, "unknown"), (350.0, "running")])
async def test_what_cannot_be_known_is_said(history: HistoryService, time: float, state: str) -> None:
    found = await history.at(MomentQuery(time))

    assert found.state == state
    assert {peer.link for peer in found.peers} == {"-"}


async def test_neither_what_is_to_come_nor_what_was_before_the_journal_is_told(history: HistoryService) -> None:
    with pytest.raises(ConfigError, match="yet to come"):
        await history.at(MomentQuery(1001.0))
    with pytest.raises(NotFound, match="begins at 1970-01-01T00:01:39"):
        await history.at(MomentQuery(98.0))


async def test_the_chain_is_walked(history: HistoryService) -> None:
    assert (await history.verify()).broken is None
