"""Which CA certificates to believe: the first CA's hash is pinned, later keys come by succession.

    succession   signed by the CA key before: both keys, and the certificate of the next one
    retirement   signed by the newest key: the one before it counts no longer

At most two keys, the newest of the chain, are trusted at once.
Invariant: every trusted key hangs on the network's first CA hash, and a chain only grows.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from pulse.core.messages import ObjectKind, Wire, pack, unpack
from pulse.core.trust.certificates import Authority, check_form, critical, key_usages, reading
from pulse.core.trust.identity import Signer, key_hash, public_bytes
from pulse.core.trust.signed import HEADER, OBJECT_LIMIT, seal, unseal
from pulse.core.types import Der, Network, is_network_name, spaced
from pulse.errors import ProtocolError, Refused

AUTHORITY: Final = "pulse:ca:"
"""SAN URI of a CA certificate, followed by the network label; no node's certificate bears it."""

TRUSTED_AT_ONCE: Final = 2
CHAIN_LIMIT: Final = 16
"""Statements in a chain, a retirement among them."""

SUCCESSIONS_LIMIT: Final = CHAIN_LIMIT - 1
"""How often a network's CA key can be replaced."""

_LABEL = re.compile(r"([a-z0-9-]{1,63})\.([0-9a-f]{64})")
_Key = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


class _Succession(Wire, frozen=True):
    before: _Key
    following: _Key
    certificate: Der


class _Retirement(Wire, frozen=True):
    retired: _Key
    by: _Key


_successions = msgspec.msgpack.Decoder(_Succession)
_retirements = msgspec.msgpack.Decoder(_Retirement)


@dataclass(frozen=True, slots=True)
class Chain:
    """The CA keys of one network, each introduced by the one before it."""

    network: Network
    hashes: tuple[str, ...]
    """Of every key there was, the network's first one first."""
    known: Mapping[str, Authority]
    """CA certificates by the hash of their key; those of keys that count no longer may be missing."""
    successions: tuple[bytes, ...] = ()
    """The statements that introduced them, in their exact bytes and order."""
    retirement: bytes | None = None
    """The statement that took the last but one out of trust, if it is out."""
    past: tuple[bytes, ...] = ()
    """The 32 bytes of each key before the newest."""

    @classmethod
    def begun(cls, network: Network, certificates: Iterable[bytes]) -> "Chain":
        """The chain of the first key alone, with CA certificates of this network that later statements may prove."""
        found = [parse_authority(der) for der in certificates]
        return cls(network, (network.ca_hash,), {each.ca_hash: each for each in found if each.network == network})

    @property
    def number(self) -> int:
        """How many keys were introduced after the first."""
        return len(self.successions)

    @property
    def is_turning(self) -> bool:
        """True while a key is being replaced: the next one is introduced, and the one before it counts still."""
        return bool(self.successions) and self.retirement is None

    @property
    def statements(self) -> tuple[bytes, ...]:
        """All that makes another believe the same."""
        return self.successions if self.retirement is None else (*self.successions, self.retirement)

    @property
    def trusted(self) -> tuple[Authority, ...]:
        """Who may vouch for nodes and speak for the CA now, the newest first."""
        newest = self.hashes[-1:] if self.retirement else self.hashes[-TRUSTED_AT_ONCE:]
        return tuple(self.known[each] for each in reversed(newest) if each in self.known)

    @property
    def gone(self) -> tuple[bytes, ...]:
        """Public keys that were trusted once and are not any more."""
        return self.past if self.retirement else self.past[:-1]

    def extended(self, data: bytes) -> "Chain":
        """The chain with one more statement; the same if it says nothing new.

        Raises ProtocolError for no such statement, Forged for a foreign signature, Refused for one that fits nowhere.
        """
        if data in self.statements:
            return self
        match data[0] if data else None:
            case ObjectKind.SUCCESSION:
                return self._introduced(data)
            case ObjectKind.RETIREMENT:
                return self._retired(data)
            case _:
                raise ProtocolError("neither a succession nor a retirement of a CA key")

    def merged(self, statements: Sequence[bytes]) -> "Chain":
        """The chain with all of another's statements, in their order; raises as `extended` does."""
        if len(statements) > CHAIN_LIMIT:
            raise Refused(f"{len(statements)} succession statements; {CHAIN_LIMIT} are allowed")
        chain = self
        for data in statements:
            chain = chain.extended(data)
        return chain

    def number_of(self, authority: Authority) -> int:
        """The place of a CA's key in the chain, 0 for the network's first; raises Refused if it has none."""
        if authority.ca_hash not in self.hashes:
            raise Refused(f"the CA {spaced(authority.ca_hash)} is not one of network {self.network.name}")
        return self.hashes.index(authority.ca_hash)

    def _introduced(self, data: bytes) -> "Chain":
        claimed = unpack(_successions, data[HEADER:], "succession", OBJECT_LIMIT)
        before = key_hash(claimed.before)
        if before not in self.hashes:
            raise Refused("a succession statement does not follow the CA key before it")
        unseal(data, ObjectKind.SUCCESSION, self.network, (claimed.before,))
        if before != self.hashes[-1]:
            raise Refused(f"the CA {spaced(before)} introduced two keys; the first one counts")
        if len(self.successions) >= SUCCESSIONS_LIMIT:
            raise Refused(f"a network's CA key can be replaced {SUCCESSIONS_LIMIT} times, and was")
        following = parse_authority(claimed.certificate)
        if following.network != self.network or following.public_key != claimed.following:
            raise Refused("a succession statement holds a CA certificate of another key or network")
        if following.ca_hash in self.hashes:
            raise Refused("a succession statement brings back a CA key of before")
        following = replace(following, number=len(self.hashes))
        return replace(
            self,
            hashes=(*self.hashes, following.ca_hash),
            known={**self.known, following.ca_hash: following},
            successions=(*self.successions, data),
            retirement=None,
            past=(*self.past, claimed.before),
        )

    def _retired(self, data: bytes) -> "Chain":
        claimed = unpack(_retirements, data[HEADER:], "retirement", OBJECT_LIMIT)
        by, retired = key_hash(claimed.by), key_hash(claimed.retired)
        if by not in self.hashes:
            raise Refused("a retirement of a CA key is by one that is not known here")
        unseal(data, ObjectKind.RETIREMENT, self.network, (claimed.by,))
        place = self.hashes.index(by)
        if place == 0 or self.hashes[place - 1] != retired:
            raise Refused("a CA key can retire the one before it only")
        is_latest = by == self.hashes[-1] and self.retirement is None
        return replace(self, retirement=data) if is_latest else self


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


def sign_succession(network: Network, before: Signer, following: Authority) -> bytes:
    """The old CA key introduces the next one."""
    payload = pack(_Succession(public_bytes(before), following.public_key, following.der))
    return seal(ObjectKind.SUCCESSION, network, payload, before)


def sign_retirement(network: Network, retired: bytes, by: Signer) -> bytes:
    """The newest CA key takes the one before it, 32 bytes of public key, out of trust. The same whenever it is made."""
    return seal(ObjectKind.RETIREMENT, network, pack(_Retirement(retired, public_bytes(by))), by)


def chain_of(network: Network, certificates: Sequence[bytes], statements: Sequence[bytes]) -> Chain:
    """The chain that these prove; raises ProtocolError or Refused for a statement that does not continue it."""
    return Chain.begun(network, certificates[:CHAIN_LIMIT]).merged(statements)


def trusted_authorities(
    network: Network, certificates: Sequence[bytes], statements: Sequence[bytes]
) -> tuple[Authority, ...]:
    """The CAs that hang on the network's first CA hash and are trusted, newest first; raises Refused if none is."""
    trusted = chain_of(network, certificates, statements).trusted
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
