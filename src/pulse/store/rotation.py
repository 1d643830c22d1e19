"""The steps by which a CA's key is replaced on disk: each is taken whole or not at all, and can be taken again.

Invariant: a word about CA keys is on disk before anybody hears it; the old key goes last.
"""

import secrets
from collections.abc import Iterable
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pulse.core.trust.authorities import chain_of, sign_retirement, sign_succession
from pulse.core.trust.ca import SERIAL_BITS, Issuer, make_authority
from pulse.core.trust.rotation import Step
from pulse.core.types import NodeId
from pulse.store import succession
from pulse.store.authority import DIRECTORY, open_issuer
from pulse.store.files import write_checked
from pulse.store.succession import Succession, key_der


def begin(data_dir: Path, issuer: Issuer, now: float) -> None:
    """Make the CA's next key, and the old one's word for it; they are on disk, and whole, when this returns."""
    network = issuer.network
    key = Ed25519PrivateKey.generate()
    following = make_authority(key, network.name, now, secrets.randbits(SERIAL_BITS), network.ca_hash)
    chain = chain_of(network, issuer.authorities, issuer.successions)
    # What is said here must be believed by all others: it is judged like what comes from a neighbour.
    statements = chain.extended(sign_succession(network, issuer.signer, following)).statements
    succession.write(
        data_dir / DIRECTORY, Succession(Step.INTRODUCING, statements, key_der(key), following.der, float(now))
    )


def go_on_without(data_dir: Path, nodes: Iterable[NodeId]) -> None:
    """From now on, and until this replacement is over, nobody waits for these nodes either."""
    directory = data_dir / DIRECTORY
    held = succession.read(directory)
    without = tuple(dict.fromkeys((*held.without, *nodes)))
    succession.write(directory, msgspec.structs.replace(held, without=without))


def sign_with_next_key(data_dir: Path) -> None:
    """From now on the next key is the CA's: `open_issuer` opens it."""
    directory = data_dir / DIRECTORY
    succession.write(directory, msgspec.structs.replace(succession.read(directory), step=Step.RENEWING))


def retire_key(data_dir: Path) -> None:
    """Take the old key out of trust by the new one's word, which is on disk when this returns."""
    directory, issuer = data_dir / DIRECTORY, open_issuer(data_dir)
    chain = chain_of(issuer.network, issuer.authorities, issuer.successions)
    statements = chain.extended(sign_retirement(issuer.network, chain.past[-1], issuer.signer)).statements
    held = succession.read(directory)
    succession.write(directory, msgspec.structs.replace(held, step=Step.RETIRING, statements=statements))


def finish(data_dir: Path) -> None:
    """Put the new key in the place of the old one, which is gone then. It can be done again at any point of it."""
    directory = data_dir / DIRECTORY
    held = succession.read(directory)
    if held.step is not Step.RETIRING:
        return
    write_checked(directory / "key", "ca-key", held.key)
    write_checked(directory / "certificate", "ca-certificate", held.certificate)
    succession.write(directory, msgspec.structs.replace(held, step=Step.DONE, key=b"", certificate=b"", without=()))
