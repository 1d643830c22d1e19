"""Gives the network config to whoever asks, and asks others for theirs.

Invariant: what is asked for is told to the mesh, answered or not; nothing is judged here.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from pulse.core.facts import ConfigFetched, Fact
from pulse.core.messages import MethodName
from pulse.core.network.statements import Statements
from pulse.core.types import NodeId
from pulse.errors import NotFound, PulseError
from pulse.net.links import Rpc

PATIENCE = 10.0
"""Seconds a node has to answer with its config; the mesh asks another one after a second."""


@dataclass(frozen=True, slots=True)
class ConfigService:
    """The config's way between nodes that are neighbours, over their session."""

    statements: Statements
    call: Rpc
    tell: Callable[[Fact], None]
    _wanted: asyncio.Queue[NodeId] = field(default_factory=asyncio.Queue)

    async def run(self) -> None:
        """Fetch, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                tasks.create_task(self._fetch(await self._wanted.get()))

    def fetch(self, node: NodeId) -> None:
        """Ask a node for its config; `ConfigFetched` follows."""
        self._wanted.put_nowait(node)

    async def get(self, _: NodeId, __: bytes) -> bytes:
        """The RPC `config.get`: the config in force, in the bytes that were signed. Raises NotFound."""
        config = self.statements.config
        if config is None:
            raise NotFound("this node has no network config yet")
        return config.data

    async def _fetch(self, node: NodeId) -> None:
        try:
            data: bytes | None = await self.call(node, MethodName.CONFIG, b"", PATIENCE)
        except PulseError:
            data = None
        self.tell(ConfigFetched(node, data))
