"""Beacons in one line each, as the machines of a test mesh send them."""

from pulse.core.messages import Beacon
from pulse.core.paths.datagram import write_beacon
from pulse.core.trust.identity import public_bytes
from pulse.core.types import Network
from tests.authority import NOW, Ca, key

CA = Ca()
NONCE = bytes(range(12))
PORT = 8443


def beacon(machine: str, seq: int = 1, boot: int = 1, *, clock: float = NOW, port: int = PORT) -> Beacon:
    """What that machine says."""
    return Beacon(public_bytes(key(machine)), boot, seq, clock, port)


def datagram(
    machine: str,
    seq: int = 1,
    boot: int = 1,
    *,
    clock: float = NOW,
    port: int = PORT,
    network: Network = CA.network,
    signer: str | None = None,
) -> bytes:
    """The same as it goes out, signed by another's key if one is named."""
    return write_beacon(network, beacon(machine, seq, boot, clock=clock, port=port), key(signer or machine), NONCE)
