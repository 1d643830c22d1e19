"""A node inside a program: it joins, serves, comes back as who it was, and leaves nothing."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from pulse.errors import ConfigError, Conflict, PulseError, Refused
from pulse.sdk import Mesh, Node
from pulse.sdk.pytest import PulseMesh
from tests.loopback import PATIENCE
from tests.sdk.rooms import exchange, leaving_nothing, shout

QUIET: dict[str, Any] = {"portmap": False, "beacon": False}


def joining(token: str, address: str, place: Path, **flags: object) -> Node:
    return Node.join(token, address, place, addr="127.0.0.1:0", name="third", **{**QUIET, **flags})


async def test_it_joins_serves_and_comes_back_as_who_it_was(pulse_mesh: PulseMesh, tmp_path: Path) -> None:
    async with pulse_mesh.first.connect() as one, leaving_nothing():
        async with joining(await one.invite(), "", tmp_path / "n") as mesh:
            server = await mesh.start_server(shout, 0)
            assert await exchange(*await _opened(one, "third", server.port)) == b"WORD"
            me = mesh.me
        async with Node.start(tmp_path / "n", addr="127.0.0.1:0", **QUIET) as again:
            assert (again.me.id, again.me.v4) == (me.id, me.v4)
            assert (await again.ping("first")).name == "first"


async def _opened(mesh: Mesh, node: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The other end hears of a new node within moments."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await mesh.open_connection(node, port)
            except PulseError:
                await asyncio.sleep(0.01)


async def test_what_was_written_arrives_though_the_node_ends_with_its_block(
    pulse_mesh: PulseMesh, tmp_path: Path
) -> None:
    heard: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def count(reader: asyncio.StreamReader, *_: object) -> None:
        heard.set_result(len(await reader.read()))

    async with pulse_mesh.first.connect() as one, await one.start_server(count, 0) as server:
        async with joining(await one.invite(), "", tmp_path) as mesh:
            _, writer = await mesh.open_connection(one.me.id, server.port)
            writer.write(bytes(1_000_000))
        async with asyncio.timeout(PATIENCE):
            assert await heard == 1_000_000


async def test_a_token_that_no_ca_made_is_refused(pulse_mesh: PulseMesh, tmp_path: Path) -> None:
    async with pulse_mesh.first.connect() as one, leaving_nothing():
        _, _, port = (await one.nodes())[0].address.rpartition(":")
        with pytest.raises(Refused):
            async with joining("nobody-made-this-token-0123456789-abcdef", f"127.0.0.1:{port}", tmp_path):
                pass


def test_it_has_to_be_said_where_it_lives() -> None:
    with pytest.raises(ConfigError, match="data_dir"):
        Node.join("pls_x")


async def test_two_in_one_directory_are_a_conflict(tmp_path: Path) -> None:
    async with Node.found("alone", tmp_path, addr="127.0.0.1:0", **QUIET):
        with pytest.raises(Conflict):
            async with Node.start(tmp_path, addr="127.0.0.1:0", **QUIET):
                pass


async def test_a_block_that_fails_or_is_cancelled_still_leaves_nothing(tmp_path: Path) -> None:
    async with leaving_nothing():
        with pytest.raises(ZeroDivisionError):
            async with Node.found("alone", tmp_path / "a", addr="127.0.0.1:0", **QUIET):
                raise ZeroDivisionError
        entering = asyncio.ensure_future(Node.found("alone", tmp_path / "b", addr="127.0.0.1:0", **QUIET).__aenter__())
        while not (tmp_path / "b").exists():
            await asyncio.sleep(0)
        assert entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering
