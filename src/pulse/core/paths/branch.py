"""What gossip keeps of one link: how records go out on it, and what came in that cannot be used yet.

Invariant: everything a neighbour can make grow has a bound here, and goes when its link goes; what it may send is the
node's, so that no new link begins with a full allowance.
"""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from pulse.core.bucket import Bucket
from pulse.core.paths.budget import Budget, Pace
from pulse.core.paths.noderecord import Claim
from pulse.core.paths.outbox import Outbox, Shelf
from pulse.core.types import LinkId, NodeId

MOST_HELD: Final = 256
"""Records kept whose certificate was not seen yet: at 1 kB each the most a neighbour can park here."""

DIGESTS: Final = 3
DIGEST_RATE: Final = 1 / 10
"""Digests of one neighbour answered at once, and then each second: an answer may be 24 times as long."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a node may send us, and we it, over however many links one after the other."""

    budget: Budget
    pace: Pace


def new_allowance(now: float) -> Allowance:
    """That of a node we had no link with lately."""
    return Allowance(Budget(now), Pace(now))


@dataclass(slots=True)
class Branch:
    """One link."""

    link: LinkId
    node: NodeId
    outbox: Outbox
    budget: Budget
    digests: Bucket
    opened_at: float
    eager: bool = True
    """Records go out by themselves; else only their ids do."""
    lazy: dict[NodeId, None] = field(default_factory=dict)
    """Whose newest record is to be named in the next `Have`."""
    name_at: float = 0.0
    """When that goes out."""
    quiet_until: float = 0.0
    """No further `Prune` before: what is on its way takes its time."""
    digest: bytes = b""
    """The one we sent last and had no answer to."""
    compared_at: float = 0.0
    held: dict[bytes, Claim] = field(default_factory=dict)
    """By the hash of the certificate that is missing, oldest first."""
    closing: bool = False
    """We asked for its end: what still comes is not looked at."""

    def shows(self, node: NodeId) -> None:
        """The neighbour has the newest record of `node` that we hold: it need not be told of it."""
        self.lazy.pop(node, None)
        self.outbox.drop(node)

    def hold(self, claim: Claim) -> None:
        """Keep a record until its certificate comes; of several of one node the one that would win."""
        waiting = self.held.pop(claim.certificate, claim)
        self.held[claim.certificate] = min(claim, waiting, key=_rank)
        if len(self.held) > MOST_HELD:
            del self.held[next(iter(self.held))]


def open_branch(link: LinkId, node: NodeId, shelf: Shelf, now: float, allowance: Allowance | None = None) -> Branch:
    """A link that just came up."""
    allowed = allowance or new_allowance(now)
    outbox = Outbox(link, shelf, now, allowed.pace)
    return Branch(link, node, outbox, allowed.budget, Bucket(DIGEST_RATE, DIGESTS, now), now)


def _rank(claim: Claim) -> tuple[int, int, bytes]:
    boot, seq = claim.numbers
    return -boot, -seq, sha256(claim.data).digest()
