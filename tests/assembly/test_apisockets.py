"""Whole nodes and where their API listens: beside the control socket over TCP, on a scribe, for those with a key."""

import asyncio
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from pulse.assembly import apisockets
from pulse.calls.apikeys import ApiKeyCalls
from pulse.calls.names import NameCalls
from pulse.client import Client
from pulse.errors import Conflict
from pulse.schemas.apikeys import ApiKeyRequest
from pulse.schemas.operating import Checkup
from tests.api.http import Answer, call
from tests.api.test_stream import heard, reader
from tests.loopback import PATIENCE
from tests.ports import free_port
from tests.test_node import FOUND, Machine, first, place

__all__ = ["first", "place"]


async def over_tcp(port: int, head: str, key: str = "", host: str = "localhost", body: bytes = b"") -> Answer:
    return await asyncio.to_thread(call, ("127.0.0.1", port), head, body, key, host)


async def test_a_scribe_answers_over_tcp_whoever_shows_a_key_and_stops_when_it_is_revoked(
    first: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    flags = {**FOUND, "scribe-listen": f"127.0.0.1:{port}"}
    async with first.runs(**flags) as started:
        assert started.api == f"127.0.0.1:{port}"
        assert (await over_tcp(port, "GET /api/status HTTP/1.1"))[0] == 401
        key = (await first.ask(lambda client: ApiKeyCalls(client).create_api_key(ApiKeyRequest("deploy", "write")))).key

        status, _, body = await over_tcp(port, "GET /api/status HTTP/1.1", key, started.node.v4)
        assert (status, body["node"]["id"]) == (200, started.node.id)
        named = b'{"node_id":"first","name":"relay-01"}'
        head = "PUT /api/name HTTP/1.1\nContent-Type: application/json"
        assert (await over_tcp(port, head, key, "first.pulse", named))[0] == 200
        assert (await first.ask(Client.identity)).name == "relay-01"
        assert (await over_tcp(port, "GET /api/id HTTP/1.1", key, "relay-01"))[0] == 200
        assert (await over_tcp(port, "GET /api/id HTTP/1.1", key, "evil.example"))[0] == 403
        assert (await over_tcp(port, "POST /api/stop HTTP/1.1", key))[0] == 404
    async with first.runs(**flags):
        assert (await over_tcp(port, "GET /api/id HTTP/1.1", key))[0] == 200
        with reader(("127.0.0.1", port), key) as following:
            await asyncio.to_thread(heard, following, b": what happens from now on")
            await first.ask(lambda client: ApiKeyCalls(client).revoke_api_key("deploy"))
            await asyncio.to_thread(heard, following, b"0\r\n\r\n")
        assert (await over_tcp(port, "GET /api/id HTTP/1.1", key))[0] == 401

    with pytest.raises(ConnectionRefusedError):
        await over_tcp(port, "GET /api/id HTTP/1.1")
    assert "API keys go in clear" not in [record.message for record in caplog.records]


async def test_who_is_no_scribe_or_says_off_does_not_listen(first: Machine) -> None:
    port = free_port()
    async with first.runs(ca=True, **{"scribe-listen": f"127.0.0.1:{port}"}) as started:
        assert started.api == ""
        with pytest.raises(ConnectionRefusedError):
            await over_tcp(port, "GET /api/id HTTP/1.1")
    async with first.runs(scribe=True, **{"scribe-listen": "off"}) as started:
        assert started.api == ""


async def test_a_taken_port_stops_who_asked_for_it_before_anything_is_made(first: Machine, place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Conflict, match="another program has that port"):
            await first.start_fails(**FOUND, **{"scribe-listen": where})

    assert not (place / "first" / "identity").exists()


async def test_a_taken_default_port_costs_a_warning_only(
    first: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr("pulse.config.DEFAULT_API", taken.getsockname()[:2])
        async with first.runs(**FOUND) as started:
            assert started.api == ""
            assert f"cannot listen on 127.0.0.1:{taken.getsockname()[1]}: another program has that port" in (
                started.api_problem
            )
            assert "choose another: --scribe-listen" in started.api_problem

    assert "default port not listened on" in [record.message for record in caplog.records]


async def test_of_two_who_edit_the_whole_config_the_second_has_to_look_again(first: Machine) -> None:
    port = free_port()
    async with first.runs(**FOUND, **{"scribe-listen": f"127.0.0.1:{port}"}) as started:
        key = (await first.ask(lambda client: ApiKeyCalls(client).create_api_key(ApiKeyRequest("deploy", "write")))).key
        _, headers, config = await over_tcp(port, "GET /api/config HTTP/1.1", key)
        head = f"PUT /api/config HTTP/1.1\nContent-Type: application/json\nIf-Match: {headers['etag']}"
        config["names"], config["tags"] = {started.node.id: "relay-01"}, {started.node.id: ["infra"]}
        body = msgspec.json.encode(config)

        status, after, _ = await over_tcp(port, head, key, body=body)
        assert (status, after["etag"] != headers["etag"]) == (200, True)
        assert (await over_tcp(port, head, key, body=body))[0] == 412
        told = (await over_tcp(port, "GET /api/status HTTP/1.1", key))[2]

    assert told["node_meta"] == {started.node.id: {"name": "relay-01", "tags": ["infra"]}}
    assert (told["scribe_id"], told["network_id"]) == (started.node.id, started.node.network)


async def test_what_happens_is_followed_as_it_happens(first: Machine) -> None:
    port = free_port()
    async with first.runs(**FOUND, **{"scribe-listen": f"127.0.0.1:{port}"}) as started:
        key = (await first.ask(lambda client: ApiKeyCalls(client).create_api_key(ApiKeyRequest("watch")))).key
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = "GET /api/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
        writer.write(f"{head}Authorization: Bearer {key}\r\n\r\n".encode())
        await reader.readuntil(b": what happens from now on\n\n")
        await first.ask(lambda client: NameCalls(client).set_name("first", "relay-01"))
        async with asyncio.timeout(PATIENCE):
            while (line := await reader.readuntil(b"\n")) != b"event: edit\n" or b"was" not in (
                data := await reader.readuntil(b"\n")
            ):
                assert line
    # The node has stopped meanwhile, in its usual time, though somebody was following.
    rest = await reader.read()
    writer.close()

    told = msgspec.json.decode(data.removeprefix(b"data: "))
    assert (told["type"], told["node"], told["name"]) == ("edit", started.node.id, "relay-01")
    assert rest.endswith(b"0\r\n\r\n")


async def test_readers_with_keys_take_no_place_of_those_on_the_machine(
    first: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apisockets, "PLACES", 1)
    monkeypatch.setattr(apisockets, "PLACES_HERE", 1)
    port = free_port()
    async with first.runs(**FOUND, **{"scribe-listen": f"127.0.0.1:{port}"}), AsyncExitStack() as held:
        key = (await first.ask(lambda client: ApiKeyCalls(client).create_api_key(ApiKeyRequest("watch")))).key
        for place in ("127.0.0.1", first.socket):
            said = [await _asked(place, port, key, held) for _ in range(2)]
            assert said[0].startswith(b"HTTP/1.1 200")
            assert said[1].startswith(b"HTTP/1.1 503")
            assert b"1 readers follow events " in said[1]
            assert b"End one of them" in said[1]


async def _asked(place: str | Path, port: int, key: str, held: AsyncExitStack) -> bytes:
    """What the answer to a reader begins with, who stays."""
    if isinstance(place, Path):
        reader, writer = await asyncio.open_unix_connection(place)
    else:
        reader, writer = await asyncio.open_connection(place, port)
    held.callback(writer.close)
    head = "GET /api/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
    writer.write(f"{head}Authorization: Bearer {key}\r\n\r\n".encode())
    async with asyncio.timeout(PATIENCE):
        begin = await reader.readuntil(b"\r\n\r\n")
        return begin + await reader.read(4096)


async def test_metrics_have_a_listener_of_their_own_that_tells_nothing_else(first: Machine) -> None:
    port = free_port()
    async with first.runs(ca=True, network=FOUND["network"], **{"metrics-listen": f":{port}"}) as started:
        assert started.metrics == f"127.0.0.1:{port}"
        status, headers, text = await over_tcp(port, "GET /metrics HTTP/1.1")
        assert (status, headers["content-type"].partition(";")[0]) == (200, "text/plain")
        assert f'pulse_node_info{{node_id="{started.node.id}",network_id="{started.node.network}"}} 1\n' in text
        assert (await over_tcp(port, "GET /api/status HTTP/1.1"))[0] == 404
        assert (await over_tcp(port, "POST /api/stop HTTP/1.1"))[0] == 404
        assert (await over_tcp(port, "GET /metrics HTTP/1.1", host="evil.example"))[0] == 403
        assert (await over_tcp(port, "GET /metrics HTTP/1.1\nOrigin: http://evil.example"))[0] == 403
    async with first.runs():
        with pytest.raises(ConnectionRefusedError):
            await over_tcp(port, "GET /metrics HTTP/1.1")


async def test_metrics_on_any_other_address_take_a_key_and_where_it_goes_in_clear_is_told(
    first: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    async with first.runs(**FOUND, **{"scribe-listen": "off", "metrics-listen": f"0.0.0.0:{port}"}):
        (warned,) = [record for record in caplog.records if record.message == "API keys go in clear"]
        assert vars(warned)["address"] == f"0.0.0.0:{port}"
        told = await first.ask(lambda client: client.call("GET", "/api/doctor", Checkup))
        assert told.running.in_clear == {"--metrics-listen": f"0.0.0.0:{port}"}
        assert (await over_tcp(port, "GET /metrics HTTP/1.1"))[0] == 401
        assert (await over_tcp(port, "GET /other HTTP/1.1"))[0] == 401
        key = (await first.ask(lambda client: ApiKeyCalls(client).create_api_key(ApiKeyRequest("prometheus")))).key
        assert (await over_tcp(port, "GET /metrics HTTP/1.1", key))[0] == 200
        assert (await over_tcp(port, "GET /api/status HTTP/1.1", key))[0] == 404


async def test_a_port_for_metrics_that_is_taken_stops_the_start(first: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Conflict, match=r"the metrics listener cannot listen on .*\n.*--metrics-listen off"):
            await first.start_fails(**FOUND, **{"metrics-listen": where})
