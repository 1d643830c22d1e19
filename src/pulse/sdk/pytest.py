"""The pytest plugin: the fixture `pulse_mesh` is a real mesh of two nodes on loopback, ready when a test begins.

The nodes live in a thread of their own, so tests may be synchronous or use any event loop. Invariant: nothing of pulse
is imported before a test asks for the fixture.
"""

import asyncio
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pulse.sdk.mesh import Mesh

PATIENCE = 30.0
"""Seconds for the mesh to be ready."""


@dataclass(frozen=True, slots=True)
class Member:
    """One node of the two."""

    name: str
    id: str
    data_dir: Path
    """Where programs find it: `pulse.sdk.connect(data_dir)`, `pulse.sdk.sync.dial(…, data_dir=…)`."""

    def connect(self) -> "AbstractAsyncContextManager[Mesh]":
        """The mesh through this node: `async with pulse_mesh.first.connect() as mesh`."""
        from pulse.sdk.mesh import connect

        return connect(self.data_dir)


@dataclass(frozen=True, slots=True)
class PulseMesh:
    """Two nodes that are linked; `first` is the CA and the scribe. Without rules, everything is allowed."""

    first: Member
    second: Member


@pytest.fixture(scope="session")
def pulse_mesh() -> Iterator[PulseMesh]:
    """A mesh of two nodes, for all tests of the session: give back what a test changes of it."""
    told: Future[PulseMesh] = Future()
    stop: Future[None] = Future()
    with tempfile.TemporaryDirectory(prefix="pulse-", dir="/tmp") as place:
        thread = threading.Thread(target=lambda: asyncio.run(_live(Path(place), told, stop)), name="pulse_mesh")
        thread.start()
        try:
            yield told.result(PATIENCE)
        finally:
            stop.set_result(None)
            thread.join()


async def _live(place: Path, told: "Future[PulseMesh]", stop: "Future[None]") -> None:
    """Both nodes, until they are to stop."""
    from pulse.sdk.node import Node

    try:
        first = Node.found("test", place / "first", addr="127.0.0.1:0", name="first", portmap=False, beacon=False)
        async with first as one:
            invite = await one.invite()
            joining = Node.join(
                invite, data_dir=place / "second", addr="127.0.0.1:0", name="second", portmap=False, beacon=False
            )
            async with joining as two:
                async with asyncio.timeout(PATIENCE):
                    await _see(one)
                    await _see(two)
                members = (Member(each.me.name, each.me.id, each.control.parent) for each in (one, two))
                told.set_result(PulseMesh(*members))
                await asyncio.wrap_future(stop)
    except BaseException as error:
        if told.done():
            raise
        told.set_exception(error)


async def _see(mesh: "Mesh") -> None:
    """Wait until it has a path to the other one."""
    while not any(each.reached for each in await mesh.nodes()):  # noqa: ASYNC110 (the node answers who asks)
        await asyncio.sleep(0.01)
