"""The mesh as a program has it: connections to nodes by name, ports of this node, and what the node here knows.

Invariant: everything a `Mesh` opened is closed when its block ends, whatever ended it.
"""

import asyncio
import socket
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final, TypeVar

from pulse import client, tunnels
from pulse.calls.tokens import TokenCalls
from pulse.calls.whereabouts import WhereaboutsCalls
from pulse.calls.why import WhyCalls
from pulse.channel import Remote
from pulse.client import Client
from pulse.config import tunnel_beside
from pulse.core import addresses
from pulse.errors import ConfigError, Conflict, LinkError
from pulse.schemas.node import NodeIdentity, PeerRow, PingReply
from pulse.schemas.paths import Why
from pulse.schemas.tokens import TokenRequest
from pulse.schemas.whereabouts import Found
from pulse.sdk import door
from pulse.sdk.events import Events
from pulse.sdk.ports import LINGER, Caller, Handler, Port, Server, open_port

AT_ONCE: Final = 64
"""Connections to one node that are asked for at a time; the rest wait here, and not in the way of other programs."""

_T = TypeVar("_T")


class Mesh:
    """The mesh through the node of this machine; made by `connect` and by `Node`.

    Every call may raise `pulse.errors.PulseError`, whose text says what happened, to what, and what to do next:
    `LinkError` if the node here or the other one does not answer, `Refused` if something says no, `NotFound` or
    `Conflict` for a name that no node has or several do, `StreamFailed` if a connection did not open.
    """

    def __init__(self, control: Path, me: NodeIdentity) -> None:
        """Of the node that is controlled at `control`; programs call `connect`."""
        self.control = control
        self.me = me
        """Who the node here is: `id`, `name`, `network`, `v4`, `v6`, `roles`, `tags`."""
        self._door = tunnel_beside(control)
        self._writers: dict[int, asyncio.StreamWriter] = {}
        """Of connections that are open: nobody has to keep both ends of one."""
        self._numbers = count()
        self._turns: weakref.WeakValueDictionary[str, asyncio.Semaphore] = weakref.WeakValueDictionary()
        """By the name of a node that somebody connects to."""
        self._servers: weakref.WeakSet[Server] = weakref.WeakSet()
        self._ports: weakref.WeakSet[Port] = weakref.WeakSet()
        self._events: weakref.WeakSet[Events] = weakref.WeakSet()
        self._asking: set[Client] = set()
        """Calls under way."""
        self._closed = False

    async def open_connection(
        self, node: str, port: int, *, host: str = "localhost"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A TCP connection to `port` of a node: its name, a mesh address, or the first digits of its id.

        It leads to `host` as that node sees it: the node itself, or a network beyond it that was approved. Returns once
        the far side is connected. Raises StreamFailed, whose `word` says why: `not_allowed` by the rules, `refused` as
        nothing listens there, `away` as the node cannot be reached, and others. What is cut later, by the end of a node
        or by rules that turn, raises ConnectionResetError where a connection that ended shows the end.
        """
        async with self._turn(node):
            self._check_open()
            connection, asking = await door.reached(self._door, node, addresses.join(host, port))
        number = next(self._numbers)
        reader, writer = await door.streams(connection, asking, partial(self._writers.pop, number, None))
        self._writers[number] = writer
        self._kept(writer.transport.abort)
        return reader, writer

    async def start_server(self, handler: Handler, port: int) -> Server:
        """Have a port of this node lead to `handler(reader, writer, caller)`: any free one for 0, see `Server.port`.

        The rules judge each connection as any other; `caller` has the `node` id that its session proved, and the `name`
        people know it by. The port is given back with the server, with the mesh, and when this process ends.
        Raises Conflict for a port that is taken, Refused for one below 1024, where no rule lets anybody in, or if the
        node lets no program have ports.
        """
        self._check_open()
        server = await Server(handler).open(self._door, port)
        self._servers.add(server)
        self._kept(server.abort)
        return server

    async def open_port(self, port: int, accept: Callable[[socket.socket, Caller], None]) -> Port:
        """The same with bare sockets, which `accept` owns, for servers that make connections of these themselves."""
        self._check_open()
        made = await open_port(self._door, port, partial(_bare, accept))
        self._ports.add(made)
        self._kept(made.close)
        return made

    def events(self) -> Events:
        """What happens from now on: `async for event in mesh.events()`. Raises LinkError when the node here is gone."""
        self._check_open()
        made = Events(self.control)
        self._events.add(made)
        return made

    async def invite(self, ttl: float = 3600.0, uses: int = 1) -> str:
        """An invite for `uses` machines, good for `ttl` seconds; on the CA, or where an operator may make them."""
        wanted = TokenRequest(ttl=ttl, max_uses=uses)
        return (await self.ask(lambda node: TokenCalls(node).invite(wanted))).invite

    async def resolve(self, name: str) -> Found:
        """The node at which a name is (`db-server`, `db-server.pulse`, an id, a mesh address): its `id`, `name`, `v4`
        and `v6`.

        No resolver of this machine is asked. Raises NotFound for what is not in the mesh.
        """
        return await self.ask(lambda node: WhereaboutsCalls(node).find(name))

    async def nodes(self) -> list[PeerRow]:
        """All other nodes as the node here sees them: `name`, `v4`, `link`, `via`, `rtt` (s), `loss`, and more."""
        return (await self.ask(Client.status)).peers

    async def why(self, node: str, source: str = "") -> Why:
        """Why a node is reached as it is, from here or from `source`."""
        return await self.ask(lambda here: WhyCalls(here).why(node, source))

    async def ping(self, node: str, timeout: float = 5.0) -> PingReply:
        """One echo over the session with a node: its `rtt` in seconds. Raises LinkError after `timeout` s without."""
        return await self.ask(lambda here: here.ping(node, timeout))

    async def ask(self, question: Callable[[Client], _T]) -> _T:
        """The node's answer to any call of `pulse.client` and `pulse.calls`, such as `mesh.ask(Client.status)`."""
        self._check_open()
        asking = Client(self.control)

        def asked() -> _T:
            with asking:
                return question(asking)

        answering = asyncio.ensure_future(asyncio.to_thread(asked))
        self._asking.add(asking)
        try:
            return await asyncio.shield(answering)
        except LinkError:
            self._check_open()
            raise
        except asyncio.CancelledError:
            # The thread ends with its connection.
            asking.interrupt()
            await asyncio.wait([answering])
            answering.cancelled() or answering.exception()
            raise
        finally:
            self._asking.discard(asking)

    async def close(self) -> None:
        """End all that was opened; what was written still leaves, if it does so within a second.

        Cancelled, it ends all at once. Every call after it is refused with Conflict.
        """
        self._closed = True
        # First everything, without a pause in which what follows could be left open.
        for stop in self._stops():
            stop()
        ends = [each.close() for each in self._servers]
        ends += [each.aclose() for each in self._events]
        ends += [_flushed(each) for each in self._writers.values()]
        ending = [asyncio.ensure_future(each) for each in ends]
        try:
            if ending:
                await asyncio.wait(ending)
        finally:
            for each in ending:
                each.cancel()
            for server in self._servers:
                server.abort()
            for writer in self._writers.values():
                writer.transport.abort()

    @asynccontextmanager
    async def _turn(self, node: str) -> AsyncIterator[None]:
        """Wait for a place among those who connect to a node. Raises StreamFailed."""
        turns = self._turns.setdefault(node, asyncio.Semaphore(AT_ONCE))
        try:
            async with asyncio.timeout(tunnels.PATIENCE):
                await turns.acquire()
        except TimeoutError as error:
            raise tunnels.crowded(
                f"{AT_ONCE} other connections of this program to {node} have been opening for "
                f"{tunnels.PATIENCE:.0f} s. Open fewer at once, or close some"
            ) from error
        try:
            yield
        finally:
            turns.release()

    def _stops(self) -> list[Callable[[], None]]:
        """What ends each thing that is open."""
        stops = [each.interrupt for each in self._asking]
        stops += [each.close for each in self._ports]
        stops += [each.stop for each in self._servers]
        stops += [each.stop for each in self._events]
        return stops + [each.close for each in self._writers.values()]

    def _check_open(self) -> None:
        """Raise Conflict once it is closed."""
        if self._closed:
            raise Conflict("this mesh is closed, as its block has ended. Connect again: async with connect() as mesh")

    def _kept(self, end: Callable[[], None]) -> None:
        """Raise Conflict, and end what was opened, if the mesh was closed meanwhile."""
        if self._closed:
            end()
        self._check_open()


def _bare(
    accept: Callable[[socket.socket, Caller], None],
    connection: socket.socket,
    told: socket.socket | None,
    caller: Caller,
) -> None:
    """The socket alone, whose end is one whatever made it."""
    if told:
        told.close()
    accept(connection, caller)


async def _flushed(writer: asyncio.StreamWriter) -> None:
    """Return once it is closed, or a second later."""
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(LINGER):
            await writer.wait_closed()


@asynccontextmanager
async def connect(data_dir: Path | str | None = None) -> AsyncIterator[Mesh]:
    """The mesh through the node that runs on this machine: the one of `data_dir`, or where `pulse status` finds it.

    Raises LinkError if none runs here, Refused if it belongs to somebody else.
    """
    with client.connect(Path(data_dir) if data_dir is not None else None) as asking:
        found = asking.path
    if isinstance(found, Remote):
        raise ConfigError(f"programs go through a node of this machine, not {found}. Unset PULSE_API_URL")
    async with opened(found) as mesh:
        yield mesh


@asynccontextmanager
async def opened(control: Path) -> AsyncIterator[Mesh]:
    """The mesh through the node that is controlled there. Raises the same."""
    mesh = Mesh(control, await _identity(control))
    try:
        yield mesh
    finally:
        await mesh.close()


async def _identity(control: Path) -> NodeIdentity:
    def asked() -> NodeIdentity:
        with Client(control) as node:
            return node.identity()

    return await asyncio.to_thread(asked)
