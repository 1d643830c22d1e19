"""The replacement of a CA's key on disk: one file, so that each step is taken whole or not at all.

    ca/succession   step, statements about CA keys, the next key and its certificate, when it was begun, without whom

Invariant: the key that signs is in `ca/key` or here, and while both are there, the step says which it is.
"""

from pathlib import Path
from typing import Annotated, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pulse.core.messages import ObjectKind, Time
from pulse.core.trust.authorities import CHAIN_LIMIT
from pulse.core.trust.rotation import Step
from pulse.core.types import NodeId
from pulse.errors import Damaged, NotFound
from pulse.store.files import read_checked, write_checked

FILE: Final = "succession"
_KIND: Final = "ca-succession"
_NEXT: Final = "Put back a backup of the whole directory; without its CA the mesh takes nobody new."


class Succession(msgspec.Struct, frozen=True, array_like=True):
    """What is known of the CA's keys besides the one in `ca/key`."""

    step: Step = Step.DONE
    statements: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=CHAIN_LIMIT)] = ()
    key: bytes = b""
    """Secret: PKCS#8 DER of the next key; empty once it is the one in `ca/key`."""
    certificate: bytes = b""
    begun: Time = 0.0
    """Wall clock, seconds since 1970."""
    without: tuple[NodeId, ...] = ()
    """Nodes that nobody waits for, in the order in which a person gave them up."""

    @property
    def number(self) -> int:
        """How many keys were introduced after the network's first."""
        return sum(data[:1] == bytes((ObjectKind.SUCCESSION,)) for data in self.statements)


_decoder = msgspec.msgpack.Decoder(Succession)


def read(directory: Path) -> Succession:
    """What `directory`, that of the CA, holds; nothing if its key was never replaced. Raises Damaged."""
    path = directory / FILE
    try:
        return _decoder.decode(read_checked(path, _KIND, _NEXT))
    except NotFound:
        return Succession()
    except msgspec.DecodeError as error:
        raise Damaged(f"{path} cannot be read: {error}.\n{_NEXT}") from error


def write(directory: Path, succession: Succession) -> None:
    """Take a step, durably."""
    write_checked(directory / FILE, _KIND, msgspec.msgpack.encode(succession))


def key_der(key: Ed25519PrivateKey) -> bytes:
    """A CA's key as it lies on disk."""
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
