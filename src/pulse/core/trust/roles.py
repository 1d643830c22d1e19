"""Who is scribe and who operates: one CA-signed object that a higher epoch replaces whole.

No times are in it, so no clock can bring an old one back. It carries the scribe's key, so that whoever holds
the roles can judge the scribe's word. Invariant: only a CA's signature makes roles.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Final

import msgspec

from pulse.core.messages import U53, ObjectKind, Wire, pack, unpack
from pulse.core.trust.certificates import Authority
from pulse.core.trust.identity import Signer, node_bytes, node_from_bytes, node_id, public_bytes
from pulse.core.trust.signed import OBJECT_LIMIT, Comparison, compare, seal, unseal
from pulse.core.types import SHORT_ID, Digest, Network, NodeId
from pulse.errors import NotFound, Refused

OPERATORS_LIMIT: Final = 256


class Role(StrEnum):
    """What the CA can make of a node."""

    SCRIBE = "scribe"
    """The one that keeps and signs the network config."""
    OPERATOR = "operator"
    """One whose edits the scribe takes."""


class _Roles(Wire, frozen=True):
    epoch: U53
    scribe: Digest | None
    scribe_epoch: U53
    operators: Annotated[list[Digest], msgspec.Meta(max_length=OPERATORS_LIMIT)]
    scribe_key: Digest | None = None
    base: tuple[U53, U53, Digest] | None = None


_payloads = msgspec.msgpack.Decoder(_Roles)


def no_operator(node: NodeId, called: str, so: str) -> str:
    """Says that a node is no operator, what comes of that, and who makes it one."""
    return f"{called} is no operator, {so}\nMake it one, on the CA: pulse ca grant {node[:SHORT_ID]} operator"


@dataclass(frozen=True, slots=True)
class Roles:
    """The roles of a network; before the first object is made: epoch 0, nobody."""

    epoch: int = 0
    scribe: NodeId | None = None
    scribe_epoch: int = 0
    """One more at each new scribe; the first has 1, and 0 means the CA's own first config."""
    operators: frozenset[NodeId] = frozenset()
    scribe_key: bytes | None = None
    """The scribe's public key; None in roles of a release that left it to the scribe's certificate."""
    base: tuple[int, int, bytes] | None = None
    """Number and SHA-256 of the network config the CA held when it named the scribe: it counts until that scribe has
    signed one, whoever signed it, and the scribe signs none before it has that or a later one. None for whichever."""

    def may_edit(self, node: NodeId, ca_nodes: Collection[NodeId]) -> bool:
        """True if the scribe takes edits of `node`: its own, an operator's, and the CA's, which makes operators."""
        return node == self.scribe or node in self.operators or node in ca_nodes

    def check_editor(self, node: NodeId, ca_nodes: Collection[NodeId], called: str, so: str) -> None:
        """Raise Refused, with the next step, unless the scribe takes edits of `node`; `so` says what comes of that."""
        if not self.may_edit(node, ca_nodes):
            raise Refused(no_operator(node, called, so))

    def granted(
        self, node: NodeId, role: Role, public_key: bytes, base: tuple[int, int, bytes] | None = None
    ) -> "Roles":
        """The roles in which `node` has `role` too; the same if it has.

        A new scribe takes the place of the old one, and goes on from the config `base`.
        """
        if role == Role.OPERATOR:
            if node in self.operators:
                return self
            return replace(self, epoch=self.epoch + 1, operators=self.operators | {node})
        if node == self.scribe:
            return self
        epoch, scribe_epoch = self.epoch + 1, self.scribe_epoch + 1
        return Roles(epoch, node, scribe_epoch, self.operators, public_key, base)

    def ungranted(self, node: NodeId, role: Role) -> "Roles":
        """The roles in which `node` has `role` no more. Raises NotFound, or Refused for the scribe."""
        if role == Role.OPERATOR and node in self.operators:
            return replace(self, epoch=self.epoch + 1, operators=self.operators - {node})
        if role == Role.SCRIBE and node == self.scribe:
            raise Refused(
                "a network keeps its scribe until another node takes its place.\n"
                "Name that one: pulse ca grant <node> scribe"
            )
        raise NotFound(f"it has not got the role of {role}.\nSee who has which: pulse ca roles")


@dataclass(frozen=True, slots=True)
class SignedRoles:
    """Roles in their exact bytes."""

    data: bytes
    roles: Roles
    signed_by: bytes
    """The CA key that did, 32 bytes."""


def sign_roles(network: Network, roles: Roles, signer: Signer) -> SignedRoles:
    """Sign `roles` with the CA's key; raises Refused for too many operators or a key that is not the scribe's."""
    if len(roles.operators) > OPERATORS_LIMIT:
        raise Refused(f"{len(roles.operators)} operators; {OPERATORS_LIMIT} are allowed")
    _check_key(roles.scribe, roles.scribe_key)
    scribe = None if roles.scribe is None else node_bytes(roles.scribe)
    operators = [node_bytes(node) for node in sorted(roles.operators)]
    payload = pack(_Roles(roles.epoch, scribe, roles.scribe_epoch, operators, roles.scribe_key, roles.base))
    return SignedRoles(seal(ObjectKind.ROLES, network, payload, signer), roles, public_bytes(signer))


def open_roles(data: bytes, network: Network, authorities: Sequence[Authority]) -> SignedRoles:
    """Read and check a roles object; raises ProtocolError or Refused."""
    opened = unseal(data, ObjectKind.ROLES, network, (authority.public_key for authority in authorities))
    wire = unpack(_payloads, opened.payload, "roles object", OBJECT_LIMIT)
    if (wire.scribe is None) != (wire.scribe_epoch == 0):
        raise Refused("roles object names a scribe without an epoch, or an epoch without a scribe")
    scribe = None if wire.scribe is None else node_from_bytes(wire.scribe)
    _check_key(scribe, wire.scribe_key)
    operators = frozenset(map(node_from_bytes, wire.operators))
    roles = Roles(wire.epoch, scribe, wire.scribe_epoch, operators, wire.scribe_key, wire.base)
    return SignedRoles(data, roles, opened.signed_by)


def compare_roles(ours: SignedRoles, theirs: SignedRoles) -> Comparison:
    """How another roles object stands to ours; both must have been opened."""
    return compare(_rank(ours), _rank(theirs))


def _check_key(scribe: NodeId | None, key: bytes | None) -> None:
    if key is not None and node_id(key) != scribe:
        raise Refused("roles object has a key that is not its scribe's")


def _rank(signed: SignedRoles) -> tuple[tuple[int, ...], bytes]:
    return (signed.roles.epoch,), hashlib.sha256(signed.data).digest()
