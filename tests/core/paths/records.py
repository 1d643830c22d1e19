"""Node records in one line each, and the certificates they name."""

from collections.abc import Iterable
from ipaddress import IPv4Address

from pulse.core.paths.noderecord import Adjacency, NodeRecord, sign_record
from pulse.core.trust.certificates import Certificate
from tests.authority import Ca, key
from tests.mint import member

CA = Ca()
VERSION = "0.1.0"

_members: dict[int, Certificate] = {}


def machine(place: int) -> str:
    """The name of the machine at that place of the mesh range."""
    return f"machine {place}"


def cert(place: int) -> Certificate:
    """The certificate of the machine at that place; signing is slow, so each is made once."""
    if place not in _members:
        _members[place] = member(CA, machine(place), place)
    return _members[place]


def cert_of(made: NodeRecord) -> Certificate:
    """The certificate that record names."""
    return next(each for each in _members.values() if each.node_id == made.node)


def handle(place: int) -> IPv4Address:
    """The mesh address of that machine."""
    return cert(place).addresses.v4


def adjacent(*places: int, rtt: float = 0.01, loss: float = 0.0) -> list[Adjacency]:
    """Neighbours as a record lists them."""
    return [Adjacency(handle(place), rtt, loss) for place in places]


def record(
    place: int,
    seq: int = 1,
    boot: int = 1,
    *,
    flags: int = 0,
    candidates: Iterable[str] = (),
    certificate: Certificate | None = None,
    signer: str | None = None,
) -> NodeRecord:
    """A version of that machine's record."""
    return sign_record(
        key(signer or machine(place)),
        certificate or cert(place),
        boot=boot,
        seq=seq,
        flags=flags,
        candidates=candidates,
        version=VERSION,
    )


def other_bytes(place: int, seq: int = 1, boot: int = 1) -> tuple[NodeRecord, NodeRecord]:
    """Two records of one node under one number, the one of lower hash first."""
    lower, higher = sorted((record(place, seq, boot), record(place, seq, boot, flags=1)), key=lambda each: each.hash)
    return lower, higher
