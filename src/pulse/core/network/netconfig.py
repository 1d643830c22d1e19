"""The signed config of a network and which of two counts.

The CA signs (0, 1), empty but for the mesh range, when the network is made; from scribe epoch 1 on the
scribe that the roles object names signs. Invariant: a config counts only if its signer was entitled to its
scribe epoch, and a higher (scribe_epoch, generation) replaces it whole.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

import msgspec

from pulse.core.messages import U53, ObjectKind, Wire, pack, unpack
from pulse.core.network.ranges import mesh_range
from pulse.core.trust.certificates import Authority
from pulse.core.trust.identity import Signer
from pulse.core.trust.join import Floors
from pulse.core.trust.roles import Roles
from pulse.core.trust.signed import OBJECT_LIMIT, Comparison, compare, seal, unseal
from pulse.core.types import Network, ShortText
from pulse.errors import ConfigError, ProtocolError, Refused


class Settings(Wire, frozen=True):
    """What holds for the whole network."""

    mesh_cidr: ShortText


class Config(Wire, frozen=True):
    """The payload; later releases append fields."""

    scribe_epoch: U53
    generation: U53
    settings: Settings


_configs = msgspec.msgpack.Decoder(Config)


@dataclass(frozen=True, slots=True)
class SignedConfig:
    """A config whose signature was found to count, in its exact bytes."""

    data: bytes
    config: Config
    mesh_cidr: IPv4Network

    @property
    def number(self) -> tuple[int, int]:
        """(scribe epoch, generation)."""
        return self.config.scribe_epoch, self.config.generation


def first_config(network: Network, cidr: IPv4Network, ca: Signer) -> SignedConfig:
    """Config (0, 1), which the CA signs when it makes the network."""
    return sign_config(network, Config(0, 1, Settings(str(cidr))), ca)


def sign_config(network: Network, config: Config, signer: Signer) -> SignedConfig:
    """Sign `config` with the CA's key (scribe epoch 0) or the scribe's."""
    return SignedConfig(
        seal(ObjectKind.CONFIG, network, pack(config), signer), config, mesh_range(config.settings.mesh_cidr)
    )


def open_config(
    data: bytes, network: Network, authorities: Sequence[Authority], roles: Roles, scribe_key: bytes | None = None
) -> SignedConfig:
    """Read and check a config; `scribe_key` is that of the scribe `roles` names, if we know it.

    Raises ProtocolError, or Refused if its signer is not entitled to its scribe epoch.
    """
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
    try:
        cidr = mesh_range(config.settings.mesh_cidr)
    except ConfigError as error:
        raise ProtocolError(f"config {number} has a mesh range no network can have") from error
    return SignedConfig(data, config, cidr)


def compare_configs(ours: SignedConfig, theirs: SignedConfig) -> Comparison:
    """How another config stands to ours; both must have been opened."""
    return compare(_rank(ours), _rank(theirs))


def reaches_floor(signed: SignedConfig, floors: Floors) -> bool:
    """True if the config is at or above what the node was told when it joined."""
    return signed.number >= (floors.scribe_epoch, floors.generation)


def _rank(signed: SignedConfig) -> tuple[tuple[int, ...], bytes]:
    return signed.number, hashlib.sha256(signed.data).digest()
