"""Web applications on a port of the mesh: uvicorn serves what other nodes ask, and nothing listens on this machine.

Invariant: who calls is what the session proved; an application finds it in `scope["extensions"]["pulse"]`.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from pulse.sdk.mesh import Mesh
from pulse.sdk.ports import Caller

LAST_WORDS: Final = 5
"""Seconds that requests under way get at the end."""

EXTENSION: Final = "pulse"


async def serve(
    app: ASGIApp, mesh: Mesh, port: int, *, ready: Callable[[int], None] = lambda _: None, **settings: Any
) -> None:
    """Serve `app` on a port of this node until cancelled; `ready` is told which, for 0 means any free one.

    `settings` are those of `uvicorn.Config`. To the application the client is the node that calls: `scope["client"]`
    has its name, `scope["extensions"]["pulse"]` its `node` id, its `name`, and whether that was given to it (`named`).
    Raises as `Mesh.start_server` does, and LinkError once the node here is gone.
    """
    usual = {"log_config": None, "access_log": False, "timeout_graceful_shutdown": LAST_WORDS, "ws": "none"}
    # Headers by which proxies name somebody else's client: here the caller could write them, and has been proved.
    proved = {"proxy_headers": False}
    server = _Server(uvicorn.Config(app, **{**usual, **settings, **proved}))
    connections: set[asyncio.Task[None]] = set()

    def accept(connection: socket.socket, caller: Caller) -> None:
        task = asyncio.ensure_future(server.take_in(connection, caller))
        connections.add(task)
        task.add_done_callback(connections.discard)

    serving = asyncio.ensure_future(server.serve(sockets=[]))
    try:
        await server.up(serving)
        opened = await mesh.open_port(port, accept)
        gone = asyncio.ensure_future(opened.wait_gone())
        try:
            ready(opened.port)
            await asyncio.wait([gone, serving], return_when=asyncio.FIRST_COMPLETED)
            await (serving if serving.done() else gone)
        finally:
            opened.close()
            gone.cancel()
    finally:
        server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await serving


class _Server(uvicorn.Server):
    """uvicorn without a listening socket: connections are brought to it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the program's business."""
        yield

    async def up(self, serving: "asyncio.Future[None]") -> None:
        """Wait until the application has started. Raises what it failed with."""
        while not self.started:
            if serving.done():
                await serving
                raise RuntimeError("the application did not start")
            await asyncio.sleep(0.005)

    async def take_in(self, connection: socket.socket, caller: Caller) -> None:
        """Serve one connection, which is taken over."""
        kind: Any = self.config.http_protocol_class
        protocol = kind(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
        protocol.app = _told(protocol.app, caller)
        try:
            loop = asyncio.get_running_loop()
            await loop.connect_accepted_socket(lambda: protocol, connection, ssl=self.config.ssl)
        except OSError:
            # Whoever called hung up, or speaks no TLS.
            connection.close()
        except BaseException:
            connection.close()
            raise


def _told(app: ASGIApp, caller: Caller) -> ASGIApp:
    """The application, which hears who calls."""
    extension = {"node": caller.node, "name": caller.name, "named": caller.named}

    async def told(scope: Scope, receive: Receive, send: Send) -> None:
        extensions = {**scope.get("extensions", {}), EXTENSION: extension}
        await app({**scope, "client": (caller.name, 0), "extensions": extensions}, receive, send)

    return told
