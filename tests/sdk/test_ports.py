"""Ports that lead to programs: who calls is told, and the port is given back however its program ends."""

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pulse.calls.acls import AclCalls
from pulse.errors import Conflict, LinkError, Refused, StreamFailed
from pulse.schemas.policy import RuleRef, RuleRequest
from pulse.sdk import Caller, Events, Mesh, Node, Server, ports
from pulse.sdk.pytest import PulseMesh
from tests.loopback import PATIENCE
from tests.ports import free_port
from tests.sdk.rooms import exchange, leaving_nothing, shout

SERVES = """
import asyncio, sys
from pulse.sdk import connect

async def main():
    async with connect(sys.argv[1]) as mesh:
        async def one(reader, writer, caller):
            writer.write(caller.name.encode())
            await writer.drain()
            await asyncio.sleep(3600)
        server = await mesh.start_server(one, 0)
        print(server.port, flush=True)
        await server.serve_forever()

asyncio.run(main())
"""


FORKED = """
import asyncio, os, sys
from pulse.errors import Conflict
from pulse.sdk import connect

async def again(mesh, port):
    async with asyncio.timeout(20):
        while True:
            try:
                return await mesh.start_server(print, port)
            except Conflict:
                await asyncio.sleep(0.01)

async def main():
    reading, writing = os.pipe()
    async with connect(sys.argv[1]) as mesh:
        server = await mesh.start_server(print, 0)
        child = os.fork()
        if not child:
            os.close(writing)
            os.read(reading, 1)
            os._exit(0)
        await server.close()
        print("the same port" if (await again(mesh, server.port)).port == server.port else "another")
    os.close(writing)
    os.waitpid(child, 0)

asyncio.run(main())
"""


CROWDED = """
import asyncio, resource, socket
from pulse.core.network.tunnelline import Called, line_of
from pulse.sdk.ports import Port

def calls(node, who):
    near, far = socket.socketpair()
    with far:
        socket.send_fds(node, [line_of(Called(who, who))], [far.fileno()])
    near.settimeout(30)
    return near

async def main():
    accepted = []
    ours, node = socket.socketpair()
    ours.setblocking(False)
    port = Port(ours, 9191, lambda *each: accepted.append(each))
    lost = [calls(node, f"lost-{number}") for number in range(3)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    for _ in range(50):
        await asyncio.sleep(0)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    print("hung up on", sum(each.recv(1) == b"" for each in lost))
    one = calls(node, "one")
    while not accepted:
        await asyncio.sleep(0.01)
    ((taken, _, caller),) = accepted
    taken.sendall(b"!")
    assert one.recv(1) == b"!"
    print(caller.name)
    port.close()
    for each in (*lost, one, taken, node):
        each.close()

asyncio.run(main())
"""


async def test_the_handler_is_told_who_calls(pulse_mesh: PulseMesh) -> None:
    async def tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter, caller: Caller) -> None:
        writer.write(f"{caller.name} {caller.node}".encode())

    async with (
        pulse_mesh.first.connect() as one,
        pulse_mesh.second.connect() as two,
        await one.start_server(tell, 0) as server,
    ):
        reader, writer = await two.open_connection("first", server.port)
        async with asyncio.timeout(PATIENCE):
            said = await reader.read()
        writer.close()

    assert said.decode() == f"second {pulse_mesh.second.id}"


async def test_a_program_without_room_for_a_caller_takes_nobody_for_him() -> None:
    """The kernel drops a socket for which there is no descriptor, and hands over the line that came with it."""
    command = [sys.executable, "-c", CROWDED]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("hung up on 3\none\n", "")


async def test_a_port_has_one_program_and_is_free_again_after_it(pulse_mesh: PulseMesh) -> None:
    port = free_port()
    async with pulse_mesh.first.connect() as one, pulse_mesh.second.connect() as two, leaving_nothing():
        async with await one.start_server(shout, port):
            with pytest.raises(Conflict, match=f"another program has port {port}"):
                await one.start_server(shout, port)
            with pytest.raises(OSError, match="in use"):
                socket.create_server(("127.0.0.1", port))
        with pytest.raises(StreamFailed, match="nothing listens"):
            await two.open_connection("first", port)
        async with await one.start_server(shout, port):
            assert await exchange(*await two.open_connection("first", port)) == b"WORD"


async def test_ports_of_root_and_those_that_others_listen_on_are_refused(pulse_mesh: PulseMesh) -> None:
    async with pulse_mesh.first.connect() as one:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(Conflict, match=f"another program of this machine has port {port}(.|\n)*ss -tlpn"):
                await one.start_server(shout, port)
        with pytest.raises(Refused, match="below 1024"):
            await one.start_server(shout, 80)


async def test_a_node_that_lets_no_program_serve_says_how_to_allow_it(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[node]\nserve_programs = false\n")
    async with Node.found("alone", tmp_path, addr="127.0.0.1:0", portmap=False, beacon=False) as mesh:
        with pytest.raises(Refused, match="serve_programs = true"):
            await mesh.start_server(shout, 0)


async def test_a_program_that_is_killed_gives_its_port_back_and_its_connections_end(pulse_mesh: PulseMesh) -> None:
    place = str(pulse_mesh.first.data_dir)
    command = [sys.executable, "-c", SERVES, place]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:  # noqa: ASYNC220 (as quick as a fork)
        assert program.stdout
        port = int(await asyncio.to_thread(program.stdout.readline))
        async with pulse_mesh.first.connect() as one, pulse_mesh.second.connect() as two:
            reader, _ = await two.open_connection("first", port)
            async with asyncio.timeout(PATIENCE):
                assert await reader.readexactly(6) == b"second"
                program.send_signal(signal.SIGKILL)
                assert await reader.read() == b""
                server = await _served(one, port)
            assert await exchange(*await two.open_connection("first", server.port)) == b"WORD"


async def _served(mesh: Any, port: int) -> Server:
    while True:
        with contextlib.suppress(Conflict):
            return await mesh.start_server(shout, port)  # type: ignore[no-any-return]
        await asyncio.sleep(0.01)


async def test_a_handler_that_fails_is_told_to_the_loop_and_harms_no_other(pulse_mesh: PulseMesh) -> None:
    failures: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))

    async def fail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, caller: Caller) -> None:
        if await reader.read() == b"bad":
            raise ValueError(caller.name)
        writer.write(b"good")

    async with (
        pulse_mesh.first.connect() as one,
        pulse_mesh.second.connect() as two,
        await one.start_server(fail, 0) as server,
    ):
        assert await exchange(*await two.open_connection("first", server.port), b"bad") == b""
        assert await exchange(*await two.open_connection("first", server.port)) == b"good"
    assert [str(each) for each in failures] == ["second"]


async def test_a_port_is_given_back_though_a_child_was_forked_meanwhile(pulse_mesh: PulseMesh) -> None:
    """It has all descriptors of the program, as those of multiprocessing have."""
    command = [sys.executable, "-c", FORKED, str(pulse_mesh.first.data_dir)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("the same port\n", "")


async def test_a_handler_that_goes_on_though_it_is_cancelled_holds_nobody_up(
    pulse_mesh: PulseMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "LINGER", 0.05)
    told: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["message"]))
    enough = asyncio.Event()

    async def stubborn(*_: object) -> None:
        while not enough.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await enough.wait()

    async with pulse_mesh.first.connect() as one, pulse_mesh.second.connect() as two:
        server = await one.start_server(stubborn, 0)
        reader, _ = await two.open_connection("first", server.port)
        async with asyncio.timeout(PATIENCE):
            while not server._serving:
                await asyncio.sleep(0.01)
            await server.close()
            assert await reader.read() == b""
            enough.set()
            while server._serving:
                await asyncio.sleep(0.01)
    assert [each for each in told if "goes on though it was cancelled" in each]


async def test_a_caller_who_comes_as_the_server_closes_leaves_nothing(pulse_mesh: PulseMesh) -> None:
    async with pulse_mesh.first.connect() as one, pulse_mesh.second.connect() as two, leaving_nothing():
        server = await one.start_server(shout, 0)
        port = server._port
        assert port
        reader, writer = await two.open_connection("first", server.port)
        # Taken in here, so that its handler has not begun when it is cancelled.
        asyncio.get_running_loop().remove_reader(port._connection)
        port._connection.setblocking(True)
        if not server._serving:
            port._read()
        await server.close()
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(ConnectionResetError):
                await reader.read()
        writer.close()


async def test_a_handler_whose_caller_is_cut_off_sees_no_end(pulse_mesh: PulseMesh) -> None:
    """As who opens a connection: an end would make half of what was sent the whole of it."""
    heard: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Caller) -> None:
        writer.write(b"go on")
        try:
            await reader.read()
        except ConnectionResetError as error:
            heard.set_result(error)
            raise

    async with pulse_mesh.first.connect() as one, pulse_mesh.second.connect() as two:
        server = await one.start_server(take, 0)
        reader, writer = await two.open_connection("first", server.port)
        writer.write(b"half of it")
        assert await reader.readexactly(5) == b"go on"
        rule = RuleRequest(source=two.me.id, destination=one.me.id, action="deny", note="for a test")
        made = await one.ask(lambda node: AclCalls(node).add_rule(rule))
        try:
            async with asyncio.timeout(PATIENCE):
                assert "the connection of second" in str(await heard)
        finally:
            await one.ask(lambda node: AclCalls(node).remove_rule(RuleRef(id=made.rule.id if made.rule else None)))
            await _opens_again(two, server.port)


async def _opens_again(mesh: Mesh, port: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(StreamFailed):
                await mesh.open_connection("first", port)
                return
            await asyncio.sleep(0.01)


async def _all(events: Events) -> None:
    async for _ in events:
        pass


async def test_a_server_says_when_its_node_is_gone(tmp_path: Path) -> None:
    node = Node.found("alone", tmp_path, addr="127.0.0.1:0", portmap=False, beacon=False)
    async with node:
        # The mesh of the node knows neither, and closes what it knows first.
        server = await Server(shout).open(tmp_path / "tunnel.sock", 0)
        following = asyncio.ensure_future(_all(Events(tmp_path / "pulse.sock")))
        serving = asyncio.ensure_future(server.serve_forever())
        await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(LinkError, match=f"port {server.port} with it"):
            await serving
        with pytest.raises(LinkError, match=r"tells no more events"):
            await following
