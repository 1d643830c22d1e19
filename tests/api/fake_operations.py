"""What is asked of a node where it is run as a service, answered from memory."""

import os

from pulse import opsschemas
from pulse.core.symptoms import Missing, Running
from pulse.errors import Refused


class FakeDoctor:
    """A node that misses its relay; `running` may be replaced."""

    running = Running(
        version="0.1.0", certificate_left=7e6, certificate_life=8e6, missing=(Missing("192.0.2.1:443", "", "silent"),)
    )

    async def checkup(self) -> opsschemas.Checkup:
        return opsschemas.Checkup(os.getpid(), "/nowhere/data", 8443, False, "", "", [], self.running)


class FakeOperating:
    """Settings of which one changed at once and one waits; `laptop` takes orders, others do not."""

    def __init__(self, asked: list[object]) -> None:
        self.asked = asked

    async def reload(self) -> opsschemas.Reloaded:
        return opsschemas.Reloaded(["node.log_level"], ["tun.queues"])

    async def restart(self, wanted: opsschemas.RestartRequest) -> opsschemas.Restarting:
        self.asked.append(wanted)
        if wanted.node not in ("", "laptop"):
            raise Refused(f"{wanted.node} lets nobody restart it from afar.\nTo let operators: [remote] restart = true")
        return opsschemas.Restarting("9" * 64, wanted.node or "relay-01")

    async def configure(self, wanted: opsschemas.RemoteSettings) -> opsschemas.Reloaded:
        self.asked.append(wanted)
        return opsschemas.Reloaded(sorted(wanted.settings), [])
