"""The two messages of a renewal, byte by byte, and what both ends check in them.

    request  envelope, signed by the node's key: the certificate it has, a nonce
    answer   envelope, signed by a CA key: SHA-256(request), and the next certificate or a refusal

Both are envelopes of `signed.py`, whose first byte tells them from the messages of a join, so they travel on the same
lane. Invariant: only who holds the key of a certificate of this network is answered, and only its CA's word counts.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from pulse.core.messages import U8, ObjectKind, Wire, pack, unpack
from pulse.core.trust.authorities import Chain
from pulse.core.trust.ca import SERIAL_BITS
from pulse.core.trust.certificates import Authority, Certificate, parse, verify
from pulse.core.trust.identity import Signer
from pulse.core.trust.join import JOIN_LIMIT, Denied, Enrolment, Granted, parse_general_refusal
from pulse.core.trust.signed import HEADER, seal, unseal
from pulse.core.types import SHORT_ID, Der, Digest, Network, Nonce
from pulse.errors import ProtocolError, Refused

VERSION: Final = 1


class Renewal(Wire, frozen=True):
    """A node asks for its next certificate, and shows the one it has."""

    version: U8
    certificate: Der
    nonce: Nonce


class Answer(Wire, frozen=True):
    """What the CA says to the request with that SHA-256."""

    request: Digest
    outcome: Granted | Denied


_renewals = msgspec.msgpack.Decoder(Renewal)
_answers = msgspec.msgpack.Decoder(Answer)


def build_renewal(certificate: Certificate, nonce: bytes, key: Signer) -> bytes:
    """The request of the node with `certificate`; `nonce` is 16 random bytes, new in each request."""
    payload = pack(Renewal(VERSION, certificate.der, nonce))
    return seal(ObjectKind.RENEWAL, certificate.network, payload, key)


def is_renewal(data: bytes) -> bool:
    """True if what came on a join lane is a renewal, and no join: those begin with a msgpack array."""
    return data[:1] == bytes((ObjectKind.RENEWAL,))


def read_renewal(
    data: bytes, authorities: Sequence[Authority], is_ours: Callable[[Certificate], bool] = lambda _: False
) -> Certificate:
    """The certificate to renew, whose key signed the request; its times are not judged.

    Raises ProtocolError for what nobody sent whose certificate one of `authorities` vouches for, or, as one that a CA
    key of before signed, is known to be ours.
    """
    claimed = unpack(_renewals, data[HEADER:], "renewal request", JOIN_LIMIT)
    try:
        certificate = parse(claimed.certificate)
        if not is_ours(certificate):
            verify(certificate, authorities, None)
        unseal(data, ObjectKind.RENEWAL, certificate.network, (certificate.public_key,))
    except Refused as error:
        raise ProtocolError(f"renewal request of a stranger: {error}") from error
    return certificate


def serial_of(request: bytes) -> int:
    """The serial of the certificate that answers `request`: as random as its nonce, and the same if it comes again."""
    digest = hashlib.sha256(b"pulse serial" + request[HEADER:]).digest()
    return int.from_bytes(digest) >> (8 * len(digest) - SERIAL_BITS) or 1


def build_answer(request: bytes, outcome: Granted | Denied, network: Network, ca: Signer) -> bytes:
    """The CA's answer to the exact bytes of `request`."""
    return seal(ObjectKind.RENEWED, network, pack(Answer(hashlib.sha256(request).digest(), outcome)), ca)


def parse_answer(data: bytes, request: bytes, mine: Certificate, known: Chain) -> Enrolment | Denied:
    """Judge the answer to the `request` of the node with the certificate `mine`.

    A CA key that `known` does not have yet may have signed it, if the answer brings the statements that introduce it;
    one that is retired there may not, whatever the answer leaves out.
    Raises ProtocolError or Refused for what is not to be believed.
    """
    if data[:1] != bytes((ObjectKind.RENEWED,)):
        return parse_general_refusal(data)
    network = mine.network
    answer = unpack(_answers, data[HEADER:], "renewal answer", JOIN_LIMIT)
    outcome = answer.outcome
    chain = known.merged(outcome.successions) if isinstance(outcome, Granted) else known
    unseal(data, ObjectKind.RENEWED, network, [each.public_key for each in chain.trusted])
    if answer.request != hashlib.sha256(request).digest():
        raise ProtocolError("the answer is to another request")
    return outcome if isinstance(outcome, Denied) else _enrolment(outcome, mine, chain)


def _enrolment(granted: Granted, mine: Certificate, chain: Chain) -> Enrolment:
    certificate = parse(granted.certificate)
    if certificate.node_id != mine.node_id or certificate.addresses != mine.addresses:
        raise Refused(f"the CA answered with a certificate of {certificate.node_id[:SHORT_ID]} that is not for us")
    # Times are not judged: what is wrong with our clock is told elsewhere, and the next certificate is none the worse.
    verify(certificate, chain.trusted, None)
    ders = tuple(each.der for each in chain.trusted)
    return Enrolment(certificate, ders, chain.statements, granted.floors, granted.time)
