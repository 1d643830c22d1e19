"""The mesh as a program has it, through two real nodes: what it reaches, what it is told, and what is refused."""

import asyncio
import resource
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pulse import tunnels
from pulse.calls.acls import AclCalls
from pulse.client import Client
from pulse.errors import Conflict, LinkError, NotFound, PulseError, Refused, StreamFailed
from pulse.schemas.policy import RuleRef, RuleRequest
from pulse.sdk import Events, Mesh, connect
from pulse.sdk import mesh as sdk_mesh
from pulse.sdk.pytest import PulseMesh
from tests.loopback import PATIENCE
from tests.people import NOBODY, run_as
from tests.sdk.rooms import exchange, leaving_nothing, shout
from tests.services.streaming import listening


async def shout_here(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write((await reader.read()).upper())
    writer.close()


async def test_a_node_is_reached_by_name_id_and_address_and_only_at_what_programs_serve_there(
    pulse_mesh: PulseMesh,
) -> None:
    async with pulse_mesh.first.connect() as one, pulse_mesh.second.connect() as two, listening(shout_here) as other:
        server = await one.start_server(shout, 0)
        for name in ("first", "first.pulse", one.me.id[:12], one.me.v4):
            assert await exchange(*await two.open_connection(name, server.port)) == b"WORD"
        with pytest.raises(StreamFailed, match="nothing listens") as raised:
            await two.open_connection("first", other)
        assert raised.value.word == "refused"


async def test_what_the_node_knows_is_told(pulse_mesh: PulseMesh) -> None:
    async with pulse_mesh.second.connect() as mesh:
        (row,) = [each for each in await mesh.nodes() if each.name == "first"]
        found = await mesh.resolve("db.first.pulse")
        pong = await mesh.ping("first")
        why = await mesh.why("first")

    assert (mesh.me.name, row.name, found.id, pong.id) == ("second", "first", row.id, row.id)
    assert (row.id, row.v4) == (pulse_mesh.first.id, found.v4)
    assert why.code == "direct"


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("frst", NotFound, "Did you mean first"),
        ("nobody.example.com", NotFound, "nobody.example.com"),
        ("203.0.113.9", NotFound, "203.0.113.9"),
        ("localhost", NotFound, "is no node of any mesh"),
        ("LocalHost.pulse", NotFound, "is no node of any mesh"),
    ],
)
async def test_a_name_that_nobody_has_is_named(
    pulse_mesh: PulseMesh, name: str, kind: type[PulseError], said: str
) -> None:
    async with pulse_mesh.second.connect() as mesh:
        with pytest.raises(kind, match=said):
            await mesh.resolve(name)
        with pytest.raises(kind, match=name):
            await mesh.open_connection(name, 80)


async def test_a_node_is_no_destination_of_its_own(pulse_mesh: PulseMesh) -> None:
    async with pulse_mesh.first.connect() as mesh:
        with pytest.raises(StreamFailed, match="is this node itself"):
            await mesh.open_connection("first", 8080)


async def test_what_the_rules_deny_is_refused_and_what_they_denied_since_is_cut(pulse_mesh: PulseMesh) -> None:
    async with pulse_mesh.first.connect() as one, pulse_mesh.second.connect() as two:
        server = await one.start_server(shout, 0)
        reader, _ = await two.open_connection("first", server.port)
        rule = RuleRequest(source=two.me.id, destination=one.me.id, action="deny", note="for a test")
        made = await one.ask(lambda node: AclCalls(node).add_rule(rule))
        try:
            async with asyncio.timeout(PATIENCE):
                with pytest.raises(ConnectionResetError, match="pulse acl list"):
                    await reader.read()
            with pytest.raises(StreamFailed, match="pulse acl explain second first") as raised:
                await two.open_connection("first", server.port)
            assert raised.value.word == "not_allowed"
            with pytest.raises(Refused, match=r"let no node reach first(.|\n)*pulse acl add"):
                await one.start_server(shout, 0)
        finally:
            await one.ask(lambda node: AclCalls(node).remove_rule(RuleRef(id=made.rule.id if made.rule else None)))
        await _opens(two, server.port)


async def _opens(mesh: Mesh, port: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await mesh.open_connection("first", port)
            except StreamFailed:
                await asyncio.sleep(0.01)
                continue
            return


async def test_nothing_is_left_open_by_a_block_that_ends(pulse_mesh: PulseMesh) -> None:
    async with pulse_mesh.first.connect() as one, pulse_mesh.second.connect() as two:
        warm = await one.start_server(shout, 0)
        await exchange(*await two.open_connection("first", warm.port))
        async with leaving_nothing():
            async with pulse_mesh.first.connect() as server_side, pulse_mesh.second.connect() as client_side:
                server = await server_side.start_server(shout, 0)
                for _ in range(3):
                    await client_side.open_connection("first", server.port)
                events = client_side.events()
                following = asyncio.ensure_future(_all(events))
                await asyncio.sleep(0)
            async with asyncio.timeout(PATIENCE):
                await following


async def test_a_block_whose_end_is_cancelled_still_leaves_nothing(pulse_mesh: PulseMesh) -> None:
    enough = asyncio.Event()

    async def stubborn(*_: object) -> None:
        while not enough.is_set():
            with suppress(asyncio.CancelledError):
                await enough.wait()

    async with pulse_mesh.second.connect() as two, leaving_nothing():
        block = pulse_mesh.first.connect()
        mesh = await block.__aenter__()
        server = await mesh.start_server(stubborn, 0)
        following = asyncio.ensure_future(_all(mesh.events()))
        _, writer = await two.open_connection("first", server.port)
        other = await two.start_server(stubborn, 0)
        _, stuck = await mesh.open_connection("second", other.port)
        stuck.write(bytes(10_000_000))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await block.__aexit__(None, None, None)
        async with asyncio.timeout(PATIENCE):
            await following
            enough.set()
            writer.close()
            await other.close()
        with pytest.raises(StreamFailed, match="nothing listens"):
            await two.open_connection("first", server.port)


async def test_after_its_block_every_call_of_a_mesh_is_refused(pulse_mesh: PulseMesh) -> None:
    async with pulse_mesh.first.connect() as mesh:
        pinging = asyncio.ensure_future(mesh.ask(lambda node: node.ping("second", 60)))
        opening = asyncio.ensure_future(mesh.open_connection("second", 9))
        serving = asyncio.ensure_future(mesh.start_server(shout, 0))
        await asyncio.sleep(0)
    for late in (pinging, opening, serving):
        with pytest.raises((Conflict, StreamFailed), match=r"this mesh is closed|nothing listens"):
            await late
    calls = (
        lambda: mesh.open_connection("second", 9),
        lambda: mesh.start_server(shout, 0),
        lambda: mesh.open_port(0, lambda *_: None),
        lambda: mesh.resolve("second"),
        lambda: mesh.ask(Client.status),
    )
    for call in calls:
        with pytest.raises(Conflict, match=r"its block has ended. Connect again"):
            await call()
    with pytest.raises(Conflict, match="its block has ended"):
        mesh.events()


async def _all(events: Events) -> None:
    async for _ in events:
        pass


async def test_a_call_that_is_cancelled_leaves_nothing_open(pulse_mesh: PulseMesh) -> None:
    async with pulse_mesh.second.connect() as mesh, leaving_nothing():
        for asked in (mesh.ping("first", 60), mesh.open_connection("first", 9), mesh.ask(Client.status)):
            call = asyncio.ensure_future(asked)
            await asyncio.sleep(0)
            call.cancel()
            with pytest.raises((asyncio.CancelledError, PulseError)):
                await call


@pytest.fixture
def many_files() -> Iterator[None]:
    """As many descriptors as a thousand connections and both their nodes take."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(16384, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
async def test_a_thousand_at_once_are_all_open_in_the_end(pulse_mesh: PulseMesh) -> None:
    async with pulse_mesh.first.connect() as one, pulse_mesh.second.connect() as two, leaving_nothing():
        server = await one.start_server(shout, 0)
        async with asyncio.TaskGroup() as tasks:
            opening = [tasks.create_task(two.open_connection("first", server.port)) for _ in range(1000)]
        async with asyncio.TaskGroup() as tasks:
            answers = [tasks.create_task(exchange(*each.result())) for each in opening]
        assert {each.result() for each in answers} == {b"WORD"}
        await server.close()


async def test_who_waits_too_long_for_a_turn_is_told_what_to_do(
    pulse_mesh: PulseMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sdk_mesh, "AT_ONCE", 0)
    monkeypatch.setattr(tunnels, "PATIENCE", 0.05)
    async with pulse_mesh.second.connect() as two:
        with pytest.raises(
            StreamFailed, match=r"other connections of this program to first(.|\n)*fewer at once"
        ) as raised:
            await two.open_connection("first", 9)
        assert raised.value.word == "crowded_here"


async def test_what_was_written_still_leaves_at_the_end_of_the_block(pulse_mesh: PulseMesh) -> None:
    heard: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def count(reader: asyncio.StreamReader, *_: object) -> None:
        heard.set_result(len(await reader.read()))

    async with pulse_mesh.first.connect() as one:
        server = await one.start_server(count, 0)
        async with pulse_mesh.second.connect() as two:
            _, writer = await two.open_connection("first", server.port)
            writer.write(bytes(1_000_000))
        async with asyncio.timeout(PATIENCE):
            assert await heard == 1_000_000


async def test_without_a_node_the_socket_asked_is_named(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match=rf"{tmp_path}/pulse.sock(.|\n)*pulse start"):
        async with connect(tmp_path):
            pass


def test_the_node_of_somebody_else_is_not_ours(pulse_mesh: PulseMesh) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        Path(place).chmod(0o755)
        for name in ("pulse.sock", "tunnel.sock"):
            (Path(place) / name).hardlink_to(pulse_mesh.first.data_dir / name)
        code = f"asyncio.run(connect(pathlib.Path({place!r})).__aenter__())"
        done = run_as(NOBODY, "import asyncio, pathlib; from pulse.sdk import connect", code)
    assert "Refused" in done.stderr
    assert "usermod -aG pulse" in done.stderr


async def test_an_invite_lets_in_and_one_who_is_not_the_ca_says_who_is(pulse_mesh: PulseMesh) -> None:
    async with pulse_mesh.first.connect() as one, pulse_mesh.second.connect() as two:
        assert (await one.invite(60)).startswith("pls_")
        with pytest.raises((Refused, Conflict)):
            await two.invite()
