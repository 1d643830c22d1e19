"""The signed config of a network and which of two counts.

The CA signs (0, 1), empty but for the mesh range, when the network is made; from scribe epoch 1 on the
scribe that the roles object names signs. Invariant: a config counts only if its signer was entitled to its
scribe epoch, and a higher (scribe_epoch, generation) replaces it whole.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Annotated, Final

import msgspec

from pulse.core.messages import RPC_LIMIT, U53, ObjectKind, Wire, pack, printable, unpack
from pulse.core.network.assertions import Assertions
from pulse.core.network.patterns import Groups
from pulse.core.network.policy import Rules, check_rules
from pulse.core.network.ranges import mesh_range
from pulse.core.network.routes import AutoApproval, Routes
from pulse.core.network.templates import Templates
from pulse.core.network.zones import Zones
from pulse.core.trust.certificates import TAGS_LIMIT, Authority
from pulse.core.trust.identity import Signer, is_tag, node_bytes, node_from_bytes
from pulse.core.trust.join import Floors
from pulse.core.trust.members import Naming
from pulse.core.trust.roles import Roles
from pulse.core.trust.signed import HEADER, OBJECT_LIMIT, Comparison, compare, seal, unseal
from pulse.core.types import SHORT_ID, Digest, Network, ShortText, is_node_name
from pulse.errors import ConfigError, ProtocolError, Refused

NODES_LIMIT: Final = 4096
"""Nodes a config can name, and nodes it can give tags: as many as a member table holds."""

CONFIG_LIMIT: Final = RPC_LIMIT - 1024
"""Bytes of a signed config: it must fit into one RPC answer."""

Rank = tuple[tuple[int, ...], bytes]
"""Numbers and hash, as `compare` takes them."""

Names = Annotated[dict[Digest, ShortText], msgspec.Meta(max_length=NODES_LIMIT)]
Worn = Annotated[list[ShortText], msgspec.Meta(max_length=TAGS_LIMIT)]
GONE_LIMIT: Final = 1024
"""Ids without a number that are remembered of rules, and of tests: those in force and those that are gone."""

GoneIds = Annotated[list[ShortText], msgspec.Meta(max_length=GONE_LIMIT)]
Tags = Annotated[dict[Digest, Worn], msgspec.Meta(max_length=NODES_LIMIT)]


class Settings(Wire, frozen=True):
    """What holds for the whole network."""

    mesh_cidr: ShortText


class Config(Wire, frozen=True):
    """The payload; later releases append fields. Nodes are named by the 32 bytes of their ids."""

    scribe_epoch: U53
    generation: U53
    settings: Settings
    names: Names = msgspec.field(default_factory=dict)
    tags: Tags = msgspec.field(default_factory=dict)
    acl: Rules = msgspec.field(default_factory=list)
    tests: Assertions = msgspec.field(default_factory=list)
    """What the rules must always let pass, or never."""
    groups: Groups = msgspec.field(default_factory=dict)
    """Names for sets of patterns, which rules may use."""
    templates: Templates = msgspec.field(default_factory=dict)
    """What new nodes get, by what that is called."""
    zones: Zones = msgspec.field(default_factory=list)
    """What names under `.pulse` say besides those of the nodes."""
    routes: Routes = msgspec.field(default_factory=list)
    """Ranges beyond the mesh, and the nodes that lead there."""
    auto_approve: AutoApproval = msgspec.field(default_factory=dict)
    """Ranges that nodes may lead to by a tag."""
    last_rule: U53 = 0
    """The highest number that the id of a rule ever had, and none is given again; 0 if nobody kept count yet."""
    last_test: U53 = 0
    """The same of tests."""
    gone_rules: GoneIds = msgspec.field(default_factory=list)
    """Ids without a number that rules had which are gone; they are not given again either."""
    gone_tests: GoneIds = msgspec.field(default_factory=list)
    """The same of tests."""


class Offer(Wire, frozen=True):
    """A config somebody holds: enough to know whether to ask for it."""

    scribe_epoch: U53
    generation: U53
    sha256: Digest

    @property
    def number(self) -> tuple[int, int]:
        """(scribe epoch, generation)."""
        return self.scribe_epoch, self.generation

    @property
    def rank(self) -> Rank:
        """How it stands to others."""
        return self.number, self.sha256


_configs = msgspec.msgpack.Decoder(Config)
_offers = msgspec.msgpack.Decoder(Offer)


@dataclass(frozen=True, slots=True)
class SignedConfig:
    """A config whose signature was found to count, in its exact bytes."""

    data: bytes
    config: Config
    mesh_cidr: IPv4Network
    naming: Naming
    sha256: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha256", hashlib.sha256(self.data).digest())

    @property
    def number(self) -> tuple[int, int]:
        """(scribe epoch, generation)."""
        return self.config.scribe_epoch, self.config.generation

    @property
    def version(self) -> str:
        """The number as people read it."""
        return spelled(self.number)

    @property
    def rank(self) -> Rank:
        """How it stands to others."""
        return self.number, self.sha256

    @property
    def offer(self) -> Offer:
        """What neighbours are told of it."""
        return Offer(*self.number, self.sha256)


def spelled(number: tuple[int, int]) -> str:
    """A config's number as people read it: `1.7`."""
    return ".".join(map(str, number))


def first_config(network: Network, cidr: IPv4Network, ca: Signer) -> SignedConfig:
    """Config (0, 1), which the CA signs when it makes the network."""
    return sign_config(network, Config(0, 1, Settings(str(cidr))), ca)


def sign_config(network: Network, config: Config, signer: Signer) -> SignedConfig:
    """Sign `config` with the CA's key (scribe epoch 0) or the scribe's.

    Raises Refused if it is too long, or such as no node could read: what is signed is in force everywhere and for good.
    """
    data = seal(ObjectKind.CONFIG, network, pack(config), signer)
    if len(data) > CONFIG_LIMIT:
        raise Refused(f"the network config would have {len(data)} bytes; {CONFIG_LIMIT} are allowed")
    try:
        return _read(data, unpack(_configs, data[HEADER:], "config", OBJECT_LIMIT))
    except ProtocolError as error:
        raise Refused(f"no node could read the network config that this makes, so it is not signed: {error}") from error


def open_config(
    data: bytes, network: Network, authorities: Sequence[Authority], roles: Roles, scribe_key: bytes | None = None
) -> SignedConfig:
    """Read and check a config; `scribe_key` is that of the scribe `roles` names, if we know it.

    Raises ProtocolError, or Refused if its signer is not entitled to its scribe epoch.
    """
    if roles.base is not None and hashlib.sha256(data).digest() == roles.base[2]:
        # The CA vouches for these very bytes, though their signer is not the scribe any more.
        config = unpack(_configs, data[HEADER:], "config", OBJECT_LIMIT)
    else:
        config = _signed_config(data, network, authorities, roles, scribe_key)
    return _read(data, config)


def _read(data: bytes, config: Config) -> SignedConfig:
    """The config in these bytes with all that is judged of it; raises ProtocolError."""
    try:
        cidr = mesh_range(config.settings.mesh_cidr)
    except ConfigError as error:
        number = (config.scribe_epoch, config.generation)
        raise ProtocolError(f"config {number} has a mesh range no network can have") from error
    check_rules(config.acl)
    return SignedConfig(data, config, cidr, _naming(config))


def _signed_config(
    data: bytes, network: Network, authorities: Sequence[Authority], roles: Roles, scribe_key: bytes | None
) -> Config:
    ca_keys = [authority.public_key for authority in authorities]
    keys = ca_keys if scribe_key is None else [*ca_keys, scribe_key]
    opened = unseal(data, ObjectKind.CONFIG, network, keys)
    config = unpack(_configs, opened.payload, "config", OBJECT_LIMIT)
    number = (config.scribe_epoch, config.generation)
    if config.scribe_epoch == 0:
        if number != (0, 1) or opened.signed_by not in ca_keys:
            raise Refused(f"config {number} is not the one the CA made the network with")
    elif config.scribe_epoch != roles.scribe_epoch or opened.signed_by != scribe_key:
        raise Refused(f"config {number} is not signed by the scribe of epoch {roles.scribe_epoch}")
    return config


def base_of(data: bytes) -> tuple[int, int, bytes]:
    """Number and SHA-256 of a config as roles name them, its signature unjudged; raises ProtocolError."""
    config = unpack(_configs, data[HEADER:], "config", OBJECT_LIMIT)
    return config.scribe_epoch, config.generation, hashlib.sha256(data).digest()


def claimed_epoch(data: bytes) -> int:
    """The scribe epoch a config claims to be signed under, its signature unjudged; raises ProtocolError."""
    return unpack(_configs, data[HEADER:], "config", OBJECT_LIMIT).scribe_epoch


def read_offer(data: bytes) -> Offer:
    """An offer in its bytes; raises ProtocolError."""
    return unpack(_offers, data, "config offer", OBJECT_LIMIT)


def named(config: Config, naming: Naming) -> Config:
    """`config` with this naming in it."""
    return msgspec.structs.replace(
        config,
        names={node_bytes(node): name for node, name in sorted(naming.names.items())},
        tags={node_bytes(node): list(tags) for node, tags in sorted(naming.tags.items())},
    )


def compare_configs(ours: SignedConfig, theirs: SignedConfig) -> Comparison:
    """How another config stands to ours; both must have been opened."""
    return compare(ours.rank, theirs.rank)


def reaches_floor(signed: SignedConfig, floors: Floors) -> bool:
    """True if the config is at or above what the node was told when it joined."""
    return signed.number >= (floors.scribe_epoch, floors.generation)


def _naming(config: Config) -> Naming:
    """The names and tags, each judged: they go to terminals, DNS and rules. Raises ProtocolError."""
    for name in config.names.values():
        _check(name, "name", good=is_node_name(name))
    if len(set(config.names.values())) < len(config.names):
        raise ProtocolError("config gives two nodes one name")
    return Naming(
        {node_from_bytes(node): name for node, name in config.names.items()},
        {node_from_bytes(node): _worn(node, tags) for node, tags in config.tags.items()},
    )


def _worn(node: bytes, tags: Sequence[str]) -> tuple[str, ...]:
    if len(set(tags)) < len(tags):
        raise ProtocolError(f"config gives {node.hex()[:SHORT_ID]} one tag twice")
    for tag in tags:
        _check(tag, "tag", good=is_tag(tag))
    return tuple(tags)


def _check(text: str, what: str, *, good: bool) -> None:
    if not good:
        raise ProtocolError(f"config has a {what} that can be none: {printable(text)!r}")
