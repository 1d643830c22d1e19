"""A data plane without a node around it, on a host of the lab: it shows whatever certificate it is given.

Invariant: what happens to it is kept until somebody waits for it, in order.
"""

import select
import socket
import time
from types import TracebackType
from typing import Any, Final, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pulse._dataplane import Dataplane
from pulse.core.trust.ca import Issuer
from pulse.core.trust.identity import mesh_v6, node_id, public_bytes, x509_key
from pulse.core.trust.join import build_showing
from pulse.lab.host import Host
from pulse.store.authority import open_issuer
from tests.e2e.forgery import Wanted
from tests.e2e.mesh import PATIENCE, PORT, Node
from tests.namespace import inside

MESH_V4: Final = "10.100.7.7"


class Rogue:
    """Speaks our protocol, keeps none of our rules."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.address = f"{host.v4.ip}:{PORT}"
        with inside(host.namespace):
            bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        bound.bind((str(host.v4.ip), PORT))
        self.plane = Dataplane(bound.detach())
        self._happened: list[tuple[Any, ...]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.plane.close()

    def shows(self, certificate: Wanted) -> None:
        """Be who this certificate says from now on."""
        self.plane.install_identity([certificate.der()], certificate.key_der)

    def believes(self, issuer: Issuer) -> None:
        """Trust a CA, so that it is only the others who refuse."""
        network, authorities = issuer.network.label, list(issuer.authorities)
        self.plane.install_trust(authorities, network, [], 0.0, build_showing(authorities))

    def waits(self, *kinds: str) -> tuple[Any, ...]:
        """The next thing of one of these kinds that happens."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for place, event in enumerate(self._happened):
                if event[0] in kinds:
                    return self._happened.pop(place)
            self.listens(0.1)
        raise TimeoutError(f"none of {kinds} happened, but {self._happened}")

    def listens(self, seconds: float) -> list[tuple[Any, ...]]:
        """Take in what happens within that time; all that nobody waited for so far."""
        select.select([self.plane.fileno()], [], [], seconds)
        self._happened += self.plane.drain()
        return self._happened


def member_like(ca: Node) -> Wanted:
    """The certificate of a member that the CA knows nothing of, made with its own key: good in all handshakes."""
    issuer, key = open_issuer(ca.host.data), Ed25519PrivateKey.generate()
    name = x509.load_der_x509_certificate(issuer.authority.der).subject
    v6 = mesh_v6(issuer.network, node_id(public_bytes(key)))
    return Wanted(key, x509_key(issuer.signer), name, issuer.network.label, (MESH_V4, str(v6)))
