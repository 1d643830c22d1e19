"""Status: who is on the LANs of this machine, and what came there."""

from pulse.core.facts import BeaconHeard
from tests.core.paths.calls import datagram
from tests.services.shown import ALICE, BOB, Node


async def test_who_is_on_our_lan_is_told_and_what_came_there() -> None:
    node = Node()
    node.knows(ALICE, BOB)
    node.happened(BeaconHeard(datagram("alice"), "192.168.7.2", on_link=True))
    node.happened(BeaconHeard(b"noise", "192.168.7.3", on_link=True))

    status = node.status()
    assert {row.name: row.lan for row in status.peers} == {"alice": True, "bob": False}
    assert (status.beacons["nodes"], status.beacons["heard"], status.beacons["foreign"]) == (1, 1, 1)
