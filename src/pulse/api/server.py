"""Serves the control API on a Unix socket that only the right people can open.

The socket is bound here and handed over, because uvicorn's own `uds=` opens it to everybody (mode 0666).
Invariant: from its first instant the file is closed to others, and it is gone when the service ends.
"""

import asyncio
import contextlib
import errno
import os
import socket
import stat
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Protocol

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from pulse.api.app import problem
from pulse.api.callers import Caller, caller, group_id, refusal
from pulse.errors import ConfigError, Conflict, SystemRefused

LONGEST_PATH: Final = 107
"""Bytes of a Unix socket's path (`sun_path` less its zero)."""

BACKLOG: Final = 1024
"""Callers who may wait to be taken in; more wait at the kernel's, or are told to try again."""

KEEP_ALIVE: Final = 75
"""Seconds an idle client may keep its connection: `status --watch` asks again and again."""

SEND_DEADLINE: Final = 30.0
"""Seconds for a reader to take what fills the buffers between us: who follows events and reads no more is gone then."""

LAST_WORDS: Final = 2
"""Seconds that requests under way get when the node stops."""


class ControlSocket:
    """The bound socket and its file; bind it before anything else starts, so a second daemon stops at once."""

    def __init__(self, path: Path) -> None:
        """Bind `path`.

        Raises Conflict if a node answers there or the file is something else, ConfigError or SystemRefused if the
        path cannot be had. The file of a dead node is replaced.
        """
        self.path = path
        if len(os.fsencode(path)) > LONGEST_PATH:
            raise ConfigError(f"control.socket: {path} is too long for a Unix socket. Take a path of ≤ {LONGEST_PATH}")
        try:
            path.parent.mkdir(mode=0o755 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
            _make_way(path)
            self.socket = _bound(path)
        except OSError as error:
            raise SystemRefused(
                f"cannot make the control socket {path}: {error.strerror}.\n"
                "Choose another place: [control] socket in the configuration"
            ) from error
        self._inode = path.stat().st_ino

    def close(self) -> None:
        """Close, and remove the file if it is still ours."""
        self.socket.close()
        with contextlib.suppress(OSError):
            if self.path.stat().st_ino == self._inode:
                self.path.unlink()


class Listener(Protocol):
    """A bound socket."""

    socket: socket.socket

    def close(self) -> None:
        """Listen no more."""
        ...


class ApiService:
    """Answers on a control socket, or another one, until it is cancelled."""

    def __init__(
        self,
        app: ASGIApp,
        listener: Listener,
        protocol: type[H11Protocol] | None = None,
        ending: Callable[[], None] | None = None,
    ) -> None:
        """Serve `app`; `listener` is closed at the end of `run`. Who may ask is judged by `protocol`, or by `app`.

        `ending` is called when the end begins: what would never end by itself has to then.
        """
        self._listener, self._ending = listener, ending
        self._server = _Server(
            uvicorn.Config(
                app,
                http=protocol or _CheckedProtocol,
                ws="none",
                lifespan="off",
                loop="none",
                access_log=False,
                log_config=None,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=LAST_WORDS,
            )
        )

    async def run(self) -> None:
        """Serve; when cancelled, requests under way are finished first."""
        serving = asyncio.ensure_future(self._server.serve(sockets=[self._listener.socket]))
        try:
            await asyncio.shield(serving)
        finally:
            if self._ending:
                self._ending()
            self._server.should_exit = True
            with contextlib.suppress(asyncio.CancelledError):
                await serving
            self._listener.close()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the node's business, not the API's."""
        yield


class TimelyProtocol(H11Protocol):
    """HTTP that hangs up on who reads no more."""

    _stalled: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """The buffers are full."""
        super().pause_writing()
        self._moving()
        self._stalled = self.loop.call_later(SEND_DEADLINE, self.transport.abort)

    def resume_writing(self) -> None:
        """There is room again."""
        self._moving()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._moving()
        super().connection_lost(exc)

    def _moving(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None


class _CheckedProtocol(TimelyProtocol):
    """HTTP for callers who may command; for others one answer that says why not."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        who = caller(transport.get_extra_info("socket"))
        if not who.may_command(os.geteuid(), group_id()):
            self.app = _refusing(who)


def _refusing(who: Caller) -> Any:
    answer = problem(HTTPStatus.FORBIDDEN, refusal(who), "Refused")

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(scope, receive, send)

    return refuse


def _make_way(path: Path) -> None:
    """Remove the socket file of a node that is gone; raises Conflict for anything else."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise Conflict(f"{path} is in the way: it is no socket. Move it, then start again")
    with socket.socket(socket.AF_UNIX) as probe:
        code = probe.connect_ex(str(path))
    if code in (errno.ECONNREFUSED, errno.ENOENT):
        path.unlink(missing_ok=True)
        return
    raise Conflict(f"a node already runs here: it answers at {path}.\nSee it: pulse status; stop it: pulse stop")


def _bound(path: Path) -> socket.socket:
    """A listening socket, 0600; as root 0660 for group `pulse` if there is one."""
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(0o177)
        try:
            bound.bind(str(path))
        finally:
            os.umask(before)
        group = group_id()
        if os.geteuid() == 0 and group is not None:
            os.chown(path, -1, group)
            path.chmod(0o660)
        bound.listen(BACKLOG)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound
