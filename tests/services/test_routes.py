"""Routes on one node: what others offer, who approved it, and what this node uses."""

import pytest

from pulse.core.network.edits import Edits
from pulse.core.network.routes import Route
from pulse.core.network.sections import RoutesReplaced
from pulse.core.trust.identity import node_bytes
from pulse.errors import Conflict, NotFound, Refused
from pulse.schemas.routes import RouteRef, RouteRequest
from pulse.services.routes import RoutesService
from tests.core.meshing import ALICE, BOB
from tests.services.test_acls import Desk

LAN = "192.168.7.0/24"


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def service(desk: Desk) -> RoutesService:
    return RoutesService(desk.node.mesh, desk.edit)


async def test_a_route_is_stated_listed_and_taken_away(service: RoutesService) -> None:
    made = await service.add(RouteRequest("alice", LAN, "10.7.7.0/24"))

    (row,) = await service.all()
    assert (made.cidr, row.name, row.cidr, row.behind) == ("10.7.7.0/24", "alice", "10.7.7.0/24", LAN)
    assert (row.offered, row.by, row.state, row.through) == (False, "scribe", "approved", "")
    await service.remove(RouteRef("10.7.7.0/24"))
    assert await service.all() == []


async def test_only_what_is_offered_or_stated_can_be_approved(desk: Desk, service: RoutesService) -> None:
    with pytest.raises(NotFound, match="no node offers"):
        await service.approve(RouteRef(LAN))

    desk.write(Edits([RoutesReplaced([Route(node_bytes(each.node_id), LAN) for each in (ALICE, BOB)], {})]))
    assert [each.state for each in await service.all()] == ["offered", "offered"]
    with pytest.raises(Conflict, match="several nodes lead to 192"):
        await service.approve(RouteRef(LAN))
    await service.approve(RouteRef(LAN, "bob"))
    assert {each.name: each.state for each in await service.all()} == {"alice": "offered", "bob": "approved"}


async def test_what_no_node_can_lead_to_is_refused(service: RoutesService) -> None:
    for cidr in ("169.254.169.254/32", "10.100.3.0/24", "10.0.0.0/8", "nonsense"):
        with pytest.raises(Refused):
            await service.add(RouteRequest("alice", cidr))
        with pytest.raises(Refused):
            await service.approve(RouteRef(cidr))
