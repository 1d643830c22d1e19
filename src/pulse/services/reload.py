"""Reads the settings again while the node runs: what can change is changed, what cannot is named.

Invariant: a file that cannot be read changes nothing; what is in force is what was told.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from pulse import settings
from pulse.config import NodeConfig
from pulse.errors import PulseError
from pulse.schemas.operating import Reloaded

log = logging.getLogger(__name__)

Apply = Callable[[NodeConfig, NodeConfig], None]
"""Makes a setting so: told the settings in force and those to come."""

AT_ONCE: Final = frozenset({"node.log_level", "bootstrap.peers", "join.relay_addr", "remote.restart", "remote.config"})
"""Settings that change while a node runs; the others wait for a restart."""


class Manager(Protocol):
    """What this service asks of the way to the service manager."""

    def reloading(self) -> None:
        """Say that settings are read."""
        ...

    def ready(self, status: str) -> None:
        """Say that we are up."""
        ...


@dataclass(slots=True)
class ReloadService:
    """The settings of one node, and how they come to be others."""

    config: NodeConfig
    """In force; what waits for a restart is not in it."""
    reread: Callable[[], NodeConfig]
    """The settings as they are now, wherever they come from. Raises ConfigError."""
    apply: Mapping[str, Apply]
    """What there is to do for a setting; nothing for those that are looked up here whenever they count."""
    manager: Manager
    _wanted: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def hang_up(self) -> None:
        """Somebody sent SIGHUP."""
        self._wanted.set()

    async def run(self) -> None:
        """Read the settings again whenever a signal asks for it, until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self.reload()
            except PulseError as error:
                log.error("settings not reloaded", extra={"error": str(error)})

    async def reload(self) -> Reloaded:
        """Make the settings what they are now, as far as that goes without a restart. Raises ConfigError."""
        self.manager.reloading()
        try:
            fresh = settings.placed(self.reread())
            paths = settings.changed(self.config, fresh)
            now = [path for path in paths if path in AT_ONCE]
            before, self.config = self.config, settings.updated(self.config, fresh, now)
            for path in now:
                if path in self.apply:
                    self.apply[path](before, self.config)
        finally:
            self.manager.ready("settings were read")
        later = [path for path in paths if path not in AT_ONCE]
        log.info("settings reloaded", extra={"changed": ", ".join(now), "restart": ", ".join(later)})
        return Reloaded(now, later)
