"""Composes what it takes to run a node as a service: check-ups, signs of life, reloads, restarts, settings from afar.

Invariant: nothing is decided here.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from pulse import logs
from pulse.assembly.insight import Insight
from pulse.assembly.uses import Uses
from pulse.config import NodeConfig
from pulse.core.messages import MethodName
from pulse.net.systemd import Notifier
from pulse.services.doctor import DoctorService
from pulse.services.mesh import MeshService
from pulse.services.reload import Apply, ReloadService
from pulse.services.remote import RemoteService
from pulse.services.rpc import Method, RpcService
from pulse.services.tun import TunService
from pulse.services.watchdog import WatchdogService

Reread = Callable[[], NodeConfig] | None
"""Gives the settings as they are now; None: they never change."""


@dataclass(slots=True)
class Operations:
    """These services of one node."""

    doctor: DoctorService
    reload: ReloadService
    remote: RemoteService
    manager: Notifier
    watchdog: WatchdogService | None
    keeps: Callable[[], bool]
    """Something of this run should stay if another one follows."""
    again: bool = field(default=False, init=False)
    """The node is to be started anew once it has stopped."""
    _restarted: bool = field(default=False, init=False)
    """The manager does that."""

    _left: bool = field(default=False, init=False)

    @property
    def leaves(self) -> bool:
        """True once the node was told to end and is not to be started anew, by itself or by its manager."""
        return self._left and not (self.again or self._restarted)

    @property
    def running(self) -> tuple[ReloadService, WatchdogService | None]:
        """Those that run."""
        return self.reload, self.watchdog

    @property
    def methods(self) -> dict[str, Method]:
        """What other nodes can ask of them."""
        return {MethodName.RESTART: self.remote.answer_restart, MethodName.SETTINGS: self.remote.answer_settings}

    def up(self, sentence: str) -> None:
        """The node is up: the service manager is told."""
        self.manager.ready(sentence)

    async def leaving(self) -> None:
        """The node takes its leave. Of a restart the manager hears no end, for it would end what follows."""
        self._left = True
        if self.again:
            self.manager.reloading()
            return
        self._restarted = self.keeps() and await self.manager.restarts()
        self.manager.stopping()


def operations(
    config: NodeConfig,
    meshing: MeshService,
    rpc: RpcService,
    tun: TunService | None,
    telling: Insight,
    used: Uses,
    version: str,
    manager: Notifier,
) -> Operations:
    """The services; until somebody says from where settings come, they never change."""
    mesh = meshing.mesh
    reload = ReloadService(config, lambda: config, _applied(meshing), manager)

    def restart_now() -> None:
        made.again = True
        telling.node.stopping.set()

    made = Operations(
        doctor=DoctorService(config, mesh, tun, telling.status.vitals, version, telling.history.events),
        reload=reload,
        remote=RemoteService(mesh, rpc.call, reload, telling.events.happened, restart_now),
        manager=manager,
        watchdog=WatchdogService(manager, lambda: telling.status.status().sentence) if manager.place else None,
        keeps=lambda: used.exits.stands,
    )
    return made


def _applied(meshing: MeshService) -> dict[str, Apply]:
    """What there is to do when a setting changes."""
    return {
        "node.log_level": lambda _, new: logs.set_level(new.node.log_level),
        "bootstrap.peers": lambda old, new: _peers(meshing, old, new),
        "join.relay_addr": lambda old, new: _peers(meshing, old, new),
    }


def _peers(meshing: MeshService, old: NodeConfig, new: NodeConfig) -> None:
    """Dial whom the settings name now; those they name no more count like any other node."""
    now = asyncio.get_running_loop().time()
    for address in set(old.relays) - set(new.relays):
        meshing.mesh.neighbours.peer_dropped(address)
    for address in new.relays:
        if address not in old.relays:
            meshing.perform(meshing.mesh.peer_configured(address, now))
