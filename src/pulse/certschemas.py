"""What the control API and commands say of the fleet's certificates and of a CA's files.

Fields are append-only, as in `pulse.schemas`. Invariant: none of it holds a secret.
"""

from typing import Literal

from pulse.schemas import View


class FleetCertificate(View, frozen=True):
    """The certificate of one node of the mesh, as this node has seen it."""

    id: str
    name: str
    not_before: float
    not_after: float
    left: float
    """Seconds until it ends; negative if it ended."""
    outlook: Literal["good", "late", "ended"]
    """`late`: it should have been renewed."""
    reached: bool
    """There is a path to the node now; True of this node itself."""


class CaBackup(View, frozen=True):
    """A CA in one file, as it was taken or put back."""

    network: str
    file: str
    made: float
    entries: int
    """Of the journal."""
    tokens_revoked: int = 0
    """When it was put back: tokens that do not count any more."""
    master_revoked: bool = False
    """True if the master token is one of them."""
    peers: int = 0
    """When it was put back: nodes that it knows how to reach."""


class SignedCertificate(View, frozen=True):
    """A certificate that a CA signed by hand; `pem` is it and the CA's."""

    id: str
    name: str
    v4: str
    not_after: float
    pem: str
