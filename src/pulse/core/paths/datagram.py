"""A beacon as it stands in one datagram: signed by its node, and sealed for the eyes of its network.

    version 1 | nonce 12 | ChaCha20-Poly1305( envelope of core/trust/signed.py, kind BEACON, around msgpack ) + tag 16

The key of the seal follows from the network's label, which members know and passers-by do not: so they cannot follow a
machine from LAN to LAN by its id, and beacons of other networks are told apart before any signature is looked at. It
proves nothing. Invariant: whose a beacon is follows from the key in it, so once `vouched` nobody else wrote it.
"""

import hmac
from dataclasses import dataclass
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from pulse.core.messages import BEACON_LIMIT, Beacon, ObjectKind, pack, unpack
from pulse.core.trust.identity import Signer, network_hash, node_id
from pulse.core.trust.signed import HEADER, seal, unseal
from pulse.core.types import Network, NodeId
from pulse.errors import ProtocolError, Refused

NONCE_BYTES: Final = 12

_VERSION: Final = bytes((1,))
_PURPOSE: Final = b"pulse beacon v1"

_decoder = msgspec.msgpack.Decoder(Beacon)


class Foreign(Refused):
    """Another network's beacon, one of a later release, or noise: nobody's fault."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A beacon read but not believed: it may be compared with what was heard before its signature is worth checking."""

    beacon: Beacon
    _signed: bytes

    @property
    def node(self) -> NodeId:
        """Whose it is."""
        return node_id(self.beacon.key)

    def vouched(self, network: Network) -> None:
        """Its node's key signed it; raises ProtocolError or Refused if not."""
        unseal(self._signed, ObjectKind.BEACON, network, (self.beacon.key,))


def write_beacon(network: Network, beacon: Beacon, signer: Signer, nonce: bytes) -> bytes:
    """The datagram; `nonce` is random."""
    signed = seal(ObjectKind.BEACON, network, pack(beacon), signer)
    return _VERSION + nonce + _cipher(network).encrypt(nonce, signed, _VERSION)


def read_beacon(data: bytes, network: Network) -> Claim:
    """What a datagram claims; raises Foreign, or ProtocolError for what no honest node of this network sends."""
    if not NONCE_BYTES < len(data) <= BEACON_LIMIT:
        raise Foreign(f"datagram of {len(data)} bytes")
    version, nonce, sealed = data[:1], data[1 : 1 + NONCE_BYTES], data[1 + NONCE_BYTES :]
    try:
        signed = _cipher(network).decrypt(nonce, sealed, version)
    except InvalidTag as error:
        raise Foreign("no beacon of this network") from error
    if version != _VERSION:
        raise Foreign(f"beacon of version {version[0]}")
    if len(signed) <= HEADER:
        raise ProtocolError(f"signed object of {len(signed)} bytes")
    return Claim(unpack(_decoder, signed[HEADER:], "beacon", BEACON_LIMIT), signed)


def _cipher(network: Network) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(hmac.digest(network_hash(network), _PURPOSE, "sha256"))
