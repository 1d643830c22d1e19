"""What the machines of paths tell each other: effects that the mesh hands on and the shell never sees.

Invariant: whatever news carries was verified by the machine that tells it.
"""

from dataclasses import dataclass

from pulse.core.effects import Effect
from pulse.core.paths.noderecord import NodeRecord
from pulse.core.trust.certificates import Certificate
from pulse.core.types import NodeId


@dataclass(frozen=True, slots=True)
class RecordAccepted:
    """A node's record took the place of the one we held, or is its first."""

    record: NodeRecord


@dataclass(frozen=True, slots=True)
class RecordForgotten:
    """We hold no record of that node any more: revoked, its certificate ended, or no room."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class CertificateAccepted:
    """A verified certificate came by gossip, newer than any we held of its node."""

    certificate: Certificate


@dataclass(frozen=True, slots=True)
class OwnRecordSeen:
    """Somebody showed a record of our own key that we did not make, under numbers we have not passed."""

    boot: int
    seq: int
    same_numbers: bool
    """It bears the numbers of our newest record, and other bytes."""


@dataclass(frozen=True, slots=True)
class RecordMade:
    """A new version of our own record."""

    record: NodeRecord


News = RecordAccepted | RecordForgotten | CertificateAccepted | OwnRecordSeen | RecordMade
Outcome = Effect | News
"""What a machine that tells news returns."""
