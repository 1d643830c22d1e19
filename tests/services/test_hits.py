"""Hits by rule: told to who may know of them, of all nodes or of one."""

import pytest
from msgspec import structs

from pulse.errors import LinkError, Refused
from pulse.schemas.policy import HitsQuery, NodeHits
from tests.authority import NOW
from tests.services.counting import RULES, Mesh, mesh
from tests.services.office import CAM, HOME, KEEPER, RELAY

__all__ = ["mesh"]

ALL, HERE = HitsQuery(), HitsQuery(here=True)


async def test_the_scribe_sums_what_all_report_and_tells_operators_the_ca_and_itself(mesh: Mesh) -> None:
    mesh.counted(HOME, r1=5)
    mesh.counted(RELAY, 2, r1=7, r2=1, gone=40)
    mesh.counted(CAM, 1)
    assert await mesh.report() == [True] * 4

    for asked in (HOME, CAM, KEEPER):
        found = await mesh.hits[asked.node_id].hits(ALL)
        first, second, end = found.rules
        assert (found.counted_by, found.here, found.version) == ("home", False, "1.2")
        assert (first.id, first.flows, first.last, first.nodes_count) == ("r1", 12, NOW, 2)
        assert first.nodes == [NodeHits("relay", 7), NodeHits("home", 5)]
        assert (second.flows, end.id, end.flows, end.index) == (1, "", 3, 0)


async def test_who_is_no_operator_is_told_its_own_alone_and_how_to_ask(mesh: Mesh) -> None:
    mesh.counted(RELAY, 2, r1=7)
    with pytest.raises(Refused, match=r"relay .*is no operator.*--here\nMake it one, on the CA: pulse ca grant"):
        await mesh.flows(RELAY)

    own = await mesh.hits[RELAY.node_id].hits(HERE)
    assert ([each.flows for each in own.rules], own.counted_by, own.here) == ([7, 0, 2], "relay", True)


async def test_what_was_counted_for_a_rule_that_is_gone_vanishes_at_once(mesh: Mesh) -> None:
    mesh.counted(CAM, r1=3, r2=4)
    await mesh.report()
    mesh.ruled(1, 3, [RULES[1], structs.replace(RULES[0], id="r3")])
    assert await mesh.flows() == [4, 0, 0]
    await mesh.report()

    assert await mesh.flows() == [4, 0, 0]


async def test_an_unreachable_scribe_is_named_with_the_way_to_see_ones_own(mesh: Mesh) -> None:
    mesh.unreachable.add(HOME.node_id)
    mesh.counted(CAM, r1=3)

    assert await mesh.report(CAM) == [False]
    with pytest.raises(LinkError, match=r"home .*sums the hits.*\nThose of this node: pulse acl hits --here"):
        await mesh.flows(CAM)


async def test_a_network_without_rules_asks_nobody(mesh: Mesh) -> None:
    mesh.ruled(1, 3, [])
    mesh.unreachable.add(HOME.node_id)

    found = await mesh.hits[RELAY.node_id].hits(ALL)

    assert (found.open, found.rules, mesh.calls) == (True, [], [])
