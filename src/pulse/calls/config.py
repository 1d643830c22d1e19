"""What can be asked of a node about the whole network config as a file; `pulse.client` is the connection."""

from dataclasses import dataclass

from pulse.client import SCRIBE_PATIENCE, Client
from pulse.schemas.config import ConfigFile, ConfigPlan, ConfigWanted


@dataclass(frozen=True, slots=True)
class ConfigCalls:
    """The network config, as the node has it."""

    client: Client

    def config_file(self) -> ConfigFile:
        """The whole network config in force, as a file has it."""
        return self.client.get("/api/config/file", ConfigFile)

    def plan_config(self, wanted: ConfigWanted) -> ConfigPlan:
        """What a file of the whole network would change."""
        return self.client.call("POST", "/api/config/plan", ConfigPlan, wanted, patience=SCRIBE_PATIENCE)

    def apply_config(self, wanted: ConfigWanted, planned: str) -> ConfigPlan:
        """Put a file in place of what is in force, if that is still the version it was planned on."""
        kind = ConfigPlan
        return self.client.call("PUT", "/api/config/file", kind, wanted, patience=SCRIBE_PATIENCE, seen=planned)
