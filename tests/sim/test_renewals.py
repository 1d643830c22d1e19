"""Certificates are renewed: all hear of the next one and see it on links made anew, and nobody is ever out of reach."""

from itertools import permutations

import pytest

from pulse.core.facts import IdentityRenewed
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.renewal import SHOWN_MOST
from pulse.core.types import LinkId
from tests.authority import NOW
from tests.mint import member
from tests.sim.identities import CA
from tests.sim.meshes import Mesh, mesh, reach
from tests.sim.node import SimNode

SEEDS = range(5)

CROSSING = 0.1
"""Seconds for the hello that makes a link whole: what follows it on its way arrives, which a look in between misses."""


def following(node: SimNode) -> Certificate:
    """The node's next certificate, from its CA."""
    return member(CA, f"machine {node.number}", node.number + 1, is_ca=node.is_ca, not_before=NOW - 1800)


def renew(node: SimNode) -> None:
    """The CA gave it that one, and handshakes show it."""
    node.running.tell(IdentityRenewed(following(node).der))


def links_dialled(here: Mesh) -> set[tuple[str, LinkId]]:
    """All links, each by the name of its dialler and its number there."""
    return {
        (node.name, each.link) for node in here.nodes for each in node.running.mesh.neighbours.links() if each.dialled
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_the_next_certificates_of_all_spread_and_every_link_is_made_anew_without_a_gap(seed: int) -> None:
    here = mesh(seed, relays=2, members=5)
    before = links_dialled(here)
    for node in here.nodes:
        renew(node)
    for _ in range(int(SHOWN_MOST) + 15):
        here.world.run(1)
        here.world.until(lambda: reach(*here.nodes), within=CROSSING)

    for one, other in permutations(here.nodes, 2):
        known = one.running.mesh.members.get(other.id)
        assert known == following(other)
    assert before
    assert before & links_dialled(here) == set()


@pytest.mark.parametrize("seed", SEEDS)
def test_one_node_that_renews_has_no_link_of_others_made_anew(seed: int) -> None:
    here = mesh(seed, relays=2, members=5)
    alone = here.members[0]
    mine = {each.node for each in alone.running.mesh.neighbours.links()}
    before = {
        (node.name, each.link)
        for node in here.nodes
        for each in node.running.mesh.neighbours.links()
        if each.dialled and alone.id not in (node.id, each.node)
    }
    renew(alone)
    here.world.run(SHOWN_MOST + 15)

    assert mine
    assert before <= links_dialled(here)
