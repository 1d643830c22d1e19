"""What CA and scribe have said so far: which CA keys count, roles, revocations and the network config in force.

Objects arrive from disk and from neighbours alike; each is checked, compared with what we hold, and kept as
the exact bytes that were signed. Invariant: what is held never goes back to a lower number.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network

from pulse.core.effects import (
    ERROR,
    INFO,
    WARNING,
    Effect,
    Log,
    Store,
    StoreChain,
    StoreConfig,
    StoreRevocation,
    StoreRoles,
    TrustChanged,
)
from pulse.core.messages import Item, ObjectKind, Objects, batches, pack
from pulse.core.network import netconfig
from pulse.core.network.netconfig import SignedConfig, compare_configs, open_config, reaches_floor
from pulse.core.trust import revocation as revoking
from pulse.core.trust.authorities import Chain
from pulse.core.trust.certificates import Authority, Certificate, verify
from pulse.core.trust.join import Floors
from pulse.core.trust.members import Naming
from pulse.core.trust.renewal import Overdue
from pulse.core.trust.revocation import Revocation, RevocationSet, open_revocation
from pulse.core.trust.roles import Roles, SignedRoles, compare_roles, open_roles
from pulse.core.trust.signed import Comparison, Forged, unseal
from pulse.core.types import SHORT_ID, Network, NodeId
from pulse.errors import PulseError, Refused

BATCH = 48 * 1024
"""Bytes of objects in one message: well under what a message may have."""

ITEM_OVERHEAD = 16
"""Bytes an object costs beside its own."""

_UNNAMED = Naming()

NO_FLOORS = Floors()
"""Those of a network where nothing but the CA's first config was ever signed."""


@dataclass(slots=True)
class Statements:
    """The signed objects this node holds."""

    chain: Chain
    """The CA keys that count."""
    ca_nodes: Callable[[], frozenset[NodeId]]
    """The CA's own nodes, whom no scribe can revoke."""
    scribe_key: Callable[[NodeId], bytes | None]
    """Public key of a node whose certificate we hold."""
    floors: Floors = NO_FLOORS
    """Least numbers to believe, as told at join."""
    _roles: SignedRoles | None = None
    _config: SignedConfig | None = None
    _revocations: RevocationSet = field(default_factory=RevocationSet)
    _lost: frozenset[NodeId] = frozenset()
    """Nodes whose revocation we held and can read no more."""

    # Facts

    def object_received(self, kind: int, data: bytes) -> list[Effect]:
        """A signed object arrived; kinds of later releases are skipped.

        Raises ProtocolError; Forged for what nobody honest passes on; Refused for what does not count here.
        """
        match kind:
            case ObjectKind.SUCCESSION | ObjectKind.RETIREMENT:
                return self._chain_received(data)
            case ObjectKind.ROLES:
                return self._roles_received(self._open_roles(data))
            case ObjectKind.CONFIG:
                return self._config_received(self._open_config(data))
            case ObjectKind.REVOCATION:
                return self._revocation_received(self._open_revocation(data))
            case _:
                return [Log("object of an unknown kind skipped", INFO, {"kind": kind})]

    def restored(self, kind: ObjectKind, data: bytes) -> list[Effect]:
        """An object we had on disk: as if received, but not stored again. What no longer counts is left out."""
        try:
            effects = self.object_received(kind, data)
        except PulseError as error:
            return [Log("stored object left out", WARNING, {"kind": kind.name.lower(), "error": str(error)})]
        return [effect for effect in effects if not isinstance(effect, Store)]

    def revocations_lost(self, nodes: Collection[NodeId]) -> None:
        """The objects that revoked these nodes are damaged on disk: they stay out, whether or not they come again."""
        self._lost = frozenset(nodes)

    # Queries

    @property
    def network(self) -> Network:
        """The network they are of."""
        return self.chain.network

    @property
    def authorities(self) -> tuple[Authority, ...]:
        """The CAs that count now, the newest first."""
        return self.chain.trusted

    def overdue(self, certificate: Certificate) -> Overdue:
        """Whether a certificate of ours is under a CA key of before: the one that signed the roles is in use."""
        try:
            number = verify(certificate, self.authorities, None).number
        except Refused:
            return Overdue.OUTCAST
        speaker = self._roles.signed_by if self._roles else b""
        spoke = next((each.number for each in self.authorities if each.public_key == speaker), 0)
        return Overdue.SUPERSEDED if number < spoke else Overdue.NOT

    @property
    def roles(self) -> Roles:
        """The roles in force."""
        return self._roles.roles if self._roles else Roles()

    @property
    def signed_roles(self) -> SignedRoles | None:
        """The same as the CA signed it; None before the first object came."""
        return self._roles

    @property
    def config(self) -> SignedConfig | None:
        """The network config in force; None before the first one came."""
        return self._config

    @property
    def in_force(self) -> bool:
        """True once a config at or above our floor is held; until then no packet passes."""
        return self._config is not None and reaches_floor(self._config, self.floors)

    def config_in_force(self) -> SignedConfig:
        """The same for whoever cannot do without one; raises Refused."""
        if self._config is None or not self.in_force:
            raise Refused(
                "this node has not got the network's config yet, so no packet passes here.\n"
                "It comes from any neighbour: pulse status"
            )
        return self._config

    def is_summed_by(self, node: NodeId) -> bool:
        """True if this one sums what all nodes count: the scribe, once it has the network config."""
        return self.roles.scribe == node and self.in_force

    def mesh_cidr(self) -> IPv4Network | None:
        """The mesh's range; None before a config came."""
        return self._config.mesh_cidr if self._config else None

    def newest(self) -> Floors:
        """What a node that joins now may believe at least."""
        scribe_epoch, generation = self._config.number if self._config else (0, 1)
        return Floors(self.roles.epoch, scribe_epoch, generation)

    def revoked(self) -> frozenset[NodeId]:
        """Nodes that are out for good."""
        return self._revocations.nodes(self.roles.scribe_epoch) | self._lost

    def naming(self) -> Naming:
        """What the config in force calls the nodes."""
        return self._config.naming if self._config else _UNNAMED

    def revocations(self) -> tuple[Revocation, ...]:
        """The revocations that count, ordered by node id."""
        return self._revocations.counting(self.roles.scribe_epoch)

    def by_scribe(self) -> tuple[Revocation, ...]:
        """Those of them that are the word of the scribe in force, and would end with its epoch."""
        return tuple(each for each in self.revocations() if each.scribe_epoch != revoking.BY_CA)

    def holds(self, kind: int, data: bytes) -> bool:
        """True if these exact bytes are held already, and need not be judged again."""
        match kind:
            case ObjectKind.SUCCESSION | ObjectKind.RETIREMENT:
                return data in self.chain.statements
            case ObjectKind.ROLES:
                return self._roles is not None and self._roles.data == data
            case ObjectKind.CONFIG:
                return self._config is not None and self._config.data == data
            case _:
                return kind == ObjectKind.REVOCATION and self._revocations.holds(data)

    def held(self) -> list[Item]:
        """All that is held, as a neighbour is told it: what gives the right to the rest first, the config offered."""
        items = [Item(data[0], data) for data in self.chain.statements]
        items += [Item(ObjectKind.ROLES, self._roles.data)] if self._roles else []
        items += [Item(ObjectKind.REVOCATION, each.data) for each in self.revocations()]
        items += [Item(ObjectKind.CONFIG_OFFER, pack(self._config.offer))] if self._config else []
        return items

    # Details

    def _scribe_key(self) -> bytes | None:
        roles = self.roles
        return roles.scribe_key or (self.scribe_key(roles.scribe) if roles.scribe else None)

    def _open_roles(self, data: bytes) -> SignedRoles:
        try:
            return open_roles(data, self.network, self.authorities)
        except Forged as error:
            raise self._by_a_key_of_before(ObjectKind.ROLES, data) or error from error

    def _by_a_key_of_before(self, kind: ObjectKind, data: bytes) -> Refused | None:
        """Who was away passes on what a CA key signed that is retired by now: no forgery, and it counts no more."""
        try:
            unseal(data, kind, self.network, self.chain.gone)
        except Refused:
            return None
        return Refused(f"a {kind.name.lower()} object is signed by a CA key that is retired")

    def _open_config(self, data: bytes) -> SignedConfig:
        try:
            return open_config(data, self.network, self.authorities, self.roles, self._scribe_key())
        except Forged as error:
            before = self._by_a_key_of_before(ObjectKind.CONFIG, data)
            raise before or self._judged(error, netconfig.claimed_epoch(data)) from error

    def _open_revocation(self, data: bytes) -> Revocation:
        try:
            key = self._scribe_key()
            scribe = (key, self.roles.scribe_epoch) if key else None
            return open_revocation(data, self.network, self.authorities, scribe, self.ca_nodes())
        except Forged as error:
            before = self._by_a_key_of_before(ObjectKind.REVOCATION, data)
            raise before or self._judged(error, revoking.claimed_epoch(data)) from error

    def _judged(self, error: Forged, claimed: int) -> Refused:
        """A signature we cannot check, that of a scribe before or after ours, is no sign of a forger."""
        ours = self.roles.scribe_epoch
        if claimed == 0 or (claimed == ours and self._scribe_key() is not None):
            return error
        return Refused(f"an object of scribe epoch {claimed} cannot be judged; the roles in force are of {ours}")

    def _chain_received(self, data: bytes) -> list[Effect]:
        before, self.chain = self.chain, self.chain.extended(data)
        if self.chain == before:
            return []
        event = "CA key introduced" if self.chain.number > before.number else "CA key of before retired"
        log = Log(event, INFO, {"number": self.chain.number})
        return [StoreChain(self.chain.statements), TrustChanged(), log]

    def _roles_received(self, theirs: SignedRoles) -> list[Effect]:
        if theirs.roles.epoch < self.floors.roles_epoch:
            raise Refused(f"roles of epoch {theirs.roles.epoch}; at join they were at {self.floors.roles_epoch}")
        verdict = compare_roles(self._roles, theirs) if self._roles else Comparison.NEWER
        alarm = _alarm("roles", verdict)
        if not verdict.takes_theirs:
            return alarm
        self._roles = theirs
        log = Log("roles in force", INFO, {"epoch": theirs.roles.epoch})
        ended = [StoreRevocation(node, None) for node in self._revocations.scribe_changed(theirs.roles.scribe_epoch)]
        return [*alarm, StoreRoles(theirs.roles.epoch, theirs.data), *ended, TrustChanged(), log]

    def _config_received(self, theirs: SignedConfig) -> list[Effect]:
        verdict = compare_configs(self._config, theirs) if self._config else Comparison.NEWER
        alarm = _alarm("config", verdict)
        if not verdict.takes_theirs:
            return alarm
        self._config = theirs
        log = Log("network config in force", INFO, {"version": theirs.version})
        return [*alarm, StoreConfig(*theirs.number, theirs.data), log]

    def _revocation_received(self, revocation: Revocation) -> list[Effect]:
        if not self._revocations.merge(revocation):
            return []
        log = Log("node revoked", INFO, {"node": revocation.node[:SHORT_ID]})
        return [StoreRevocation(revocation.node, revocation.data), TrustChanged(), log]


def packed(items: Sequence[Item]) -> list[Objects]:
    """The items in messages of bounded size, in their order."""
    return [Objects(batch) for batch in batches(items, lambda each: len(each.data) + ITEM_OVERHEAD, BATCH)]


def _alarm(what: str, verdict: Comparison) -> list[Effect]:
    if not verdict.is_alarm:
        return []
    return [Log("one signer signed two objects under one number", ERROR, {"object": what})]
