"""Whole nodes in one process, without TUN: how a network begins, grows, refuses and comes back."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest

from pulse import node
from pulse.calls.tokens import TokenCalls
from pulse.client import Client
from pulse.config import NodeConfig
from pulse.errors import Conflict, NotFound, Refused
from pulse.schemas.node import PeerRow
from pulse.schemas.start import Joined, Started
from pulse.settings import load
from pulse.store.files import open_data_dir
from tests.loopback import PATIENCE
from tests.ports import free_port

NETWORK = "testnet"
FOUND = {"ca": True, "scribe": True, "network": NETWORK}

_T = TypeVar("_T")


@dataclass
class Machine:
    """A machine on loopback: a port, and a directory short enough for a Unix socket."""

    name: str
    place: Path
    port: int

    @property
    def socket(self) -> Path:
        """Where its node is controlled."""
        return self.place / f"{self.name}.sock"

    def config(self, *peers: str, **flags: object) -> NodeConfig:
        """Its settings, with an invite or the addresses of peers."""
        usual = {"data-dir": str(self.place / self.name), "addr": f"127.0.0.1:{self.port}", "name": self.name}
        return load({**usual, **flags}, peers, environment={"PULSE_CONTROL_SOCKET": str(self.socket)})

    async def ask(self, question: Callable[[Client], _T]) -> _T:
        """What its node answers on its control socket."""

        def asked() -> _T:
            with Client(self.socket) as client:
                return question(client)

        return await asyncio.to_thread(asked)

    async def linked_with(self, other: "Machine", transport: str = "") -> PeerRow:
        """Wait until its node has a link with another, of any kind or of that one; how it sees that one."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for row in (await self.ask(Client.status)).peers:
                    if row.name == other.name and row.link != "-" and transport in ("", row.link):
                        return row
                await asyncio.sleep(0.02)

    @asynccontextmanager
    async def runs(self, *peers: str, **flags: object) -> AsyncIterator[Started]:
        """Its node, from the word that it is up until it stopped because its owner asked."""
        ready: asyncio.Future[Started] = asyncio.get_running_loop().create_future()
        running = asyncio.ensure_future(node.run(self.config(*peers, **flags), ready.set_result))
        either: list[asyncio.Future[Any]] = [ready, running]
        try:
            await asyncio.wait(either, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
            yield ready.result()
            assert (await self.ask(Client.stop)).pid == os.getpid()
            async with asyncio.timeout(PATIENCE):
                await running
        finally:
            running.cancel()

    async def joins(self, *peers: str, **flags: object) -> Joined:
        """It becomes a member and runs nothing."""
        async with asyncio.timeout(PATIENCE):
            return await node.join(self.config(*peers, **flags), lambda _: None)

    async def start_fails(self, *peers: str, **flags: object) -> None:
        """Run its node, which is to end by itself."""
        async with asyncio.timeout(PATIENCE):
            await node.run(self.config(*peers, **flags), never_ready)


def never_ready(_: Started) -> None:
    raise AssertionError("the node is up")


@pytest.fixture
def place() -> Iterator[Path]:
    with TemporaryDirectory(prefix="pulse-", dir="/tmp") as short:
        yield Path(short)


@pytest.fixture
def first(place: Path) -> Machine:
    return Machine("first", place, free_port())


@pytest.fixture
def second(place: Path) -> Machine:
    return Machine("second", place, free_port())


# How a network begins and grows


async def test_the_first_node_makes_the_network_and_has_an_invite(first: Machine) -> None:
    async with first.runs(**FOUND) as started:
        tokens = await first.ask(lambda client: TokenCalls(client).list_tokens())

    assert (started.made, started.tun, started.advertised) == (True, "", [f"127.0.0.1:{first.port}"])
    assert (started.node.name, started.node.network, started.node.roles) == ("first", NETWORK, ["ca", "scribe"])
    assert started.invite.startswith("pls_")
    assert [(each.max_uses, each.state) for each in tokens] == [(1, "good")]


async def test_a_second_node_joins_by_the_invite_and_both_are_linked(first: Machine, second: Machine) -> None:
    async with first.runs(**FOUND) as started, second.runs(started.invite) as other:
        seen = await first.linked_with(second)
        met = await second.linked_with(first)
        certificate = await second.ask(Client.certificate)
        pong = await second.ask(lambda client: client.ping("first"))
        used = await first.ask(lambda client: TokenCalls(client).list_tokens())

    assert (other.made, other.invite, other.node.network) == (False, "", NETWORK)
    assert (seen.id, seen.roles) == (other.node.id, [])
    assert (met.id, met.roles) == (started.node.id, ["ca", "scribe"])
    assert (pong.id, pong.link) == (started.node.id, met.link)
    assert certificate.pinned
    assert [each.state for each in used] == ["used_up"]


async def test_a_machine_may_join_now_and_start_later(first: Machine, second: Machine) -> None:
    async with first.runs(**FOUND) as started:
        joined = await second.joins(started.invite)
        async with second.runs() as later:
            await second.linked_with(first)

    assert (joined.pinned, joined.address, joined.node.id) == (True, f"127.0.0.1:{first.port}", later.node.id)
    assert not later.made


# How it refuses


async def test_a_second_run_on_one_data_directory_is_a_conflict(first: Machine) -> None:
    async with first.runs(**FOUND):
        with pytest.raises(Conflict, match=str(os.getpid())):
            await first.start_fails(**FOUND)
        assert (await first.ask(Client.status)).well


async def test_a_restore_that_was_cut_short_keeps_the_node_down(first: Machine) -> None:
    open_data_dir(first.place / first.name / "putting-back")
    (first.place / first.name).chmod(0o700)
    with pytest.raises(Refused, match=r"restore .* was cut short"):
        await first.start_fails(**FOUND)


async def test_a_member_joins_no_second_time(first: Machine, second: Machine) -> None:
    async with first.runs(**FOUND) as started:
        await second.joins(started.invite)
        with pytest.raises(Conflict, match=f"a member of {NETWORK} already"):
            await second.joins(started.invite)


async def test_a_network_this_machine_is_not_in_is_refused(first: Machine) -> None:
    async with first.runs(**FOUND):
        pass

    with pytest.raises(Refused, match=f"a member of {NETWORK}, not of other"):
        await first.start_fails(network="other")


async def test_an_invite_to_another_network_than_the_one_named_is_refused(first: Machine, second: Machine) -> None:
    async with first.runs(**FOUND) as started:
        with pytest.raises(Refused, match=f"the invite is for network {NETWORK}, not other"):
            await second.start_fails(started.invite, network="other")


async def test_a_member_that_is_asked_to_be_a_ca_is_a_conflict(first: Machine, second: Machine) -> None:
    async with first.runs(**FOUND) as started:
        await second.joins(started.invite)

    with pytest.raises(Conflict, match=f"joined {NETWORK} as a member"):
        await second.start_fails(ca=True)


async def test_a_machine_in_no_network_that_is_told_nothing_says_what_to_do(first: Machine) -> None:
    with pytest.raises(NotFound, match="in no network yet"):
        await first.start_fails()

    assert not first.socket.exists()


# How it comes back


async def test_a_restarted_node_finds_its_peer_again_though_nobody_tells_it(first: Machine, second: Machine) -> None:
    async with first.runs(**FOUND) as started:
        async with second.runs(started.invite):
            await first.linked_with(second)
            await second.linked_with(first)
        async with second.runs() as again:
            await second.linked_with(first)

    assert (again.made, again.node.network) == (False, NETWORK)


async def test_where_another_program_has_the_tcp_port_a_node_says_so_and_serves_over_udp(
    first: Machine, second: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", first.port)):
        async with first.runs(**FOUND) as started:
            assert started.sockets == "udp"
            assert any("TCP port is not ours" in record.message for record in caplog.records)
            await second.joins(started.invite)
            async with second.runs() as other:
                assert other.sockets == "udp+tcp"
                await first.linked_with(second, "quic")


async def test_a_restarted_ca_that_moved_finds_the_peers_that_cannot_find_it(first: Machine, second: Machine) -> None:
    async with first.runs(**FOUND) as started:
        joined = await second.joins(started.invite)
    async with second.runs():
        async with first.runs():
            # While one end starts, a WebSocket may be quicker; what it sees is no address.
            await first.linked_with(second, "quic")
        first.port = free_port()
        async with first.runs() as again:
            row = await first.linked_with(second)
            await second.linked_with(first)

    assert (again.node.id, again.made, again.invite) == (started.node.id, False, "")
    assert (row.id, row.address) == (joined.node.id, f"127.0.0.1:{second.port}")
