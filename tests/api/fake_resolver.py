"""A machine's resolver, answered from memory."""

from dataclasses import dataclass

import msgspec

from pulse.errors import NotFound, PulseError
from pulse.schemas.resolver import ResolverInfo

UNTOLD = ResolverInfo(False, "", "pulse0", "127.0.0.1:5353", "")
TOLD = ResolverInfo(True, "systemd-resolved", "pulse0", "127.0.0.1:5353", "")


@dataclass
class FakeResolver:
    """Told or not; `problem` is what it suffers from, `refusal` what it says no with."""

    asked: list[object]
    found: ResolverInfo = UNTOLD
    problem: str = ""
    refusal: PulseError | None = None

    async def state(self) -> ResolverInfo:
        return self.found

    async def set_up(self) -> ResolverInfo:
        self.asked.append("set up")
        if self.refusal:
            raise self.refusal
        self.found = msgspec.structs.replace(TOLD, problem=self.problem)
        return self.found

    async def take_back(self) -> ResolverInfo:
        self.asked.append("take back")
        if not self.found.wanted:
            raise NotFound("names under .pulse are not asked of this node here. To have it so: pulse setup dns")
        self.found = UNTOLD
        return self.found
