"""httpx through the mesh, to what a node serves: names are found by the node here, and errors have its words."""

import asyncio

import httpx
import pytest

from pulse.errors import NotFound, StreamFailed
from pulse.sdk import Caller
from pulse.sdk.httpx import MeshTransport
from pulse.sdk.pytest import PulseMesh
from tests.sdk.rooms import leaving_nothing

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Caller) -> None:
    while await reader.readuntil(b"\r\n\r\n"):
        writer.write(ANSWER)


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Caller) -> None:
    await reader.read()


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Caller) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def test_a_name_under_pulse_is_asked_twice_over_one_connection(pulse_mesh: PulseMesh) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    async with (
        pulse_mesh.first.connect() as one,
        pulse_mesh.second.connect() as two,
        leaving_nothing(),
        await one.start_server(answer, 0) as server,
        httpx.AsyncClient(transport=MeshTransport(two), trust_env=False) as client,
    ):
        for host in ("first.pulse", "www.first.pulse", "first", one.me.v4):
            said = [await client.get(f"http://{host}:{server.port}/") for _ in range(2)]
            assert [each.text for each in said] == ["hello", "hello"]


async def test_what_is_not_reached_is_a_connect_error_with_the_words_of_the_node(pulse_mesh: PulseMesh) -> None:
    async with pulse_mesh.second.connect() as mesh, httpx.AsyncClient(transport=MeshTransport(mesh)) as client:
        with pytest.raises(httpx.ConnectError, match="nothing listens") as raised:
            await client.get("http://first.pulse:9/")
        assert isinstance(raised.value.__cause__, StreamFailed)
        with pytest.raises(httpx.ConnectError, match=r"example\.com") as raised:
            await client.get("http://example.com/")
        assert isinstance(raised.value.__cause__, NotFound)


async def test_silence_and_hanging_up_are_errors_of_httpx(pulse_mesh: PulseMesh) -> None:
    async with pulse_mesh.first.connect() as one, pulse_mesh.second.connect() as two:
        quiet, rude = await one.start_server(silent, 0), await one.start_server(hang_up, 0)
        async with httpx.AsyncClient(transport=MeshTransport(two), timeout=httpx.Timeout(20, read=0.2)) as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.get(f"http://first.pulse:{quiet.port}/")
        async with httpx.AsyncClient(transport=MeshTransport(two)) as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get(f"http://first.pulse:{rude.port}/")
