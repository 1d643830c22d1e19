"""What can be asked of a node about the CA's journal and key; `pulse.client` is the connection."""

from dataclasses import dataclass

from pulse.client import Client
from pulse.schemas.cert import CaRotation, RotationWithout
from pulse.schemas.journal import JournalCheck, JournalEntry


@dataclass(frozen=True, slots=True)
class CaCalls:
    """The certificate authority, where it is kept."""

    client: Client

    def ca_log(self, after: int = 0, limit: int = 1000) -> list[JournalEntry]:
        """At most `limit` (≤ 1000) entries of the CA's journal after number `after`, oldest first."""
        return self.client.get(f"/api/ca/log?after={after}&limit={limit}", list[JournalEntry])

    def ca_verify(self) -> JournalCheck:
        """Check the CA's journal from its first entry."""
        return self.client.get("/api/ca/verify", JournalCheck)

    def ca_rotation(self) -> CaRotation:
        """How far the replacement of the CA's key is."""
        return self.client.get("/api/ca/rotation", CaRotation)

    def ca_rotate(self) -> CaRotation:
        """Begin to replace the CA's key."""
        return self.client.call("POST", "/api/ca/rotation", CaRotation)

    def ca_go_on_without(self, nodes: list[str]) -> CaRotation:
        """Let the replacement of the CA's key wait for these nodes no longer."""
        return self.client.call("POST", "/api/ca/rotation/without", CaRotation, RotationWithout(nodes))
