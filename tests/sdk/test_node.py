"""A node inside a program: it joins, serves, comes back as who it was, and leaves nothing."""

import asyncio
import subprocess
import sys
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
            async with asyncio.timeout(PATIENCE):
                while not any(each.link != "-" for each in await again.nodes()):
                    await asyncio.sleep(0.01)
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


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"portmapp": False}, r'"portmapp" is no flag of a node. Did you mean portmap\?'),
        ({"leads_here": True}, r'"leads_here" is no flag of a node. Did you mean lead_here\?'),
        ({"whatever": 1}, r'"whatever" is no flag of a node. See them: pulse start --help'),
    ],
)
def test_a_flag_that_there_is_not_is_named_with_the_nearest(tmp_path: Path, flags: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Node.start(tmp_path, **flags)
    with pytest.raises(ConfigError, match=said):
        Node.found("alone", tmp_path, **flags)


STOPPED = """
import asyncio, sys
from pulse.errors import LinkError
from pulse.sdk import Node

async def main():
    async with Node.found("alone", sys.argv[1], addr="127.0.0.1:0", portmap=False, beacon=False) as mesh:
        server = await mesh.start_server(print, 0)
        print("up", flush=True)
        try:
            await server.serve_forever()
        except LinkError:
            print("node gone", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
    print("program ends", flush=True)

asyncio.run(main())
"""


async def test_pulse_stop_ends_the_node_in_a_program_and_the_program_goes_on(tmp_path: Path) -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", STOPPED, str(tmp_path)]
    with subprocess.Popen(command, **pipes) as program:  # type: ignore[call-overload]  # noqa: ASYNC220 (quick; pipes are of several kinds)
        assert await asyncio.to_thread(program.stdout.readline) == "up\n"
        stop = [sys.executable, "-m", "pulse", "stop", "--data-dir", str(tmp_path)]
        done = await asyncio.to_thread(subprocess.run, stop, capture_output=True, text=True, timeout=60, check=False)
        said = f"stopped; the program that the node lived in goes on (process {program.pid})\n"
        assert (done.returncode, done.stdout, done.stderr) == (0, said, "")
        rest = await asyncio.to_thread(program.communicate, "\n", 60)
    assert (program.returncode, rest[0]) == (0, "node gone\nprogram ends\n")


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
