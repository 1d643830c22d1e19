"""Whole nodes: tunnels between two of them, by the local socket and over TCP, and when they refuse to start."""

import asyncio
import socket
from pathlib import Path

import msgspec
import pytest

from pulse import tunnels
from pulse.assembly.streaming import bound
from pulse.config import NodeConfig, tunnel_beside
from pulse.errors import ConfigError, Conflict, NotFound, StreamFailed
from pulse.settings import load
from tests.loopback import PATIENCE
from tests.people import NOBODY, run_as
from tests.ports import free_port
from tests.test_node import FOUND, Machine, first, place, second

__all__ = ["first", "place", "second"]

TOKEN = "0123456789abcdefghijklmnopqrstuv"


def config(place: Path, **node: str) -> NodeConfig:
    named = {"PULSE_CONTROL_SOCKET": str(place / "c.sock")}
    made = load({"data-dir": str(place / "data")}, environment=named)
    return msgspec.structs.replace(made, node=msgspec.structs.replace(made.node, **node))


def test_two_nodes_never_share_a_tunnel_socket() -> None:
    assert tunnel_beside(Path("/run/pulse/pulse.sock")) == Path("/run/pulse/tunnel.sock")
    assert tunnel_beside(Path("/run/a.sock")) == Path("/run/a.tunnel.sock")


@pytest.mark.parametrize("listen", [":7000", "0.0.0.0:7000", "192.0.2.1:7000", "[::]:7000"])
def test_a_listener_for_other_machines_needs_a_token(place: Path, listen: str) -> None:
    with pytest.raises(ConfigError, match="asks for no token"), bound(config(place, tcp_listen=listen)):
        pass


def test_a_token_that_could_be_guessed_is_refused(place: Path) -> None:
    weak = config(place, tcp_listen=":7000", tcp_token="secret")
    with pytest.raises(ConfigError, match=r"node\.tcp_token: this token is too short"), bound(weak):
        pass


def test_a_port_that_is_taken_is_named(place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Conflict, match=where), bound(config(place, tcp_listen=where)):
            pass


def test_without_a_flag_only_this_machine_gets_in(place: Path) -> None:
    with bound(config(place)) as doors:
        assert [each.listener.family for each in doors] == [socket.AF_UNIX]
    with bound(config(place, tcp_listen="off")) as doors:
        assert len(doors) == 1


def test_another_user_is_refused_by_the_kernels_word_though_the_files_let_it_in(place: Path) -> None:
    with bound(config(place)) as doors:
        place.chmod(0o755)
        path = place / "c.tunnel.sock"
        path.chmod(0o777)
        knock = f"socket.socket(socket.AF_UNIX).connect({str(path)!r})"
        assert run_as(NOBODY, "import socket", knock).returncode == 0
        with doors[0].listener.accept()[0] as caller:
            assert f"uid {NOBODY} may not control it" in doors[0].refusal(caller)
        assert run_as(0, "import socket", knock).returncode == 0
        with doors[0].listener.accept()[0] as caller:
            assert doors[0].refusal(caller) == ""


async def over_tcp(port: int, line: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(line)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


async def test_a_node_reaches_what_is_behind_another_by_either_door(first: Machine, second: Machine) -> None:
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read()).upper())
        writer.close()

    door = free_port()
    async with (
        first.runs(**FOUND, **{"scribe-listen": "off"}) as started,
        second.runs(started.invite, tcp=f"127.0.0.1:{door}"),
        await asyncio.start_server(shout, "127.0.0.1", 0) as server,
    ):
        await second.linked_with(first)
        port = server.sockets[0].getsockname()[1]
        async with asyncio.timeout(PATIENCE):
            await until_in_force(second, "first")
            line = b'{"dest_node": "first", "dest_addr": "localhost:%d"}\n'
            assert await over_tcp(door, line % port + b"hello") == b"HELLO"
            assert b'"code":"forbidden"' in await over_tcp(door, line % first.port), "pulse itself"
            with pytest.raises(StreamFailed, match="is this node itself"):
                await asyncio.to_thread(ask, second, "second", f"localhost:{port}")
            with pytest.raises(NotFound, match="Did you mean first"):
                await asyncio.to_thread(ask, second, "firstt", f"localhost:{port}")


async def until_in_force(machine: Machine, node: str) -> None:
    """Wait until it has a network config, before which nothing may pass."""
    while True:
        try:
            return await asyncio.to_thread(ask, machine, node, "localhost:1")
        except (NotFound, StreamFailed) as error:
            if isinstance(error, StreamFailed) and error.word == "refused":
                return None
            await asyncio.sleep(0.02)


async def test_a_port_of_another_node_leads_here_if_that_node_allows_it(first: Machine, second: Machine) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    (first.place / "first").mkdir(mode=0o700)
    (first.place / "first" / "config.toml").write_text("[node]\nreverse_forwards = true\n", encoding="utf-8")
    port = free_port()
    async with (
        first.runs(**FOUND, **{"scribe-listen": "off"}) as started,
        second.runs(started.invite),
        await asyncio.start_server(greet, "127.0.0.1", 0) as server,
    ):
        await second.linked_with(first)
        here = f"localhost:{server.sockets[0].getsockname()[1]}"
        async with asyncio.timeout(PATIENCE):
            await until_in_force(second, "first")
            with await asyncio.to_thread(lead_back, second, port, here):
                assert await over_tcp(port, b"") == b"hello"
            with pytest.raises(StreamFailed, match="reverse_forwards"):
                await asyncio.to_thread(lead_back, first, port, here, "second")


def lead_back(machine: Machine, port: int, destination: str, node: str = "first") -> socket.socket:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PULSE_CONTROL_SOCKET", str(machine.socket))
        return tunnels.lead_back(node, port, destination)


def ask(machine: Machine, node: str, destination: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PULSE_CONTROL_SOCKET", str(machine.socket))
        tunnels.reach(node, destination).close()
