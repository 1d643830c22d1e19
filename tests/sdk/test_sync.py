"""Sockets and local ports that lead to nodes, for programs without an event loop: the reference's `client`."""

import asyncio
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from pulse.errors import Conflict, LinkError, NotFound, PulseError, StreamFailed
from pulse.sdk import Caller, sync
from pulse.sdk.pytest import Member, PulseMesh
from pulse.sdk.sync import Forwarder, dial
from tests.loopback import PATIENCE
from tests.sdk.rooms import leaving_nothing, shout


@contextmanager
def words(connection: socket.socket) -> Iterator[bytes]:
    with connection:
        connection.settimeout(PATIENCE)
        connection.sendall(b"word")
        connection.shutdown(socket.SHUT_WR)
        yield connection.recv(9)


async def test_a_socket_and_a_local_port_lead_to_the_node(pulse_mesh: PulseMesh) -> None:

    def use(port: int) -> list[bytes]:
        place = pulse_mesh.second.data_dir
        with words(dial("first", port, data_dir=place)) as dialled:
            pass
        with (
            Forwarder("first", port, data_dir=place) as at,
            words(socket.create_connection(at)) as first,
            words(socket.create_connection(at)) as second,
        ):
            return [dialled, first, second]

    async with pulse_mesh.first.connect() as one, leaving_nothing(), await one.start_server(shout, 0) as server:
        assert await asyncio.to_thread(use, server.port) == [b"WORD"] * 3


async def test_hundreds_of_threads_at_once_all_get_there(pulse_mesh: PulseMesh) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter, caller: Caller) -> None:
        writer.write(caller.name.encode())

    def use(port: int) -> list[bytes]:
        with ThreadPoolExecutor(300) as threads:
            return [*threads.map(lambda _: _first_word(port, pulse_mesh.second), range(300))]

    async with pulse_mesh.first.connect() as one, await one.start_server(greet, 0) as server:
        assert await asyncio.to_thread(use, server.port) == [b"second"] * 300


def _first_word(port: int, through: Member) -> bytes:
    with dial("first", port, data_dir=through.data_dir) as connection:
        connection.settimeout(PATIENCE)
        return connection.recv(6)


def test_what_leads_nowhere_is_said(pulse_mesh: PulseMesh) -> None:
    place, failures = pulse_mesh.second.data_dir, list[PulseError]()
    with pytest.raises(NotFound, match="Did you mean first"):
        dial("frst", 80, data_dir=place)
    with pytest.raises(NotFound), Forwarder("frst", 80, data_dir=place):
        pass
    with pytest.raises(LinkError, match="pulse start"):
        sync.dial("first", 80, data_dir=place / "nowhere")
    with Forwarder("first", 9, failed=failures.append, data_dir=place) as at:
        with socket.create_connection(at, PATIENCE) as connection, pytest.raises(ConnectionResetError):
            connection.recv(1)
        with pytest.raises(Conflict, match="another program"), Forwarder("first", 9, local=at[1], data_dir=place):
            pass
    assert isinstance(failures[0], StreamFailed)
    assert "nothing listens" in str(failures[0])
