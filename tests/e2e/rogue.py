"""A data plane without a node around it, on a host of the lab: it shows whatever certificate it is given.

Invariant: what happens to it is kept until somebody waits for it, in order.
"""

import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pulse._dataplane import Dataplane
from pulse.core.trust.ca import Issuer
from pulse.core.trust.identity import mesh_v6, node_id, public_bytes, x509_key
from pulse.core.trust.join import build_showing
from pulse.lab.host import Host
from pulse.lab.lab import Lab
from pulse.schemas import NodeIdentity
from pulse.store.authority import open_issuer
from tests.e2e.forgery import Wanted
from tests.e2e.mesh import PATIENCE, PORT, Node
from tests.namespace import inside, ip

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

    def dials(self, node: Node) -> tuple[Any, ...]:
        """Try to link with a node; what came of it."""
        self.plane.dial(node.underlay, None)
        return self.waits("LinkUp", "DialFailed")

    def knows_the_way(self, link: int, node: NodeIdentity) -> None:
        """Reach that node over the link, and all that is left of the world by way of that node."""
        raw = bytes.fromhex(node.id)
        prefixes = (f"{node.v4}/32", f"{node.v6}/128", "0.0.0.0/0", "::/0")
        self.plane.replace_addresses([(prefix, raw, True, True) for prefix in prefixes])
        self.plane.replace_routes({node.v4: [(link, 1, False)]})

    def attaches(self, *addresses: str) -> None:
        """Make a TUN device on its host with these addresses, which routes all that the cable does not."""
        with inside(self.host.namespace):
            name = self.plane.attach_tun("rogue0")
        ip(self.host.namespace, "link", "set", name, "mtu", "1340", "up")
        for address in addresses:
            ip(self.host.namespace, "address", "add", address, "dev", name)
        for family in ("-4", "-6"):
            ip(self.host.namespace, family, "route", "add", "default", "dev", name)

    def asks(self, node: NodeIdentity, payload: bytes, timeout: float = PATIENCE) -> bytes | None:
        """The answer to an RPC, or None."""
        self.plane.request(bytes.fromhex(node.id), payload, timeout)
        answer: bytes | None = self.waits("Response")[2]
        return answer

    def waits(self, *kinds: str) -> tuple[Any, ...]:
        """The next thing of one of these kinds that happens."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for place, event in enumerate(self._happened):
                if event[0] in kinds:
                    return self._happened.pop(place)
            self.listens(0.1)
        raise TimeoutError(f"none of {kinds} happened, but {self._happened}")

    def forgets(self) -> None:
        """Start anew with what happens from now on."""
        self.listens(0)
        self._happened.clear()

    def listens(self, seconds: float) -> list[tuple[Any, ...]]:
        """Take in what happens within that time; all that nobody waited for so far."""
        select.select([self.plane.fileno()], [], [], seconds)
        self._happened += self.plane.drain()
        return self._happened


@dataclass(frozen=True, slots=True)
class Scene:
    """A CA, and a rogue with a link to it."""

    ca: Node
    rogue: Rogue
    good: Wanted
    """The certificate that link was made with."""

    def asks(self, call: bytes, timeout: float) -> bytes | None:
        """What the rogue hears when it asks the CA."""
        return self.rogue.asks(self.ca.status().node, call, timeout)

    def ends_session(self) -> None:
        """Let the next packet need a new one."""
        self.rogue.plane.close_session(bytes.fromhex(self.ca.status().node.id), "again")


@contextmanager
def infiltrated(lab: Lab) -> Iterator[Scene]:
    """Host a is the CA, host b the rogue that has a link to it."""
    ca = Node(lab["a"])
    ca.start("--ca", "--network", "test", "--log-level", "debug")
    with Rogue(lab["b"]) as rogue:
        good = member_like(ca)
        rogue.believes(open_issuer(ca.host.data))
        rogue.shows(good)
        up = rogue.dials(ca)
        assert up[0] == "LinkUp", up
        rogue.knows_the_way(up[1], ca.status().node)
        yield Scene(ca, rogue, good)
    assert " ERROR " not in ca.log


def member_like(ca: Node) -> Wanted:
    """The certificate of a member that the CA knows nothing of, made with its own key: good in all handshakes."""
    issuer, key = open_issuer(ca.host.data), Ed25519PrivateKey.generate()
    name = x509.load_der_x509_certificate(issuer.authority.der).subject
    v6 = mesh_v6(issuer.network, node_id(public_bytes(key)))
    return Wanted(key, x509_key(issuer.signer), name, issuer.network.label, (MESH_V4, str(v6)))
