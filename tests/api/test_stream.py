"""Events as a stream: told as they happen, over TCP with a key, to a few readers at a time, until the node stops."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h11
import msgspec
import pytest

from pulse.api import server, tcp
from pulse.api import stream as module
from pulse.api.app import build
from pulse.api.server import ApiService
from pulse.api.stream import EventStream, written
from pulse.api.tcp import PatientProtocol, TcpListener, guarded
from pulse.core.trust.apikeys import Scope
from pulse.schemas.apikeys import ApiKeyRequest
from pulse.schemas.events import EventInfo
from pulse.services.apikeys import ApiKeysService
from pulse.store.files import open_data_dir
from tests.api.fake_control import FakeControl, running
from tests.api.http import Answer, call

KEY = "plk_" + "k" * 43
FOLLOW = "GET /api/events HTTP/1.1\nAccept: text/event-stream"


@dataclass
class Told:
    """A feed that tells numbers at a pace, and who follows it."""

    pace: float = 0.02
    most: int = 1000
    name: str = "cam-7"
    subscribers: int = 0
    ended: list[int] = field(default_factory=list)

    @contextmanager
    def subscribe(self) -> Iterator[AsyncIterator[EventInfo]]:
        self.subscribers += 1
        try:
            yield self._numbers()
        finally:
            self.subscribers -= 1

    async def _numbers(self) -> AsyncIterator[EventInfo]:
        for number in range(1, self.most + 1):
            await asyncio.sleep(self.pace)
            yield event(number, self.name)


def event(number: int, name: str = "cam-7") -> EventInfo:
    return EventInfo(number, 1000.0 + number, "join", "ab", name, {"via": "relay"})


def only_ours(key: str) -> Scope | None:
    return Scope.READ if key == KEY else None


@contextmanager
def following(
    feed: Told, judge: Callable[[str], Scope | None] = only_ours, places: int = module.PLACES
) -> Iterator[tuple[str, int]]:
    """An API with that feed; its address."""
    service, address = guarding(EventStream(feed, places, "over TCP"), judge)
    with running(service):
        yield address


def guarding(stream: EventStream, judge: Callable[[str], Scope | None]) -> tuple[ApiService, tuple[str, int]]:
    """An API that has that stream, for keys that `judge` knows, and its address."""
    listener = TcpListener("127.0.0.1", 0)
    app = guarded(build(FakeControl(), keyed=True, stream=stream), judge, frozenset)
    return ApiService(app, listener, PatientProtocol, stream.close), listener.socket.getsockname()[:2]


def reader(address: tuple[str, int], key: str = KEY) -> socket.socket:
    """Somebody who follows."""
    connection = socket.create_connection(address, timeout=20)
    lines = [*FOLLOW.splitlines(), "Host: localhost", f"Authorization: Bearer {key}", "", ""]
    connection.sendall("\r\n".join(lines).encode())
    return connection


def heard(connection: socket.socket, wanted: bytes) -> bytes:
    """What comes until `wanted` is in it."""
    data = b""
    while wanted not in data:
        chunk = connection.recv(65536)
        assert chunk, data
        data += chunk
    return data


def eventually(so: Any) -> None:
    end = time.monotonic() + 20
    while not so():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_happens_is_told_in_order_as_it_happens() -> None:
    with following(Told()) as address, reader(address) as connection:
        data = heard(connection, b"id: 3\n")

    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"text/event-stream" in head
    assert body.index(b"id: 1\n") < body.index(b"id: 2\n") < body.index(b"id: 3\n")


def test_an_event_is_written_as_the_standard_wants_it() -> None:
    number, kind, data, *rest = written(event(7)).split(b"\n")

    assert (number, kind, rest) == (b"id: 7", b"event: join", [b"", b""])
    assert msgspec.json.decode(data.removeprefix(b"data: ")) == {
        "seq": 7, "time": 1007.0, "type": "join", "node": "ab", "name": "cam-7", "fields": {"via": "relay"},
    }  # fmt: skip


def test_no_event_can_make_up_another() -> None:
    forged = EventInfo(1, 0.0, "x\ndata: forged", "", "a\n\nid: 9\ndata: forged", {"via": "b\n\n"})

    assert written(forged).count(b"\n") == 4


@pytest.mark.parametrize("key", ["", "plk_" + "x" * 43])
def test_without_a_key_nothing_is_told(key: str) -> None:
    feed = Told()
    with following(feed) as address:
        assert call(address, FOLLOW, key=key)[0] == 401
    assert feed.subscribers == 0


def test_who_does_not_ask_for_a_stream_gets_what_has_happened() -> None:
    feed = Told()
    with following(feed) as address:
        said: Answer = call(address, "GET /api/events?limit=5 HTTP/1.1", key=KEY)
        assert call(address, FOLLOW.replace("GET", "HEAD"), key=KEY)[0] == 200

    assert (said[0], said[1]["content-type"]) == (200, "application/json")
    assert feed.subscribers == 0


def test_a_reader_who_leaves_gives_its_place_back() -> None:
    feed = Told()
    with following(feed, places=2) as address:
        readers = [reader(address) for _ in range(2)]
        for each in readers:
            heard(each, b"id: 1\n")
        status, _, said = call(address, FOLLOW, key=KEY)
        assert (status, "2 readers follow events over TCP already" in str(said)) == (503, True)
        readers.pop().close()
        eventually(lambda: feed.subscribers == 1)
        with reader(address) as third:
            heard(third, b"id: 1\n")
        readers.pop().close()


def test_who_shows_one_key_leaves_places_to_those_who_show_another() -> None:
    other = "plk_" + "o" * 43
    with following(Told(), lambda key: Scope.READ if key in (KEY, other) else None) as address:
        readers = [reader(address) for _ in range(module.PLACES_A_KEY)]
        for each in readers:
            heard(each, b"id: 1\n")
        status, _, said = call(address, FOLLOW, key=KEY)
        assert (status, "with this key" in str(said)) == (503, True)
        readers.append(reader(address, other))
        heard(readers[-1], b"id: 1\n")
        for each in readers:
            each.close()


async def test_a_revoked_key_ends_the_streams_that_were_opened_with_it_and_no_other(tmp_path: Path) -> None:
    feed, keys = Told(pace=1000), ApiKeysService.restored(open_data_dir(tmp_path / "data"))
    stolen, good = [(await keys.create(ApiKeyRequest(name))).key for name in ("stolen", "good")]
    stream = EventStream(feed, module.PLACES, "over TCP")
    keys.tell_revoked(stream.keys_changed)
    service, address = guarding(stream, keys.judge)
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(service.run())
        with reader(address, stolen) as thief, reader(address, good) as reads:
            for each in (thief, reads):
                await asyncio.to_thread(heard, each, b": what happens from now on")
            await keys.revoke("stolen")
            await asyncio.to_thread(heard, thief, b": the key was revoked\n\n\r\n0\r\n\r\n")
            assert feed.subscribers == 1
            assert (await asyncio.to_thread(call, address, FOLLOW, key=stolen))[0] == 401
            serving.cancel()


def test_a_reader_who_reads_no_more_is_hung_up_on_and_one_who_reads_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SEND_DEADLINE", 0.3)
    feed = Told(pace=0.001, most=10**6, name="x" * 100_000)
    with following(feed) as address, reader(address) as reads, reader(address) as stalls:
        eventually(lambda: feed.subscribers == 2)
        while feed.subscribers == 2:
            assert reads.recv(1 << 20)
        heard(reads, b"event: join\n")
        rest = b"".join(iter(lambda: stalls.recv(1 << 20), b""))
    assert not rest.endswith(b"0\r\n\r\n")


def test_a_stream_without_news_is_kept_alive_beyond_the_deadline_of_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEARTBEAT", 0.05)
    monkeypatch.setattr(tcp, "_DEADLINES", {h11.IDLE: 0.2, h11.SEND_BODY: 0.2})
    with following(Told(pace=1.0)) as address, reader(address) as connection:
        assert b": still here\n\n" in heard(connection, b"id: 1\n")


def test_the_end_of_the_node_ends_the_streams_at_once_and_in_order(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    feed = Told()
    with following(feed) as address:
        connection = reader(address)
        heard(connection, b"id: 1\n")
    rest = b"".join(iter(lambda: connection.recv(65536), b""))
    connection.close()

    assert rest.endswith(b"0\r\n\r\n")
    assert feed.subscribers == 0
    assert not caplog.records


def test_the_end_of_the_feed_ends_the_stream() -> None:
    with following(Told(most=2)) as address, reader(address) as connection:
        assert heard(connection, b"\r\n0\r\n\r\n").count(b"id: ") == 2
