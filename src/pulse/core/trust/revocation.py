"""Nodes that are out for good: one signed object each, and the union of all that count.

The CA's word counts always; a scribe's only under the scribe epoch of the roles in force and never against
a CA node. Nothing takes a node out of the set: its machine comes back with a new key.
Invariant: merging is commutative and idempotent, so all nodes that saw the same objects have one hash.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from pulse.core.messages import U53, ObjectKind, Time, Wire, pack, unpack
from pulse.core.trust.certificates import Authority
from pulse.core.trust.identity import Signer, node_bytes, node_from_bytes
from pulse.core.trust.roles import Roles
from pulse.core.trust.signed import HEADER, OBJECT_LIMIT, Forged, seal, unseal
from pulse.core.types import SHORT_ID, Digest, Network, NodeId, ShortText
from pulse.errors import Refused

BY_CA = 0
"""Stands in place of a scribe epoch when the CA revokes."""


class _Revocation(Wire, frozen=True):
    node: Digest
    scribe_epoch: U53
    time: Time
    reason: ShortText


_payloads = msgspec.msgpack.Decoder(_Revocation)


@dataclass(frozen=True, slots=True)
class Revocation:
    """One node revoked, in the exact bytes that were signed."""

    data: bytes
    node: NodeId
    scribe_epoch: int
    time: float
    """Seconds since 1970 by the signer's clock; shown to people, decides nothing."""
    reason: str
    ca_number: int = 0
    """The place of the CA key that signed it in their chain; 0 for a scribe's."""

    @property
    def rank(self) -> tuple[bool, int, int, bytes]:
        """Of two objects for one node the lower rank is kept: the CA's, by its newest key; then the newest scribe's;
        then lower bytes."""
        return self.scribe_epoch != BY_CA, -self.scribe_epoch, -self.ca_number, self.data


def sign_revocation(
    network: Network, node: NodeId, signer: Signer, *, scribe_epoch: int = BY_CA, time: float, reason: str = ""
) -> Revocation:
    """Revoke `node` with the CA's key, or with the scribe's under its `scribe_epoch`."""
    payload = pack(_Revocation(node_bytes(node), scribe_epoch, time, reason[:64]))
    return Revocation(seal(ObjectKind.REVOCATION, network, payload, signer), node, scribe_epoch, time, reason[:64])


def open_revocation(
    data: bytes,
    network: Network,
    authorities: Sequence[Authority],
    scribe: tuple[bytes, int] | None = None,
    ca_nodes: Collection[NodeId] = (),
) -> Revocation:
    """Read and check a revocation; `scribe` is the key of the scribe in force, and its epoch.

    Raises ProtocolError or Refused. What a scribe signed for another epoch than its own never counts: a thief could
    else have it ready for the epoch in which the network is done with it.
    """
    ca_keys = {authority.public_key: authority.number for authority in authorities}
    keys = [*ca_keys] if scribe is None else [*ca_keys, scribe[0]]
    opened = unseal(data, ObjectKind.REVOCATION, network, keys)
    wire = unpack(_payloads, opened.payload, "revocation", OBJECT_LIMIT)
    node = node_from_bytes(wire.node)
    if (wire.scribe_epoch == BY_CA) != (opened.signed_by in ca_keys):
        raise Forged(f"revocation of {node[:SHORT_ID]} is not signed by whom it claims")
    if scribe is not None and wire.scribe_epoch not in (BY_CA, scribe[1]):
        raise Refused(f"revocation of {node[:SHORT_ID]} is of scribe epoch {wire.scribe_epoch}, not of {scribe[1]}")
    if wire.scribe_epoch != BY_CA and node in ca_nodes:
        raise Refused(f"a scribe cannot revoke the CA's node {node[:SHORT_ID]}")
    number = ca_keys[opened.signed_by] if wire.scribe_epoch == BY_CA else 0
    return Revocation(data, node, wire.scribe_epoch, wire.time, wire.reason, number)


def claimed_epoch(data: bytes) -> int:
    """The scribe epoch a revocation claims to be signed under, its signature unjudged; raises ProtocolError."""
    return unpack(_payloads, data[HEADER:], "revocation", OBJECT_LIMIT).scribe_epoch


def check_revocable(node: NodeId, roles: Roles, ca_nodes: Collection[NodeId], *, by_ca: bool, force: bool) -> None:
    """Raise Refused, with what to do, if `node` must not be revoked by whoever asks."""
    who = node[:SHORT_ID]
    if force and not by_ca:
        raise Refused("--force works on the CA only: there a node of the CA or the scribe can be revoked.")
    if node in ca_nodes and not by_ca:
        raise Refused(f"{who} is the CA's own node, which the scribe cannot revoke.\nRun it on the CA, with --force.")
    if node in ca_nodes and not force:
        raise Refused(
            f"{who} is the last CA: revoked, nobody joins this network any more.\n"
            f"If that is meant: pulse revoke --node {who} --force"
        )
    if node == roles.scribe and not force:
        raise Refused(
            f"{who} is the last scribe: revoked, nobody keeps names, tags and rules any more.\n"
            f"If that is meant, on the CA: pulse revoke --node {who} --force"
        )


class RevocationSet:
    """The union of the revocations seen, one object a node."""

    def __init__(self, revocations: Iterable[Revocation] = ()) -> None:
        self._held: dict[NodeId, Revocation] = {}
        self._bytes: set[bytes] = set()
        for each in revocations:
            self.merge(each)

    def merge(self, revocation: Revocation) -> bool:
        """Take in one opened object; True if the set changed and neighbours should hear of it."""
        held = self._held.get(revocation.node)
        if held is not None and held.rank <= revocation.rank:
            return False
        if held is not None:
            self._bytes.discard(held.data)
        self._held[revocation.node] = revocation
        self._bytes.add(revocation.data)
        return True

    def holds(self, data: bytes) -> bool:
        """True if these exact bytes are in the set, so that nobody need judge them again."""
        return data in self._bytes

    def scribe_changed(self, scribe_epoch: int) -> list[NodeId]:
        """Let go what other scribes than that of this epoch said; whose revocation it was."""
        ended = [each for each in self._held.values() if each.scribe_epoch not in (BY_CA, scribe_epoch)]
        for each in ended:
            del self._held[each.node]
            self._bytes.discard(each.data)
        return [each.node for each in ended]

    def counting(self, scribe_epoch: int) -> tuple[Revocation, ...]:
        """Those that count under the roles in force, ordered by node id."""
        return tuple(sorted(self._entitled(scribe_epoch), key=lambda each: each.node))

    def nodes(self, scribe_epoch: int) -> frozenset[NodeId]:
        """Ids of the nodes that are out."""
        return frozenset(each.node for each in self._entitled(scribe_epoch))

    def _entitled(self, scribe_epoch: int) -> Iterator[Revocation]:
        return (each for each in self._held.values() if each.scribe_epoch in (BY_CA, scribe_epoch))


def digest_of(nodes: Iterable[NodeId]) -> bytes:
    """What hellos compare: SHA-256 over the sorted 32-byte ids, one after the other; of nobody, over nothing."""
    return hashlib.sha256(b"".join(sorted(map(node_bytes, set(nodes))))).digest()
