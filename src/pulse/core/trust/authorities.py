"""Which CA certificates to believe: the first CA's hash is pinned, later keys come by succession.

A succession statement is signed by the CA key before and names the next one. At most two keys, the newest
of the chain, are trusted at once. Invariant: every trusted key hangs on the network's first CA hash.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from pulse.core.messages import ObjectKind, Wire, pack, unpack
from pulse.core.trust.certificates import Authority, check_form, critical, key_usages, reading
from pulse.core.trust.identity import Signer, key_hash, public_bytes
from pulse.core.trust.signed import HEADER, OBJECT_LIMIT, seal, unseal
from pulse.core.types import Network, is_network_name, spaced
from pulse.errors import Refused

AUTHORITY: Final = "pulse:ca:"
"""SAN URI of a CA certificate, followed by the network label; no node's certificate bears it."""

TRUSTED_AT_ONCE: Final = 2
CHAIN_LIMIT: Final = 16

_LABEL = re.compile(r"([a-z0-9-]{1,63})\.([0-9a-f]{64})")
_Key = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


class _Succession(Wire, frozen=True):
    before: _Key
    following: _Key


_successions = msgspec.msgpack.Decoder(_Succession)


def parse_authority(der: bytes) -> Authority:
    """Read a CA certificate; raises ProtocolError if it is no X.509, Refused if it is no CA's of pulse."""
    with reading("CA certificate", der):
        root = x509.load_der_x509_certificate(der)
        public_key = check_form(root)
        constraints = critical(root, x509.BasicConstraints)
        if not constraints.ca or constraints.path_length != 0:
            raise Refused("CA certificate lacks CA:true with path length 0")
        if "key_cert_sign" not in key_usages(root):
            raise Refused("CA certificate may not sign certificates")
        return Authority(
            der=der,
            ca_hash=key_hash(public_key),
            network=_network(root),
            public_key=public_key,
            not_before=root.not_valid_before_utc.timestamp(),
            not_after=root.not_valid_after_utc.timestamp(),
        )


def sign_succession(network: Network, before: Signer, following: bytes) -> bytes:
    """The old CA key introduces the next one, 32 bytes of public key."""
    payload = pack(_Succession(public_bytes(before), following))
    return seal(ObjectKind.SUCCESSION, network, payload, before)


def trusted_keys(network: Network, successions: Sequence[bytes]) -> tuple[str, ...]:
    """Hashes of the CA keys to trust now, oldest first; `successions` in their order.

    Raises ProtocolError or Refused for a statement that does not continue the chain.
    """
    if len(successions) > CHAIN_LIMIT:
        raise Refused(f"{len(successions)} succession statements; {CHAIN_LIMIT} are allowed")
    chain = [network.ca_hash]
    for data in successions:
        claimed = unpack(_successions, data[HEADER:], "succession", OBJECT_LIMIT)
        if key_hash(claimed.before) != chain[-1]:
            raise Refused("a succession statement does not follow the CA key before it")
        unseal(data, ObjectKind.SUCCESSION, network, (claimed.before,))
        chain.append(key_hash(claimed.following))
    return tuple(chain[-TRUSTED_AT_ONCE:])


def trusted_authorities(
    network: Network, certificates: Sequence[bytes], successions: Sequence[bytes]
) -> tuple[Authority, ...]:
    """Those of the CA `certificates` that hang on the network's first CA hash; raises Refused if none does."""
    keys = trusted_keys(network, successions)
    found = [parse_authority(der) for der in certificates[:CHAIN_LIMIT]]
    trusted = tuple(each for each in found if each.network == network and each.ca_hash in keys)
    if not trusted:
        raise Refused(f"no CA certificate shown belongs to the CA {spaced(network.ca_hash)}")
    return trusted


def _network(root: x509.Certificate) -> Network:
    names = critical(root, x509.SubjectAlternativeName).get_values_for_type(x509.UniformResourceIdentifier)
    labels = [name.removeprefix(AUTHORITY) for name in names if name.startswith(AUTHORITY)]
    match = _LABEL.fullmatch(labels[0]) if len(labels) == 1 else None
    if match is None or not is_network_name(match[1]):
        raise Refused("CA certificate names no network")
    try:
        root.verify_directly_issued_by(root)
    except (InvalidSignature, ValueError) as error:
        raise Refused("CA certificate is not signed by its own key") from error
    return Network(match[1], match[2])
