"""What can be asked of a node about roles; `pulse.client` is the connection."""

from dataclasses import dataclass

from pulse.client import Client
from pulse.schemas.roles import GivenRole, RoleRequest, RolesInfo


@dataclass(frozen=True, slots=True)
class RoleCalls:
    """Who has which role, as the CA has it."""

    client: Client

    def roles(self) -> RolesInfo:
        """Who has which role."""
        return self.client.get("/api/roles", RolesInfo)

    def grant(self, wanted: RoleRequest) -> RolesInfo:
        """Give a node a role, on the CA."""
        return self.client.call("POST", "/api/roles", RolesInfo, wanted)

    def ungrant(self, node: str, role: GivenRole) -> RolesInfo:
        """Take a role from a node, on the CA."""
        return self.client.call("DELETE", "/api/roles", RolesInfo, RoleRequest(node, role))
