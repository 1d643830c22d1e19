"""The envelope of signed objects: succession, roles, revocation, config.

    kind 1 | version 1 | signature 64 | payload
    the signature covers "pulse" ‖ kind ‖ version ‖ network hash 32 ‖ payload

There is one way to write an envelope, so equal objects have equal bytes; they are stored and sent as those
exact bytes, never re-encoded. Invariant: no kind, version or network passes as another.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from pulse.core.messages import ObjectKind
from pulse.core.trust.identity import Signer, network_hash, signature_fits
from pulse.core.types import Network
from pulse.errors import ProtocolError, Refused

VERSION: Final = 1
OBJECT_LIMIT: Final = 1024 * 1024
_SIGNATURE: Final = 64
HEADER: Final = 2 + _SIGNATURE
"""Bytes of an envelope before its payload."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An object whose signature holds."""

    payload: bytes
    signed_by: bytes
    """The 32 bytes of the public key that made the signature."""


class Forged(Refused):
    """None of the keys that may sign such an object signed this one."""


class Comparison(Enum):
    """How an object stands to the one we hold of its kind."""

    SAME = "same"
    OLDER = "older"
    NEWER = "newer"
    CLASH_OURS = "clash: ours stays"
    """Equal numbers and other bytes: raise the alarm; of the two the lower bytes' hash is kept."""
    CLASH_THEIRS = "clash: theirs is kept"

    @property
    def takes_theirs(self) -> bool:
        """True if the other object is to replace ours."""
        return self in (Comparison.NEWER, Comparison.CLASH_THEIRS)

    @property
    def is_alarm(self) -> bool:
        """True if one signer signed two objects under one number."""
        return self in (Comparison.CLASH_OURS, Comparison.CLASH_THEIRS)


def seal(kind: ObjectKind, network: Network, payload: bytes, signer: Signer) -> bytes:
    """The exact bytes of a new signed object."""
    signature = signer.sign(_covered(kind, network, payload))
    return bytes((kind, VERSION)) + signature + payload


def unseal(data: bytes, kind: ObjectKind, network: Network, keys: Iterable[bytes]) -> Opened:
    """What was signed, if one of the public `keys` signed it.

    Raises ProtocolError for a damaged envelope or another kind, Forged for a foreign signature.
    """
    if not HEADER < len(data) <= OBJECT_LIMIT:
        raise ProtocolError(f"signed object of {len(data)} bytes")
    if data[0] != kind:
        raise ProtocolError(f"signed object is of kind {data[0]}, not {kind.name.lower()}")
    if data[1] != VERSION:
        raise Refused(f"{kind.name.lower()} object of version {data[1]}; this release knows {VERSION}: upgrade pulse")
    signature, payload = data[2:HEADER], data[HEADER:]
    covered = _covered(kind, network, payload)
    for key in keys:
        if signature_fits(key, signature, covered):
            return Opened(payload, key)
    raise Forged(f"{kind.name.lower()} object is not signed by anyone entitled in network {network.name}")


def compare(ours: tuple[tuple[int, ...], bytes], theirs: tuple[tuple[int, ...], bytes]) -> Comparison:
    """Compare two objects, each (its numbers, its hash): higher numbers win, a clash keeps the lower hash."""
    if ours == theirs:
        return Comparison.SAME
    if ours[0] != theirs[0]:
        return Comparison.NEWER if theirs[0] > ours[0] else Comparison.OLDER
    return Comparison.CLASH_THEIRS if theirs[1] < ours[1] else Comparison.CLASH_OURS


def _covered(kind: ObjectKind, network: Network, payload: bytes) -> bytes:
    return b"pulse" + bytes((kind, VERSION)) + network_hash(network) + payload
