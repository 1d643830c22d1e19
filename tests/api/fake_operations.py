"""What is asked of a node where it is run as a service, answered from memory."""

import os

from pulse.core.symptoms import Missing, Running
from pulse.errors import Refused
from pulse.schemas.operating import Checkup, Reloaded, RemoteSettings, Restarting, RestartRequest


class FakeDoctor:
    """A node that misses its relay; `running` may be replaced."""

    running = Running(
        version="0.1.0", certificate_left=7e6, certificate_life=8e6, missing=(Missing("192.0.2.1:443", "", "silent"),)
    )

    async def checkup(self) -> Checkup:
        return Checkup(os.getpid(), "/nowhere/data", 8443, False, "", "", [], self.running)


class FakeOperating:
    """Settings of which one changed at once and one waits; `laptop` takes orders, others do not."""

    def __init__(self, asked: list[object]) -> None:
        self.asked = asked

    async def reload(self) -> Reloaded:
        return Reloaded(["node.log_level"], ["tun.queues"])

    async def restart(self, wanted: RestartRequest) -> Restarting:
        self.asked.append(wanted)
        if wanted.node not in ("", "laptop"):
            raise Refused(f"{wanted.node} lets nobody restart it from afar.\nTo let operators: [remote] restart = true")
        return Restarting("9" * 64, wanted.node or "relay-01")

    async def configure(self, wanted: RemoteSettings) -> Reloaded:
        self.asked.append(wanted)
        return Reloaded(sorted(wanted.settings), [])
