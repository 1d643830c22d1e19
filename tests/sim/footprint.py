"""What one node keeps of each other node it knows: a whole mesh, weighed before and after it heard of them all.

Invariant: nothing weighed is shared with the test: certificates and records come as bytes, through the mesh's door.
"""

import gc
import tracemalloc
from collections.abc import Sequence
from random import Random

from pulse.core import messages
from pulse.core.facts import ClockRead, LinkUp, MessageReceived, PeerHello
from pulse.core.mesh import Mesh
from pulse.core.messages import Item, NodeRecords, ObjectKind, Objects
from pulse.core.trust.join import Floors
from pulse.core.types import LinkId
from tests.authority import NOW
from tests.sim import face, identities

PACE = 100
"""Certificates, then records, told in a second: well under what a neighbour may send."""

LINK = LinkId(1)
HELLO = PeerHello(1, bytes(16), NOW, bytes(32), 0)


def memory_of_a_peer(records: Sequence[bytes]) -> float:
    """Kilobytes for each of the nodes that made these records: certificate, record, graph, routes, tables."""
    ders = [bytes(bytearray(identities.certificate(number).der)) for number in range(len(records))]
    me = len(records)
    mesh = face.build(me, Random(1), boot=1, floors=Floors(), is_ca=False)
    mesh.happened(ClockRead(NOW), 0.0)
    neighbour = identities.certificate(0)
    mesh.happened(LinkUp(LINK, 0, neighbour.node_id, neighbour.der, "quic", "192.0.2.1:443", HELLO), 0.0)
    now = _let_pass(mesh, 0.0, 5.0)
    gc.collect()
    tracemalloc.start()
    for at in range(0, len(records), PACE):
        told = [Item(ObjectKind.CERTIFICATE, der) for der in ders[at : at + PACE]]
        _hears(mesh, Objects(told), now)
        now = _let_pass(mesh, now, 1.0)
        _hears(mesh, NodeRecords([*records[at : at + PACE]]), now)
        now = _let_pass(mesh, now, 1.0)
    _let_pass(mesh, now, 30.0)
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    if len(mesh.gossip.records()) < len(records):
        raise AssertionError(f"only {len(mesh.gossip.records())} of {len(records)} records were taken")
    return held / len(records) / 1000


def _hears(mesh: Mesh, message: messages.Wire, now: float) -> None:
    mesh.happened(MessageReceived(LINK, messages.encode(message)), now)


def _let_pass(mesh: Mesh, now: float, seconds: float) -> float:
    """Wake the mesh whenever it wants to be; what it asks for is not done."""
    end = now + seconds
    while (due := mesh.deadline()) is not None and due <= end:
        now = max(now, due)
        mesh.tick(now)
    return end
