"""Who takes part: keys, certificates and the CA's word, made once a process however many worlds there are.

Invariant: the same name is the same key, certificate and address in every world.
"""

from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pulse.core.network.netconfig import first_config
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.revocation import sign_revocation
from tests.authority import MESH, NOW, Ca, key
from tests.mint import member

CA = Ca()

FIRST_CONFIG = first_config(CA.network, MESH, CA.key).data
"""Config (0, 1), as the CA made the network with it."""


@lru_cache(maxsize=4096)
def certificate(number: int, *, is_ca: bool = False) -> Certificate:
    """The certificate of the machine with that number."""
    return member(CA, f"machine {number}", number + 1, is_ca=is_ca)


@lru_cache(maxsize=4096)
def signer(number: int) -> Ed25519PrivateKey:
    """The key of the machine with that number."""
    return key(f"machine {number}")


@lru_cache(maxsize=4096)
def revocation(number: int) -> bytes:
    """The CA's word that the machine with that number is out."""
    return sign_revocation(CA.network, certificate(number).node_id, CA.key, time=NOW).data
