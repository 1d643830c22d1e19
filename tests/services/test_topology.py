"""Topology: every link that counts, once, with the figures routing reckons with."""

import pytest

from pulse.core.facts import LinkDown, LinkSample, LinksSampled, LinkSuspect
from pulse.core.mesh import Mesh
from pulse.core.types import LinkId, NodeId
from pulse.schemas.topology import TopologyLink
from pulse.services.topology import TopologyService
from tests.authority import Ca
from tests.mint import link_up, links_told, member, mesh

CA = Ca()
ME, RELAY, LEFT, RIGHT = (
    member(CA, name, place, host=name) for place, name in enumerate(("me", "relay", "left", "right"), 1)
)
LINK = LinkId(1)


@pytest.fixture
def world() -> Mesh:
    """The relay is our neighbour; it tells of two nodes, which are linked with it and with one another."""
    made = mesh(CA, ME)
    made.happened(link_up(RELAY.node_id, LINK, certificate=RELAY.der), 1.0)
    made.happened(LinksSampled((LinkSample(LINK, 0.01, 0.001, 0.5),)), 1.0)
    links_told(made, LINK, [(RELAY, LEFT), (LEFT, RIGHT)], 1.0)
    return made


async def found(world: Mesh) -> dict[frozenset[NodeId], TopologyLink]:
    said = await TopologyService(world, lambda link: f"type of {link}").topology()
    assert said.nodes[0] == ME.node_id
    ends = [frozenset((NodeId(said.nodes[each.one]), NodeId(said.nodes[each.other]))) for each in said.links]
    assert len(set(ends)) == len(ends)
    return dict(zip(ends, said.links, strict=True))


async def test_links_of_others_are_told_once_and_without_a_type(world: Mesh) -> None:
    links = await found(world)

    assert {*links} == {frozenset(pair) for pair in _pairs()}
    far = links[frozenset((LEFT.node_id, RIGHT.node_id))]
    assert (far.rtt, far.loss, far.link, far.suspect) == (0.03, 0.0, "", False)


async def test_our_own_has_its_type_and_what_we_measured(world: Mesh) -> None:
    own = (await found(world))[frozenset((ME.node_id, RELAY.node_id))]
    assert (own.rtt, own.loss, own.link, own.suspect) == (0.01, 0.5, "type of 1", False)

    world.happened(LinkSuspect(LINK, RELAY.node_id, suspect=True), 2.0)
    assert (await found(world))[frozenset((ME.node_id, RELAY.node_id))].suspect


async def test_a_link_of_ours_that_is_gone_is_not_shown(world: Mesh) -> None:
    world.happened(LinkDown(LINK, RELAY.node_id, "closed"), 2.0)

    assert frozenset((ME.node_id, RELAY.node_id)) not in await found(world)


def _pairs() -> list[tuple[NodeId, NodeId]]:
    return [(ME.node_id, RELAY.node_id), (RELAY.node_id, LEFT.node_id), (LEFT.node_id, RIGHT.node_id)]
