"""A member that sends packets it has no right to send, sealed as they should be: the far end drops and counts them.

An honest node would not even send them, so the sender is a bare data plane with a TUN device and no judgement.
"""

import pytest

from tests.e2e.mesh import Node
from tests.e2e.rogue import MESH_V4, Scene

LIES = ("10.100.200.201", "192.0.2.77", "fd00::77")


@pytest.fixture(scope="module")
def armed(scene: Scene) -> Node:
    """The rogue with a TUN device, which sends the CA whatever it is given."""
    scene.rogue.attaches(f"{MESH_V4}/32", f"{scene.good.addresses[1]}/128", *LIES)
    return Node(scene.rogue.host)


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_its_own_address_is_answered(armed: Node, scene: Scene, family: str) -> None:
    assert armed.pings(getattr(scene.ca, family)).code == 0


@pytest.mark.parametrize("lie", LIES)
def test_any_other_source_is_dropped_and_counted(armed: Node, scene: Scene, lie: str) -> None:
    there = scene.ca.v6 if ":" in lie else scene.ca.v4

    assert scene.ca.dropped("spoofed_source", lambda: armed.shouts(there, "-I", lie), 3) == 3


@pytest.mark.parametrize("elsewhere", ["10.100.200.200", "203.0.113.9", "2001:db8::9"])
def test_a_destination_that_is_not_ours_is_dropped_and_counted(armed: Node, scene: Scene, elsewhere: str) -> None:
    own = scene.good.addresses[":" in elsewhere]

    assert scene.ca.dropped("foreign_destination", lambda: armed.shouts(elsewhere, "-I", own), 3) == 3


def test_an_address_of_the_cas_host_that_is_not_of_the_mesh_is_not_reached(armed: Node, scene: Scene) -> None:
    """The mesh is no way into the other networks of a node."""
    scene.ca.host.run(["ip", "address", "add", "192.0.2.1/32", "dev", "lo"])

    assert scene.ca.dropped("foreign_destination", lambda: armed.shouts("192.0.2.1", "-I", MESH_V4), 3) == 3
