"""A member that shows something else on the session lane than on its link gets no session: not to ask, not to answer.

Its link was made with a good certificate, so its frames pass; session packets ride in them and are judged by
themselves. A certificate that is none (no EKU, no certificate at all) cannot be shown there from outside: the data plane
refuses to bear it, and no other stack speaks inside our frames.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from pulse.core.messages import encode_call
from pulse.lab.lab import Lab
from pulse.store.authority import open_issuer
from tests.e2e import forgery
from tests.e2e.forgery import Wanted
from tests.e2e.mesh import Node
from tests.e2e.rogue import Rogue, member_like

PING = encode_call("ping", b"hear me")


def of_another_address(good: Wanted) -> Wanted:
    """A true member's, but of another one than its frames come from."""
    return replace(good, addresses=("10.100.9.9", good.addresses[1]))


FORGED: list[tuple[Callable[[Wanted], Wanted], str]] = [
    (forgery.self_signed, "not signed by a trusted CA"),
    (forgery.foreign, "not signed by a trusted CA"),
    (forgery.expired, "its certificate has expired"),
    (forgery.not_yet_valid, "its certificate is not yet valid"),
    (forgery.of_another_network, "it belongs to another network"),
    (of_another_address, "10.100.7.7"),
]


@dataclass(frozen=True, slots=True)
class Scene:
    """A CA and a rogue with a link to it."""

    ca: Node
    rogue: Rogue
    good: Wanted


@pytest.fixture
def scene(lab: Lab) -> Iterator[Scene]:
    ca = Node(lab["a"])
    ca.start("--ca", "--network", "test", "--log-level", "debug")
    with Rogue(lab["b"]) as rogue:
        good = member_like(ca)
        rogue.believes(open_issuer(ca.host.data))
        rogue.shows(good)
        up = rogue.dials(ca)
        assert up[0] == "LinkUp"
        rogue.knows_the_way(up[1], ca.status().node)
        yield Scene(ca, rogue, good)
    assert " ERROR " not in ca.log


def test_one_scene(scene: Scene) -> None:
    ca = scene.ca.status().node
    for forge, reason in FORGED:
        told = len(scene.ca.log)
        scene.rogue.shows(forge(scene.good))
        print(forge.__name__, scene.rogue.asks(ca, PING, 3.0), scene.rogue.listens(0.2))
        scene.rogue._happened.clear()
        print(scene.ca.log[told:])
        print(scene.ca.tries("ping", "10.100.7.7"))
        print(scene.ca.status().peers)
        scene.rogue.plane.close_session(bytes.fromhex(ca.id), "x")
    scene.rogue.shows(scene.good)
    print(scene.rogue.asks(ca, PING, 3.0), scene.rogue.listens(0.2))
    assert 0
