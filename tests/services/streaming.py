"""Two nodes with real data planes on loopback and what they know of each other, for streams between them."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address

from pulse.core.mesh import Mesh
from pulse.core.messages import ObjectKind
from pulse.core.network.destinations import IPAddress, Premises
from pulse.core.network.netconfig import Config, Settings, sign_config
from pulse.core.network.policy import Rule
from pulse.core.trust.roles import Roles, sign_roles
from pulse.net import outward
from pulse.services.streams import StreamsService
from tests.authority import MESH, key
from tests.loopback import CA, Node, node
from tests.mint import member, mesh

OWN = frozenset(map(ip_address, ("127.0.0.1", "::1")))
SCRIBE = member(CA, "scribe", 9)


@dataclass
class End:
    """One of the two."""

    node: Node
    mesh: Mesh
    service: StreamsService = field(init=False)
    premises: Premises = field(default_factory=lambda: Premises(OWN))
    names: dict[str, list[IPAddress]] = field(default_factory=dict)
    """What it resolves otherwise than the system."""

    def __post_init__(self) -> None:
        self.service = StreamsService(
            self.mesh, self.node.links.streams, lambda: self.premises, self.resolve, outward.connected
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
