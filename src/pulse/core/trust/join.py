"""The two messages of a join, byte by byte, and what both ends check in them.

    request  body ‖ HMAC-SHA-256(K_join, body)
    answer   body ‖ HMAC-SHA-256(K_answer, SHA-256(request) ‖ body)

A refusal is answered under the token's key too, so "expired" and "used up" can be believed; only the
general refusals anybody could give come without (32 zero bytes in the MAC's place).
Invariant: the token is in neither message, and nothing else in an answer counts unless its MAC holds.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding

from pulse.core.messages import U8, U53, Time, Wire, pack, unpack
from pulse.core.trust.authorities import CHAIN_LIMIT, chain_of, trusted_authorities
from pulse.core.trust.certificates import Authority, Certificate, as_utc, is_signed_by, parse, reading, verify
from pulse.core.trust.identity import Signer, x509_key
from pulse.core.trust.tokens import SELECTOR_BYTES, TokenKeys, Unfit
from pulse.core.types import Der, Network, NodeId, Nonce, ShortText, spaced
from pulse.errors import ProtocolError, Refused

JOIN_LIMIT: Final = 64 * 1024
VERSION: Final = 1
_MAC: Final = 32
_NO_MAC: Final = bytes(_MAC)

_Statement = Annotated[bytes, msgspec.Meta(max_length=1024)]
_Ders = Annotated[list[Der], msgspec.Meta(min_length=1, max_length=CHAIN_LIMIT)]
_Statements = Annotated[list[_Statement], msgspec.Meta(max_length=CHAIN_LIMIT)]


class Refusal(IntEnum):
    """Why a join was refused; the numbers are on the wire."""

    UNKNOWN_TOKEN = 1
    EXPIRED = Unfit.EXPIRED
    USED_UP = Unfit.USED_UP
    TOKEN_REVOKED = Unfit.REVOKED
    NODE_REVOKED = 5
    BAD_REQUEST = 6
    BAD_NAME = 7
    NAME_TAKEN = 8
    RANGE_FULL = 9
    CA_CLOCK = 10
    CA_BROKEN = 11
    CA_UNREACHABLE = 12
    BUSY = 13
    REPLAYED = 14
    TOO_LATE = 15
    ADDRESS_TAKEN = 16
    CA_RECOVERING = 17
    CA_OUTDATED = 18
    NOT_YET_VALID = 19


RETRYABLE: Final = frozenset(
    {Refusal.CA_BROKEN, Refusal.CA_UNREACHABLE, Refusal.CA_RECOVERING, Refusal.CA_OUTDATED, Refusal.BUSY}
)
"""Refusals that may pass by themselves."""

FINAL: Final = frozenset({Refusal.NODE_REVOKED, Refusal.TOO_LATE, Refusal.ADDRESS_TAKEN})
"""Refusals of a renewal after which that identity never gets another certificate."""

ANYBODYS: Final = frozenset({Refusal.UNKNOWN_TOKEN, *RETRYABLE})
"""Refusals given without knowing the token: by a relay, or by a CA that does not know it."""

_ANOTHER: Final = "Make a new invite on the CA: pulse invite (a token alone: pulse token create --ttl 1h --max-uses 1)"
_TEXTS: Final = {
    Refusal.UNKNOWN_TOKEN: "token unknown or wrong.\nCopy it again, whole, or make a new one on the CA: pulse invite",
    Refusal.EXPIRED: f"this token has expired.\n{_ANOTHER}",
    Refusal.USED_UP: f"this token is used up: as many machines as it was made for have joined with it.\n{_ANOTHER}",
    Refusal.TOKEN_REVOKED: f"this token was revoked.\n{_ANOTHER}",
    Refusal.NODE_REVOKED: "this machine's key was revoked.\nRemove its data directory to join with a new key.",
    Refusal.BAD_REQUEST: "the CA could not read this machine's request.\nRun the same release of pulse on both.",
    Refusal.BAD_NAME: (
        "the CA does not take this machine's name: it reads as a node id, is no DNS label, or means something else, "
        "as localhost.\nRename it."
    ),
    Refusal.NAME_TAKEN: "the name of this token belongs to another node by now.\nMake a token with another name.",
    Refusal.RANGE_FULL: "the network's address range is full.\nMake a network with a wider --mesh-cidr.",
    Refusal.CA_CLOCK: "the CA's clock leapt by more than 7 days, so it signs nothing.\n"
    "Check its clock, then on the CA: pulse start --force-time",
    Refusal.CA_BROKEN: "the CA could not write its ledger.\nSee its log (disk full?), then try again.",
    Refusal.CA_UNREACHABLE: "the node that was asked cannot reach the CA now.\nTry again, or name another node.",
    Refusal.REPLAYED: "this request was answered before.\nA node asks anew each time: see who sent it again.",
    Refusal.TOO_LATE: "this machine's certificate ended more than 30 days ago, so it is not renewed.\n"
    "Move identity/ out of its data directory and join again, with an invite of the CA (pulse invite).",
    Refusal.ADDRESS_TAKEN: "this machine's mesh address belongs to another node by now.\n"
    "Move identity/ out of its data directory and join again, with an invite of the CA (pulse invite).",
    Refusal.CA_RECOVERING: "the CA was put back from a backup and has yet to hear from the mesh whom it let in since.\n"
    "Try again in half a minute. If no other node is left: pulse ca restore --alone, on the CA.",
    Refusal.CA_OUTDATED: "the CA came from a backup older than the network's present key, so it signs nothing.\n"
    "On the CA, put back a newer one: pulse ca restore <file> --force.",
    Refusal.NOT_YET_VALID: "this machine's certificate is good only from a later time than the CA's clock says it is.\n"
    "See to the clocks of both: one was ahead when it was signed, or is behind now.",
    Refusal.BUSY: "the node that was asked has too many joins at once.\nTry again in a few seconds.",
}


class Request(Wire, frozen=True, tag=1):
    """A machine asks for a certificate for the key its CSR proves."""

    version: U8
    selector: Annotated[bytes, msgspec.Meta(min_length=SELECTOR_BYTES, max_length=SELECTOR_BYTES)]
    csr: Annotated[bytes, msgspec.Meta(min_length=1, max_length=1024)]
    nonce: Nonce
    host: ShortText
    """Name asked for, or "" for none."""


class Floors(Wire, frozen=True):
    """Least numbers of roles and config a node may believe, from the moment it joined."""

    roles_epoch: U53 = 0
    scribe_epoch: U53 = 0
    generation: U53 = 1


class Granted(Wire, frozen=True, tag=1):
    """The certificate and all that is needed to judge it."""

    certificate: Der
    authorities: _Ders
    successions: _Statements
    floors: Floors
    time: Time


class Denied(Wire, frozen=True, tag=2):
    """No certificate, and why."""

    refusal: U8
    time: Time


class Showing(Wire, frozen=True, tag=1):
    """What the pinned join lane shows with its leaf before a request leaves."""

    authorities: _Ders
    successions: _Statements


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What a machine is, once its join was granted and every check held."""

    certificate: Certificate
    authorities: tuple[bytes, ...]
    successions: tuple[bytes, ...]
    floors: Floors
    ca_time: float
    """The CA's wall clock when it answered."""


_requests = msgspec.msgpack.Decoder(Request)
_answers: msgspec.msgpack.Decoder[Granted | Denied] = msgspec.msgpack.Decoder(Granted | Denied)
_showings = msgspec.msgpack.Decoder(Showing)


def build_csr(key: Signer) -> bytes:
    """A certificate request in DER that proves possession of `key` and says nothing else."""
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(x509_key(key), None)
    return request.public_bytes(Encoding.DER)


def key_of_csr(csr: bytes) -> bytes:
    """The 32 bytes of the public key a certificate request proves; raises ProtocolError."""
    with reading("certificate request", csr):
        request = x509.load_der_x509_csr(csr)
        key = request.public_key()
        if not isinstance(key, Ed25519PublicKey) or not request.is_signature_valid:
            raise ProtocolError("certificate request does not prove an Ed25519 key")
        return key.public_bytes_raw()


def build_request(keys: TokenKeys, csr: bytes, nonce: bytes, host: str = "") -> bytes:
    """The request of a joiner; `nonce` is 16 random bytes."""
    body = pack(Request(VERSION, keys.selector, csr, nonce, host))
    return body + _mac(keys.join, body)


def parse_request(data: bytes) -> Request:
    """Read a request, its MAC yet unjudged; raises ProtocolError."""
    return unpack(_requests, data[:-_MAC], "join request", JOIN_LIMIT)


def request_is_from(data: bytes, keys: TokenKeys) -> bool:
    """True if whoever wrote the request knows the token."""
    return hmac.compare_digest(_mac(keys.join, data[:-_MAC]), data[-_MAC:])


def build_answer(request: bytes, answer: Granted | Denied, keys: TokenKeys) -> bytes:
    """The CA's answer to the exact bytes of `request`."""
    body = pack(answer)
    return body + _mac(keys.answer, hashlib.sha256(request).digest() + body)


def build_general_refusal(refusal: Refusal, time: float) -> bytes:
    """A refusal by someone who does not know the token; only those in `ANYBODYS` are believed by joiners."""
    return pack(Denied(refusal, time)) + _NO_MAC


def parse_answer(data: bytes, request: bytes, keys: TokenKeys) -> Granted | Denied:
    """Read an answer and judge who gave it; raises ProtocolError if it is not to be believed."""
    body, mac = data[:-_MAC], data[-_MAC:]
    answer = unpack(_answers, body, "join answer", JOIN_LIMIT)
    if hmac.compare_digest(_mac(keys.answer, hashlib.sha256(request).digest() + body), mac):
        return answer
    if isinstance(answer, Denied) and answer.refusal in ANYBODYS:
        return answer
    raise ProtocolError("the join answer does not come from a CA that knows this token")


def parse_general_refusal(data: bytes) -> Denied:
    """A refusal anybody could give, which only says to try again; raises ProtocolError for any other answer."""
    answer = unpack(_answers, data[:-_MAC], "answer", JOIN_LIMIT)
    if isinstance(answer, Denied) and data[-_MAC:] == _NO_MAC and answer.refusal in RETRYABLE:
        return answer
    raise ProtocolError("the answer does not come from the CA")


def refusal_text(denied: Denied) -> str:
    """What a refusal says to the person who joins, with what to do."""
    if denied.refusal not in set(Refusal):
        return (
            f"the CA refused for a reason unknown to this release ({denied.refusal}).\nUpgrade pulse on this machine."
        )
    refusal = Refusal(denied.refusal)
    text = _TEXTS[refusal]
    match refusal:
        case Refusal.EXPIRED:
            return text.replace("expired.", f"expired (the CA's clock says {as_utc(denied.time)}).", 1)
        case Refusal.NOT_YET_VALID:
            return text.replace("says it is.", f"says it is ({as_utc(denied.time)}).", 1)
        case _:
            return text


def build_showing(authorities: Sequence[bytes], successions: Sequence[bytes] = ()) -> bytes:
    """What `install_trust` takes as objects: shown on the pinned join lane."""
    return pack(Showing(list(authorities), list(successions)))


def statements_shown(showing: bytes) -> list[bytes]:
    """The statements about CA keys in it, unjudged; raises ProtocolError."""
    return unpack(_showings, showing, "showing of CA certificates", JOIN_LIMIT).successions


def check_lane(leaf: bytes, showing: bytes, ca_hash: str, network: str | None = None) -> Certificate:
    """Judge the node behind a pinned join lane before a request leaves; times are not judged.

    Raises ProtocolError or Refused if the CA that vouches for `leaf` does not hang on `ca_hash`, or if the
    network is not called `network`.
    """
    shown = unpack(_showings, showing, "showing of CA certificates", JOIN_LIMIT)
    certificate = parse(leaf)
    if certificate.network.ca_hash != ca_hash:
        raise Refused(
            f"the node that answered belongs to the CA {spaced(certificate.network.ca_hash)}, the token to "
            f"{spaced(ca_hash)}.\nNothing was sent to it. Check the address, or make a new invite."
        )
    _check_network_name(certificate.network, network)
    retired = chain_of(certificate.network, shown.authorities, shown.successions).gone
    if any(is_signed_by(certificate, each) for each in retired):
        raise Refused(
            "the node that answered has its certificate from a CA key that the network has retired.\n"
            "Ask another node. If that one is the CA, it came from a backup older than the network's key: put back a "
            "newer one there, pulse ca restore <file> --force"
        )
    verify(certificate, trusted_authorities(certificate.network, shown.authorities, shown.successions), None)
    return certificate


def check_grant(
    granted: Granted, node: NodeId, wall: float, ca_hash: str | None = None, network: str | None = None
) -> Enrolment:
    """Judge a granted certificate: ours, of the pinned CA and the named network, and good by our `wall` clock.

    Raises ProtocolError or Refused.
    """
    certificate = parse(granted.certificate)
    if certificate.node_id != node:
        raise Refused("the CA answered with a certificate for another key.\nTry again; if it stays, the CA is broken.")
    if ca_hash is not None and certificate.network.ca_hash != ca_hash:
        raise Refused(f"the certificate is of the CA {spaced(certificate.network.ca_hash)}, not of {spaced(ca_hash)}.")
    _check_network_name(certificate.network, network)
    chain = chain_of(certificate.network, granted.authorities, granted.successions)
    authorities = chain.trusted
    authority = verify(certificate, authorities, None)
    _check_clock(certificate, authority, wall, granted.time)
    ders = tuple(each.der for each in authorities)
    return Enrolment(certificate, ders, chain.statements, granted.floors, granted.time)


def _check_network_name(network: Network, wanted: str | None) -> None:
    if wanted is not None and network.name != wanted:
        raise Refused(f"this is network {network.name}, not {wanted}.\nLeave --network out, or ask a node of {wanted}.")


def _check_clock(certificate: Certificate, authority: Authority, wall: float, ca_time: float) -> None:
    try:
        verify(certificate, (authority,), wall)
    except Refused as error:
        raise Refused(
            f"this machine's clock says {as_utc(wall)}, the CA's says {as_utc(ca_time)}; "
            f"by ours the certificate is not valid ({as_utc(certificate.not_before)} to "
            f"{as_utc(certificate.not_after)}).\nSet the clock that is wrong and run the same command again: "
            "the token is not used up by it."
        ) from error


def _mac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")
