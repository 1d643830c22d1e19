"""A daemon that is killed under a program: nothing hangs, and what is asked next says what happened."""

import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from pulse.client import Client
from pulse.errors import LinkError, PulseError
from pulse.sdk import Events, connect
from pulse.sdk.pytest import PulseMesh
from tests.loopback import PATIENCE
from tests.people import SRC
from tests.ports import free_port
from tests.sdk.rooms import shout

QUIET = {"PULSE_PORTMAP": "no", "PULSE_BEACON": "no", "PYTHONPATH": str(SRC)}


async def _up(place: Path) -> None:
    while True:
        try:
            async with connect(place) as mesh:
                if (await mesh.ask(Client.status)).in_force and (await mesh.nodes()):
                    return
        except PulseError:
            pass
        await asyncio.sleep(0.02)


async def _all(events: Events) -> None:
    async for _ in events:
        pass


@dataclass
class Handled:
    """What a handler sees."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)
    cut: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, reader: asyncio.StreamReader, *_: object) -> None:
        """Read, and set `cut` if that ends in no end."""
        await reader.readexactly(10)
        self.begun.set()
        try:
            await reader.read()
        except ConnectionResetError:
            self.cut.set()


async def test_a_daemon_that_is_killed_ends_all_and_what_is_asked_next_says_why(pulse_mesh: PulseMesh) -> None:
    with TemporaryDirectory(prefix="pulse-", dir="/tmp") as name:
        place, addr = Path(name) / "d", f"127.0.0.1:{free_port()}"
        async with pulse_mesh.first.connect() as one:
            server = await one.start_server(shout, 0)
            flags = ["--data-dir", str(place), "--addr", addr]
            command = [sys.executable, "-m", "pulse", await one.invite(), *flags]
            env = {**os.environ, **QUIET}
            with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL) as daemon:  # noqa: ASYNC220 (quick)
                async with asyncio.timeout(3 * PATIENCE):
                    await _up(place)
                    async with connect(place) as mesh:
                        reader, _ = await mesh.open_connection(one.me.id, server.port)
                        handled = Handled()
                        served = await mesh.start_server(handled.take, 0)
                        _, writer = await one.open_connection(mesh.me.id, served.port)
                        writer.write(b"half of it")
                        await handled.begun.wait()
                        following = asyncio.ensure_future(_all(mesh.events()))
                        await mesh.ping("first")
                        daemon.kill()
                        await handled.cut.wait()
                        with pytest.raises(ConnectionResetError):
                            await reader.readexactly(4)
                        with pytest.raises(LinkError, match="is gone"):
                            await served.serve_forever()
                        with pytest.raises(LinkError, match="is gone"):
                            await following
                        for asked in (mesh.open_connection("first", 80), mesh.nodes(), mesh.start_server(shout, 0)):
                            with pytest.raises(LinkError, match=r"no node answers at|hung up"):
                                await asked
