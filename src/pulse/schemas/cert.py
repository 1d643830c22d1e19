"""What the control API and commands say of the fleet's certificates and of a CA's files.

Fields are append-only, as in `pulse.schemas.structs`. Invariant: none of it holds a secret.
"""

from typing import Annotated, Literal

import msgspec

from pulse.schemas.structs import Body, NodeText, View


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


class AwaitedNode(View, frozen=True):
    """A node that keeps the replacement of the CA's key from its next step."""

    id: str
    name: str
    reached: bool
    until: float | None
    """When its certificate under the old key ends, and it is waited for no longer; None while the key is introduced."""
    overdue: bool = False
    """It was reached for hours and does not follow: a fault, which ends when it does or is given up."""


class CaRotation(View, frozen=True):
    """How far the replacement of the CA's key is, on the CA."""

    step: Literal["introducing", "renewing", "retiring", "done"]
    """`done`: none is under way."""
    number: int
    """How many keys were introduced after the network's first."""
    key: str
    """Hash of the key that signs now."""
    begun: float | None
    awaited: list[AwaitedNode]
    more: int
    """Nodes waited for that are not named."""
    following: str
    """What happens next."""
    without: tuple[AwaitedNode, ...] = ()
    """Nodes that a person gave up: nobody waits for them."""


class RotationWithout(Body, frozen=True):
    """Nodes without which the replacement of the CA's key goes on."""

    nodes: Annotated[list[NodeText], msgspec.Meta(min_length=1, max_length=64)]


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
    kept: tuple[str, ...] = ()
    """When it was put back: directories with what was there before, secret keys among it; nobody needs them any more
    once this CA runs."""


class InstalledCertificate(View, frozen=True):
    """A certificate that was signed by hand and brought to the node it is for."""

    id: str
    name: str
    v4: str
    not_after: float
    network: str
    ca_hash: str
    is_new: bool
    """True if the machine was in no network before."""


class SignedCertificate(View, frozen=True):
    """A certificate that a CA signed by hand; `pem` is it and the CA's."""

    id: str
    name: str
    v4: str
    not_after: float
    pem: str
