"""Two nodes with real data planes on loopback and what they know of each other, for streams between them."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address

import pytest

from pulse.core.mesh import Mesh
from pulse.core.messages import ObjectKind
from pulse.core.network.destinations import Destination, IPAddress, Premises
from pulse.core.network.netconfig import Config, Settings, sign_config
from pulse.core.network.policy import Rule
from pulse.core.network.streamcodes import StreamKind
from pulse.core.trust.roles import Roles, sign_roles
from pulse.errors import StreamFailed
from pulse.net import outward
from pulse.services.streams.opening import Opened
from pulse.services.streams.service import StreamsService
from tests.authority import MESH, key
from tests.loopback import CA, PATIENCE, Node, node
from tests.mint import member, mesh

OWN = frozenset(map(ip_address, ("127.0.0.1", "::1")))
SCRIBE = member(CA, "scribe", 9)

BEHIND, NAME = "192.0.2.9", "inside.example"
"""An address behind one of them, and a name of it."""


@dataclass
class End:
    """One of the two."""

    node: Node
    mesh: Mesh
    service: StreamsService = field(init=False)
    premises: Premises = field(default_factory=lambda: Premises(OWN))
    names: dict[str, list[IPAddress]] = field(default_factory=dict)
    """What it resolves otherwise than the system."""
    has_path: bool = True
    """Whether its routes lead to the other."""

    def __post_init__(self) -> None:
        self.service = StreamsService(
            self.mesh,
            self.node.links.streams,
            lambda: self.premises,
            self.resolve,
            outward.connected,
            lambda _: self.has_path,
        )

    async def resolve(self, host: str) -> list[IPAddress]:
        """The addresses of a name."""
        return self.names[host] if host in self.names else await outward.resolved(host)

    def ruled(self, number: int, *rules: Rule) -> None:
        """The scribe's config with these rules comes into force."""
        config = Config(1, number, Settings(str(MESH)), acl=list(rules))
        now = asyncio.get_running_loop().time()
        self.mesh.object_made(ObjectKind.CONFIG, sign_config(CA.network, config, key("scribe")).data, now)
        self.service.changed()


@dataclass
class Two:
    """Both, linked, in an open network."""

    here: End
    there: End
    config: int = 1

    def ruled(self, *rules: Rule) -> None:
        """Both have these rules."""
        self.config += 1
        for each in (self.here, self.there):
            each.ruled(self.config, *rules)


def end(node: Node, other: Node) -> End:
    """One node that knows the other and the network config."""
    now = asyncio.get_running_loop().time()
    knows = mesh(CA, node.me)
    for each in (other.me, SCRIBE):
        knows.peer_restored(each, [], now)
    knows.object_made(ObjectKind.ROLES, sign_roles(CA.network, Roles(1, SCRIBE.node_id, 1), CA.key).data, now)
    made = End(node, knows)
    made.ruled(1)
    return made


@asynccontextmanager
async def two() -> AsyncIterator[Two]:
    """Both of them, serving."""
    with node("alice") as alice, node("bob", 2) as bob:
        await alice.link_with(bob)
        both = Two(end(alice, bob), end(bob, alice))
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(each.service.run()) for each in (both.here, both.there)]
            yield both
            for task in running:
                task.cancel()


@asynccontextmanager
async def listening(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], "asyncio.Future[None] | object"],
) -> AsyncIterator[int]:
    """A program that listens on loopback; its port."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)  # type: ignore[arg-type]
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def pair() -> tuple[socket.socket, socket.socket]:
    """Two sockets that are connected; the first one does not block."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    return ours, theirs


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer in capitals, once all was said."""
    writer.write((await reader.read()).upper())
    writer.close()


async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say a word and keep the line open."""
    writer.write(b"word")
    await reader.read()
    writer.close()


async def opened(two: Two, port: int, host: str = "localhost", kind: StreamKind = StreamKind.CONNECT) -> Opened:
    """A stream from here to what listens there."""
    async with asyncio.timeout(PATIENCE):
        return await two.here.service.open(two.there.node.me.node_id, Destination(host, port), kind)


async def refused(two: Two, port: int, host: str = "localhost", kind: StreamKind = StreamKind.CONNECT) -> StreamFailed:
    """Why there is none."""
    with pytest.raises(StreamFailed) as raised:
        await opened(two, port, host, kind)
    return raised.value


def failing(error: Exception) -> Callable[[str], Awaitable[list[IPAddress]]]:
    """A resolver with which something is wrong."""

    async def resolve(_: str) -> list[IPAddress]:
        raise error

    return resolve
