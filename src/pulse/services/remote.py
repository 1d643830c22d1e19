"""Restarts, and settings from afar: this node does what operators may ask of it, and asks others where it is one.

Invariant: the target judges by its own opt-in and the roles in force, whoever says what at the caller's end; both ends
keep an event of what was asked and what came of it.
"""

import asyncio
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Protocol

import msgspec

from pulse import remote, settings
from pulse.checks import near
from pulse.config import NodeConfig
from pulse.core import messages
from pulse.core.events import Event, Kind
from pulse.core.mesh import Mesh
from pulse.core.messages import MethodName, Wire
from pulse.core.types import NodeId, ShortText
from pulse.errors import PulseError, Refused
from pulse.net.links import CLIENT_PATIENCE, Rpc
from pulse.schemas.operating import Reloaded, RemoteSettings, Restarting, RestartRequest, Value
from pulse.store import files

LINGER: Final = 0.5
"""Seconds between the answer and the restart, in which it gets away."""


class Wanted(Wire, frozen=True):
    """The body of a call that changes settings: key and value as people type them."""

    pairs: Annotated[tuple[tuple[ShortText, Value], ...], msgspec.Meta(max_length=32)]


class Came(Wire, frozen=True):
    """What came of it: settings that are in force, and those that wait for a restart."""

    changed: Annotated[tuple[ShortText, ...], msgspec.Meta(max_length=64)]
    later: Annotated[tuple[ShortText, ...], msgspec.Meta(max_length=64)]


_wanted = msgspec.msgpack.Decoder(Wanted)
_came = msgspec.msgpack.Decoder(Came)


class Reloads(Protocol):
    """What this service asks of who reads the settings."""

    config: NodeConfig

    @property
    def reread(self) -> Callable[[], NodeConfig]:
        """The settings as they are now."""
        ...

    async def reload(self) -> Reloaded:
        """Make them so."""
        ...


@dataclass(slots=True)
class RemoteService:
    """One node, to be asked and to ask from."""

    mesh: Mesh
    call: Rpc
    reloads: Reloads
    happened: Callable[[Event], None]
    """Keeps an event."""
    restart_now: Callable[[], None]
    """Ends this run of the node; another one follows."""
    _leaving: set[asyncio.TimerHandle] = field(default_factory=set, init=False)

    # Asked here

    async def restart(self, wanted: RestartRequest) -> Restarting:
        """Restart a node: this one, or another as its operator. Raises what it says."""
        if not wanted.node or self.mesh.members.resolve(wanted.node).node_id == self.mesh.me.node_id:
            self._check_settings()
            self._restart_soon()
            return Restarting(self.mesh.me.node_id, self._name(self.mesh.me.node_id))
        node = self.mesh.members.resolve(wanted.node).node_id
        await self._asked(node, MethodName.RESTART, b"", "restart")
        return Restarting(node, self._name(node))

    async def configure(self, wanted: RemoteSettings) -> Reloaded:
        """Change settings of another node, as its operator. Raises what it says."""
        node = self.mesh.members.resolve(wanted.node).node_id
        if node == self.mesh.me.node_id:
            raise Refused("that is this node itself: change its file, then pulse reload")
        body = messages.pack(Wanted(tuple(wanted.settings.items())))
        answer = await self._asked(node, MethodName.SETTINGS, body, _told(wanted.settings))
        came = messages.unpack(_came, answer, "settings", messages.RPC_LIMIT)
        return Reloaded([*map(messages.printable, came.changed)], [*map(messages.printable, came.later)])

    # Asked by others

    async def answer_restart(self, caller: NodeId, _: bytes) -> bytes:
        """The method `restart`. Raises Refused, or ConfigError if the settings would not let it start again."""
        self._check_operator(caller, "restarts")
        if not self.reloads.config.remote.restart:
            raise Refused(
                f"{self._me()} lets nobody restart it from afar.\nTo let operators: [remote] restart = true, there"
            )
        self._check_settings()
        self.happened(Event(Kind.REMOTE, {"node": caller, "asked": "restart", "outcome": "done"}))
        self._restart_soon()
        return b""

    async def answer_settings(self, caller: NodeId, body: bytes) -> bytes:
        """The method `settings.set`: all of them or none. Raises Refused or ConfigError."""
        self._check_operator(caller, "changes of settings")
        wanted = dict(messages.unpack(_wanted, body, "settings", messages.RPC_LIMIT).pairs)
        allowed = self.reloads.config.remote.config
        for path in wanted:
            if path not in allowed:
                known = near(path, allowed) if allowed else ""
                raise Refused(
                    f"{self._me()} lets nobody change {messages.printable(path)} from afar{known}.\n"
                    f'To let operators: [remote] config = ["{messages.printable(path)}"], there'
                )
        came = await self._changed(wanted)
        self.happened(Event(Kind.REMOTE, {"node": caller, "asked": _told(wanted), "outcome": "done"}))
        return messages.pack(Came(tuple(came.changed), tuple(came.later)))

    # Details

    async def _asked(self, node: NodeId, method: MethodName, body: bytes, what: str) -> bytes:
        try:
            answer = await self.call(node, method, body, CLIENT_PATIENCE)
        except PulseError as error:
            outcome = str(error).partition("\n")[0]
            self.happened(Event(Kind.REMOTE, {"node": node, "wanted": what, "outcome": outcome}))
            raise
        self.happened(Event(Kind.REMOTE, {"node": node, "wanted": what, "outcome": "done"}))
        return answer

    async def _changed(self, wanted: dict[str, str]) -> Reloaded:
        """Write them beside the others and read all anew; a mistake leaves the file as it was."""
        path = remote.place(self.reloads.config.data_dir)
        before = files.read_file(path) if path.exists() else b""
        try:
            kept: dict[str, Any] = tomllib.loads(before.decode())
        except (UnicodeDecodeError, tomllib.TOMLDecodeError):
            # Nothing of a damaged file counts; this one takes its place.
            kept = {}
        for key, text in wanted.items():
            kept = remote.laid(kept, key, settings.value_of(key, text))
        files.write_file(path, remote.written(kept))
        try:
            return await self.reloads.reload()
        except Exception:
            # Whatever it is, the node that starts next is not to run into it again.
            files.write_file(path, before)
            raise

    def _check_operator(self, caller: NodeId, what: str) -> None:
        so = f"so {self._me()} takes no {what} of it."
        self.mesh.statements.roles.check_editor(caller, self.mesh.ca_nodes(), self._name(caller), so)

    def _check_settings(self) -> None:
        """Raise ConfigError if a node could not start with the settings as they are now."""
        self.reloads.reread()

    def _restart_soon(self) -> None:
        self._leaving.add(asyncio.get_running_loop().call_later(LINGER, self.restart_now))

    def _me(self) -> str:
        return self._name(self.mesh.me.node_id)

    def _name(self, node: NodeId) -> str:
        return self.mesh.members.label_of(node)


def _told(wanted: dict[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in wanted.items())[:200]
