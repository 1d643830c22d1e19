"""A whole node inside a program: a member of a network without root, without a TUN device and without a daemon.

Invariant: what it leaves behind is its data directory alone. Streams of others lead to what the program serves, not to
the machine it runs on. This is the one file of the SDK that knows the node, and only where one is started.
"""

import asyncio
import socket
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, Final, Self

from pulse import settings
from pulse.calls.stats import StatsCalls
from pulse.client import Client
from pulse.config import NodeConfig, absolute
from pulse.core import addresses
from pulse.core.likeness import meant
from pulse.core.types import INVITE_PREFIX
from pulse.errors import ConfigError, LinkError, PulseError
from pulse.flags import SETTINGS
from pulse.schemas.start import Started
from pulse.sdk.mesh import Mesh, opened
from pulse.sdk.ports import LINGER

PATIENCE: Final = 10.0
"""Seconds for the network config to come after a join: before that nothing may pass. The node goes on without."""

LEAVE: Final = 15.0
"""Seconds that a node has to take its leave."""

EMBEDDED: Final[Mapping[str, object]] = {"scribe-listen": "off"}
_FLAGS: Final = frozenset(each.replace("-", "_") for each in (*SETTINGS, "lead-here"))
OWN_SOCKET: Final = "PULSE_CONTROL_SOCKET"
LEAD_HERE: Final = "PULSE_NODE_LEAD_HERE"


class Node:
    """A node that lives as long as its block: `async with Node.join(invite, data_dir=…) as mesh`.

    It is made by `join`, `found` or `start`. Other nodes reach what the program serves and nothing else on its machine,
    unless it is made with `lead_here=True`. Further flags are those of `pulse start` (`portmap=False`); settings of its
    own are read from `config.toml` in its data directory, and no variable of the environment is.
    """

    def __init__(self, data_dir: Path | str, flags: Mapping[str, object], peers: tuple[str, ...] = ()) -> None:
        """With these flags of `pulse start`, without their dashes. Raises ConfigError for what is none of them."""
        for flag in flags:
            if flag.replace("-", "_") not in _FLAGS:
                raise ConfigError(f'"{flag}" is no flag of a node.{meant(flag, _FLAGS)} See them: pulse start --help')
        self._place, self._flags, self._peers = absolute(str(data_dir)), flags, peers
        self._held = AsyncExitStack()
        self.started: Started | None = None
        """What the node said when it was up."""

    @classmethod
    def join(
        cls,
        token: str,
        address: str = "",
        data_dir: Path | str = "",
        *,
        addr: str = "",
        name: str = "",
        **flags: object,
    ) -> Self:
        """A member of the network whose node at `address` (`host:port`) is asked with a token; an invite (`pls_…`)
        names the address itself.

        `data_dir` keeps key and certificate: a later run with it joins no second time. `addr` is the `[host]:port` to
        be reached at (any free port), `name` the one to ask for. Entered, it raises Refused for what token or network
        say no to, LinkError if nobody answers there.
        """
        if not str(data_dir):
            raise ConfigError("say where the node is to keep its key and certificate: data_dir")
        if token.startswith(INVITE_PREFIX):
            return cls(data_dir, {**_own(addr, name), **flags}, (token,))
        return cls(data_dir, {**_own(addr, name), "token": token, "join": address, **flags})

    @classmethod
    def found(cls, network: str, data_dir: Path | str, *, addr: str = "", name: str = "", **flags: object) -> Self:
        """The first node of a new network, its CA and scribe; `await mesh.invite()` lets others in."""
        return cls(data_dir, {**_own(addr, name), "network": network, "ca": True, "scribe": True, **flags})

    @classmethod
    def start(cls, data_dir: Path | str, *, addr: str = "", **flags: object) -> Self:
        """The node that was made in `data_dir` before."""
        return cls(data_dir, {**_own(addr, ""), **flags})

    async def __aenter__(self) -> Mesh:
        """The mesh through it, once it is a member, up, and under the network's rules. Raises PulseError."""
        from pulse import node

        config = self._config()
        ready: asyncio.Future[Started] = asyncio.get_running_loop().create_future()
        running = asyncio.ensure_future(node.run(config, _once(ready), embedded=True))
        async with AsyncExitStack() as held:
            held.push_async_callback(_ended, running)
            either: list[asyncio.Future[Any]] = [ready, running]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
                raise LinkError(f"the node in {self._place} stopped while it started. Start it again")
            self.started = ready.result()
            held.push_async_callback(_leave, config.socket, running)
            mesh = await held.enter_async_context(opened(config.socket))
            await _ruled(mesh)
            self._held = held.pop_all()
        return mesh

    async def __aexit__(self, *_: object) -> None:
        """Take leave of the others and end. Raises what the node failed with, if it did."""
        await self._held.aclose()

    def _config(self) -> NodeConfig:
        flags = {**EMBEDDED, **self._flags, "data-dir": str(self._place)}
        lead_here = "yes" if flags.pop("lead_here", False) else "no"
        flags["addr"] = flags["addr"] or f":{_free_port('')}"
        place = {OWN_SOCKET: str(self._place / "pulse.sock"), LEAD_HERE: lead_here}
        named = {flag.replace("_", "-"): value for flag, value in flags.items()}
        return settings.placed(settings.load(named, self._peers, environment=place))


def _own(addr: str, name: str) -> dict[str, object]:
    host, _, port = addr.rpartition(":")
    if addr and port == "0":
        addr = addresses.join(host, _free_port(host))
    return {"addr": addr, "name": name or None}


def _free_port(host: str) -> int:
    """A UDP port that is free now, and most likely so is the TCP port of that number."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind((host.strip("[]"), 0))
        return int(made.getsockname()[1])


def _once(ready: "asyncio.Future[Started]") -> Callable[[Started], None]:
    def up(started: Started) -> None:
        if not ready.done():
            ready.set_result(started)

    return up


async def _ruled(mesh: Mesh) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while not (await mesh.ask(Client.status)).in_force:  # noqa: ASYNC110 (the node answers who asks)
                await asyncio.sleep(0.01)


async def _leave(control: Path, running: "asyncio.Future[bool]") -> None:
    """Have the node end by itself, in peace: what was written is on its way, and arrives if it does so in a second."""
    with suppress(PulseError):
        async with opened(control) as mesh:
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER):
                    while await mesh.ask(_connections):  # noqa: ASYNC110 (the node answers who asks)
                        await asyncio.sleep(0.01)
            await mesh.ask(Client.stop)
            await asyncio.wait([running], timeout=LEAVE)


def _connections(node: Client) -> int:
    """How many are open."""
    return sum(each.active_conns for each in StatsCalls(node).stats(node.identity().id).rows)


async def _ended(running: "asyncio.Future[bool]") -> None:
    if not running.done():
        running.cancel()
    with suppress(asyncio.CancelledError):
        await running
