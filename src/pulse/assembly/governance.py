"""Composes what says who may do what: CA, roles, scribe, edits, tokens and revocations; and what counts by its rules.

Invariant: nothing is decided here; what takes the CA's key is made on the CA alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from pulse import clock
from pulse.config import NodeConfig
from pulse.core.mesh import Mesh
from pulse.core.messages import MethodName, ObjectKind
from pulse.core.network.hits import HITS
from pulse.core.network.netconfig import base_of
from pulse.core.network.scribe import Scribe
from pulse.core.trust.ca import Issuer
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.tokens import parse_token
from pulse.net.dataplane import DataplaneLinks
from pulse.services import enrol
from pulse.services.apikeys import ApiKeysService
from pulse.services.bulk import BulkService
from pulse.services.ca import CaService
from pulse.services.configfile.applying import ConfigFileService
from pulse.services.edits import EditsService
from pulse.services.hits import HitsService
from pulse.services.mesh import MeshService
from pulse.services.netconfig import ConfigService
from pulse.services.publish import Publisher
from pulse.services.recovery import RecoveryService
from pulse.services.revoke import RevokeService
from pulse.services.roles import RolesService
from pulse.services.rotation import RotationElsewhere, RotationService, Signs
from pulse.services.rpc import Method, RpcService
from pulse.services.scribe import ScribeService
from pulse.services.tally import restored
from pulse.services.templates import TemplatesService
from pulse.services.tokens import TokensService
from pulse.services.wholeconfig import WholeConfigService
from pulse.store import authority
from pulse.store.authority import HeldCa
from pulse.store.identity import Identity
from pulse.store.netconfig import NetworkStore


@dataclass(frozen=True, slots=True)
class Governance:
    """These services of one node."""

    netconfig: ConfigService
    scribe: ScribeService
    edits: EditsService
    revoke: RevokeService
    roles: RolesService
    tokens: TokensService
    bulk: BulkService
    whole: WholeConfigService
    file: ConfigFileService
    templates: TemplatesService
    keys: ApiKeysService
    hits: HitsService
    keys_of_ca: RotationService | RotationElsewhere
    """The replacement of the CA's key, or who says where that is done."""
    ca: CaService | None
    """On the CA."""
    recovery: RecoveryService | None = None
    """On a CA that was put back from a backup."""
    rotation: RotationService | None = None
    """On the CA."""

    @property
    def methods(self) -> dict[str, Method]:
        """What other nodes can ask of them."""
        methods: dict[str, Method] = {
            MethodName.CONFIG: self.netconfig.get,
            MethodName.EDIT: self.edits.answer,
            MethodName.REVOKE: self.revoke.answer,
        }
        if self.ca:
            methods |= {MethodName.JOIN: self.ca.join, MethodName.RENEW: self.ca.renew}
            methods |= {MethodName.CLAIM: self.roles.claim, MethodName.TOKENS: self.tokens.answer}
        return methods

    @property
    def running(self) -> tuple[ConfigService | ScribeService | RecoveryService | None, ...]:
        """Those that run beside what they are asked."""
        return self.netconfig, self.scribe, self.recovery

    def tells(self, issued: Callable[[Certificate], None], refused: Callable[[str], None]) -> None:
        """The CA, if it is here, tells them what it issues and refuses."""
        if self.ca:
            self.ca.issued, self.ca.refused = issued, refused

    def wake(self) -> None:
        """The mesh is known again: what only the ledger knows goes out, and what is in force is told."""
        if self.rotation:
            self.rotation.restore()
        self.revoke.restore()
        self.changed()

    def changed(self) -> None:
        """Other roles or another network config may be in force."""
        self.scribe.changed()
        self.edits.changed()


@dataclass(slots=True)
class _MaySign:
    """Whether the CA's key on this node may sign now; whom it asks is known once they are composed."""

    recovery: RecoveryService | None = None
    rotation: RotationService | None = None

    def check_current(self) -> None:
        """Raise Refused if the network's key is not this CA's."""
        if self.rotation:
            self.rotation.check_current()

    def check(self) -> None:
        """Raise Refused for that, and while a CA put back from a backup listens."""
        self.check_current()
        if self.recovery:
            self.recovery.check()


def govern(
    config: NodeConfig,
    identity: Identity,
    links: DataplaneLinks,
    meshing: MeshService,
    rpc: RpcService,
    store: NetworkStore,
    told: Callable[[], tuple[str, ...]],
) -> Governance:
    """The services; `told` are the addresses that invites name."""
    mesh, call = meshing.mesh, rpc.call
    me, statements, members, cas = mesh.me.node_id, mesh.statements, mesh.members, mesh.ca_nodes
    publisher = Publisher(store, meshing.take_in)
    held = _authority(config, identity)
    pen = Scribe(me, identity.key, statements, members, store.highest_generation)
    scribe = ScribeService(pen, publisher, call, cas, config.scribe.enabled)
    may_sign = _MaySign()
    revoke = RevokeService(me, identity.key, statements, members, cas, publisher, held, call, may_sign.check_current)
    netconfig = ConfigService(statements, call, meshing.tell)
    meshing.fetch_config = netconfig.fetch
    ca = _ca(config, links, mesh, held, revoke, told) if held else None
    edits = EditsService(me, statements, members, cas, scribe.edit, call)
    restate = partial(_restate, config, store, meshing, may_sign.check_current)
    recovery = may_sign.recovery = _recovery(config, mesh, held, revoke, restate) if held else None
    if ca and recovery:
        ca.waits, scribe.check = recovery.waits, recovery.check
    roles = _roles(mesh, store, publisher, held, revoke, may_sign.check)
    if held and ca:
        may_sign.rotation = _rotation(config, meshing, held, ca, (roles, revoke), may_sign.check)
    rotation = may_sign.rotation
    return Governance(
        netconfig,
        scribe,
        edits,
        revoke,
        roles,
        TokensService(me, statements, members, cas, ca, call),
        BulkService(me, statements, members, edits.edit, revoke.revoke),
        WholeConfigService(statements, members, edits.edit),
        ConfigFileService(statements, members, edits.edit),
        TemplatesService(statements, edits.edit),
        ApiKeysService.restored(config.data_dir),
        HitsService(me, statements, members, cas, links.hits, call, restored(config.data_dir, HITS)),
        rotation or RotationElsewhere(members, cas),
        ca,
        recovery,
        rotation,
    )


def _authority(config: NodeConfig, identity: Identity) -> HeldCa | None:
    """The CA's key and ledger, on the CA's own node."""
    if not identity.certificate.is_ca or not authority.exists(config.data_dir):
        return None
    issuer = authority.open_issuer(config.data_dir, config.ca.cert_life)
    if not authority.is_put_back(config.data_dir):
        # Else the mesh has newer ones, which the CA is to hear first.
        enrol.state_network(config.data_dir, issuer, identity.certificate.node_id if config.scribe.enabled else None)
    ledger = authority.open_ledger(config.data_dir, issuer)
    if config.ca_token:
        ledger.set_master(parse_token(config.ca_token).secret, clock.wall())
    return HeldCa(issuer, ledger)


def _recovery(
    config: NodeConfig, mesh: Mesh, held: HeldCa, revoke: RevokeService, restate: Callable[[Issuer], None]
) -> RecoveryService | None:
    if not authority.is_put_back(config.data_dir):
        return None
    return RecoveryService(config.data_dir, mesh, held.ledger, revoke.catch_up, partial(restate, held.issuer))


def _roles(
    mesh: Mesh,
    store: NetworkStore,
    publisher: Publisher,
    held: HeldCa | None,
    revoke: RevokeService,
    check: Callable[[], None],
) -> RolesService:
    return RolesService(
        *(mesh.statements, mesh.members, mesh.ca_nodes, publisher, revoke.countersign, partial(_is_linked, mesh)),
        *(store.highest_roles, held),
        check=check,
        kept=partial(_kept, store),
    )


def _restate(
    config: NodeConfig, store: NetworkStore, meshing: MeshService, check: Callable[[], None], issuer: Issuer
) -> None:
    """What a network has from its first minute and neither the backup nor the mesh had."""
    check()
    statements = meshing.mesh.statements
    scribe = meshing.mesh.me.node_id if config.scribe.enabled else None
    enrol.state_network(config.data_dir, issuer, scribe)
    for kind, kept in ((ObjectKind.ROLES, store.load_roles()), (ObjectKind.CONFIG, store.load_config())):
        if kept.data is not None and not statements.holds(kind, kept.data):
            meshing.take_in(kind, kept.data)


def _kept(store: NetworkStore) -> tuple[int, int, bytes] | None:
    data = store.load_config().data
    return base_of(data) if data else None


def _rotation(
    config: NodeConfig,
    meshing: MeshService,
    held: HeldCa,
    ca: CaService,
    signers: tuple[Signs, ...],
    check: Callable[[], None],
) -> RotationService:
    rotation = RotationService(config.data_dir, meshing.mesh, held, meshing.tell, signers, check)
    ca.check_current = rotation.check_current
    return rotation


def _is_linked(mesh: Mesh) -> bool:
    """True if a neighbour has told all it holds."""
    return any(mesh.sharing.is_settled(each.link) for each in mesh.neighbours.links())


def _ca(
    config: NodeConfig,
    links: DataplaneLinks,
    mesh: Mesh,
    held: HeldCa,
    revoke: RevokeService,
    told: Callable[[], tuple[str, ...]],
) -> CaService:
    def vouched() -> bool:
        return config.ca.force_time or mesh.sight.clock_vouched()

    return CaService(links, held, mesh.statements.newest, vouched, told, revoke.catch_up)
