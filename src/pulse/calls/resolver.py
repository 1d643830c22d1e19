"""What can be asked of a node about its machine's resolver; `pulse.client` is the connection."""

from dataclasses import dataclass
from typing import Final

from pulse.client import Client
from pulse.schemas.resolver import ResolverInfo

PATIENCE: Final = 60.0
"""Seconds more than other calls: the node waits for programs of the machine."""

_PATH: Final = "/api/resolver"


@dataclass(frozen=True, slots=True)
class ResolverCalls:
    """The resolver of the machine where a node runs."""

    client: Client

    def state(self) -> ResolverInfo:
        """Whether names under .pulse are asked of the node."""
        return self.client.call("GET", _PATH, ResolverInfo)

    def set_up(self) -> ResolverInfo:
        """Have it so, now and whenever the node runs."""
        return self.client.call("PUT", _PATH, ResolverInfo, patience=PATIENCE)

    def take_back(self) -> ResolverInfo:
        """Have it so no more."""
        return self.client.call("DELETE", _PATH, ResolverInfo, patience=PATIENCE)
