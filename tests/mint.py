"""What the core is told in tests: members with addresses of their own, and the facts of their links."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from random import Random

from pulse.core.facts import ClockRead, LinkUp, MessageReceived, PeerHello
from pulse.core.mesh import Mesh
from pulse.core.messages import Item, NodeRecords, ObjectKind, Objects, encode
from pulse.core.paths.noderecord import Adjacency, sign_record
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.identity import mesh_v6
from pulse.core.trust.revocation import digest_of
from pulse.core.types import LinkId, MeshAddresses, NodeId
from tests.authority import NOW, Ca, key, node

HELLO = PeerHello(version=1, boot=bytes(16), clock=NOW, revocations=digest_of([]), features=0)


class Latest(Random):
    """Randomness that always falls on the end of the window."""

    def uniform(self, a: float, b: float) -> float:
        """The later of both ends."""
        return max(a, b)


def addresses(ca: Ca, machine: str, place: int) -> MeshAddresses:
    """The mesh addresses of a machine, its IPv4 one the `place`th of the range."""
    return MeshAddresses(IPv4Address(ca.mesh[place]), mesh_v6(ca.network, node(machine)))


def member(ca: Ca, machine: str, place: int, **changes: object) -> Certificate:
    """A machine's certificate, with a mesh address nobody else has."""
    return ca.certificate(machine, addresses=addresses(ca, machine, place), **changes)


def mesh(ca: Ca, me: Certificate, random: Random | None = None) -> Mesh:
    """All machines of the node "me" in the network of a CA."""
    return Mesh(me, key("me"), ca.chain, random or Latest(), boot=1, version="1.0")


def link_up(
    who: NodeId,
    link: int,
    *,
    dial: int = 0,
    observed: str = "192.0.2.9:443",
    certificate: bytes = b"",
    boot: bytes = HELLO.boot,
    transport: str = "quic",
) -> LinkUp:
    """A link with a neighbour came up; without `dial` the neighbour made it."""
    return LinkUp(LinkId(link), dial, who, certificate, transport, observed, replace(HELLO, boot=boot))


def links_told(mesh: Mesh, by: LinkId, pairs: Sequence[tuple[Certificate, Certificate]], now: float) -> None:
    """A neighbour passes on the certificates and records of nodes that are linked two by two, 30 ms from each other.

    Each is called by the name its key is made from.
    """
    mesh.happened(ClockRead(NOW), now)
    near: dict[NodeId, list[Certificate]] = {}
    for one, other in pairs:
        near.setdefault(one.node_id, []).append(other)
        near.setdefault(other.node_id, []).append(one)
    nodes = {each.node_id: each for pair in pairs for each in pair}
    certificates = Objects([Item(ObjectKind.CERTIFICATE, each.der) for each in nodes.values()])
    records = NodeRecords([_record(nodes[node], others, int(now * 10)) for node, others in near.items()])
    for message in (certificates, records):
        mesh.happened(MessageReceived(by, encode(message)), now)


def _record(who: Certificate, others: Sequence[Certificate], seq: int) -> bytes:
    neighbours = [Adjacency(each.addresses.v4, 0.03, 0.0) for each in others]
    return sign_record(key(who.host or ""), who, boot=1, seq=seq, neighbours=neighbours).data
