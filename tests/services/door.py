"""A door to streams with nothing behind it: what callers asked for is kept, and a test is the far end."""

import asyncio
import contextlib
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from pulse.core.mesh import Mesh
from pulse.core.network.destinations import Destination
from pulse.core.network.streamcodes import StreamCode, StreamKind, cut, failed
from pulse.core.types import NodeId
from pulse.errors import StreamFailed
from pulse.net.links import Moved
from pulse.services.serving import ServingService
from pulse.services.tunnels import Door, TunnelsService
from tests.authority import Ca
from tests.loopback import PATIENCE
from tests.mint import member, mesh

CA = Ca()
ME, DB = (member(CA, name, place, host=name) for place, name in enumerate(("me", "db"), 1))
LINE = b'{"dest_node": "db", "dest_addr": "localhost:5432"}\n'


@dataclass
class Opened:
    """A stream that keeps what it was given."""

    given: socket.socket | None = None
    cancelled: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)
    moved: Moved = field(default_factory=lambda: Moved(3, 4))

    def splice(self, sock: socket.socket) -> None:
        self.given = socket.socket(fileno=sock.detach())
        self.given.setblocking(False)

    async def closed(self) -> Moved:
        await self.over.wait()
        return self.moved

    def cancel(self) -> None:
        self.cancelled = True
        self.over.set()


@dataclass
class World:
    """A door, and what comes of who comes in."""

    mesh: Mesh = field(default_factory=lambda: mesh(CA, ME))
    asked: list[tuple[NodeId, str, StreamKind]] = field(default_factory=list)
    opened: list[Opened] = field(default_factory=list)
    refusal: StreamCode | None = None
    led: list[tuple[NodeId, int, str]] = field(default_factory=list)
    """Ports of nodes that lead here."""

    async def open(self, node: NodeId, destination: Destination, kind: StreamKind) -> Opened:
        self.check(node, destination)
        self.asked.append((node, str(destination), kind))
        self.opened.append(Opened())
        return self.opened[-1]

    async def lead(self, node: NodeId, port: int, destination: Destination) -> Opened:
        self.led.append((node, port, str(destination)))
        self.opened.append(Opened())
        return self.opened[-1]

    def forget(self, node: NodeId, port: int) -> None:
        self.led.remove((node, port, "localhost:5432"))

    def cut(self, moved: Moved, node: NodeId, destination: Destination) -> StreamFailed:
        return cut(StreamCode(moved.cut), "db", destination)

    def check(self, node: NodeId, destination: Destination) -> None:
        if self.refusal is not None:
            raise failed(self.refusal, "me", "db", destination)


@asynccontextmanager
async def serving(
    world: World,
    *,
    refusal: Callable[[socket.socket], str] = lambda _: "",
    token: str = "",
    takes_sockets: bool = True,
    who: Callable[[socket.socket], Hashable] = lambda _: None,
) -> AsyncIterator[Callable[[], socket.socket]]:
    """Run the service; makes connections to its door."""
    world.mesh.peer_restored(DB, [], 1.0)
    with contextlib.ExitStack() as held:
        place = Path(held.enter_context(tempfile.TemporaryDirectory())) / "t"
        listener = held.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(place))
        listener.listen()
        listener.setblocking(False)

        def come() -> socket.socket:
            caller = held.enter_context(socket.socket(socket.AF_UNIX))
            caller.connect(str(place))
            caller.setblocking(False)
            return caller

        doors = (Door(listener, refusal, token, takes_sockets=takes_sockets, who=who),)
        service = TunnelsService(world.mesh, world, doors, world, ServingService(world.mesh, True, _reserved))
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
            running = tasks.create_task(service.run())
            yield come
            running.cancel()


@contextlib.contextmanager
def _reserved(port: int) -> Iterator[int]:
    yield port or 4711


async def said(caller: socket.socket) -> dict[str, object]:
    """The next line of the answer."""
    line = await asyncio.get_running_loop().sock_recv(caller, 4096)
    return msgspec.json.decode(line, type=dict[str, object])
