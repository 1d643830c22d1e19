"""Bulk service: whom a pattern fits is changed together, and those a network cannot do without are left."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from pulse.core.network.edits import Edits
from pulse.core.network.naming import NodeNamed, NodeTagged
from pulse.core.network.netconfig import SignedConfig
from pulse.core.network.scribe import Scribe
from pulse.core.trust.identity import node_bytes
from pulse.errors import LinkError, NotFound, PulseError, Refused
from pulse.schemas.bulk import BulkRequest
from pulse.schemas.revoke import Revoked, RevokeRequest
from pulse.services.bulk import BulkService
from tests.authority import NOW, key
from tests.services.office import CAM, HOME, RELAY, Office


@dataclass
class Desk:
    """The scribe `home`, where the relay and the camera are named and the relay wears `edge`."""

    office: Office
    made: list[Edits] = field(default_factory=list)
    out: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        office = self.office
        office.appoint(HOME)
        self.pen = Scribe(HOME.node_id, key("home"), office.statements, office.members, lambda: 0)
        named = [NodeNamed(node_bytes(each.node_id), name) for each, name in ((RELAY, "relay"), (CAM, "cam-7"))]
        office.publish.config(self.pen.edited(Edits([*named, NodeTagged(node_bytes(RELAY.node_id), "edge")]), NOW))

    async def edit(self, edits: Edits) -> SignedConfig:
        self.made.append(edits)
        signed = self.pen.edited(edits, NOW)
        self.office.publish.config(signed)
        return signed

    async def revoke(self, wanted: RevokeRequest) -> Revoked:
        self.out.append(wanted.node_id)
        return Revoked(wanted.node_id, "", "scribe")

    @property
    def service(self) -> BulkService:
        office = self.office
        return BulkService(HOME.node_id, office.statements, office.members, self.edit, self.revoke)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(Office(tmp_path / "data"))


async def test_all_that_fit_and_have_it_not_get_a_tag_in_one_edit(desk: Desk) -> None:
    done = await desk.service.change(BulkRequest("*", "tag", "edge"))

    assert len(desk.made) == 1
    assert RELAY.node_id not in [each.id for each in done.nodes]
    assert {each.name: each.tags for each in done.nodes}["cam-7"] == ["edge"]


async def test_only_who_wears_a_tag_loses_it(desk: Desk) -> None:
    done = await desk.service.change(BulkRequest("*", "untag", "edge"))

    assert [(each.id, each.tags) for each in done.nodes] == [(RELAY.node_id, [])]


async def test_those_a_network_cannot_do_without_are_not_revoked_in_numbers(desk: Desk) -> None:
    await desk.service.change(BulkRequest("*", "revoke"))

    assert sorted(desk.out) == sorted([RELAY.node_id, CAM.node_id])


async def test_who_cannot_be_revoked_is_told_and_the_others_are_out(desk: Desk) -> None:
    async def stubborn(wanted: RevokeRequest) -> Revoked:
        if wanted.node_id == RELAY.node_id:
            raise LinkError("no answer")
        return await desk.revoke(wanted)

    done = await replace(desk.service, revoke=stubborn).change(BulkRequest("*", "revoke"))

    assert ([each.id for each in done.nodes], done.problems) == ([CAM.node_id], {RELAY.node_id: "no answer"})
    assert desk.out == [CAM.node_id]


async def test_a_dry_run_changes_nothing(desk: Desk) -> None:
    done = await desk.service.change(BulkRequest("tag:edge", "revoke", dry_run=True))

    assert ([each.id for each in done.nodes], done.done) == ([RELAY.node_id], False)
    assert (desk.out, desk.made) == ([], [])


@pytest.mark.parametrize(
    ("wanted", "error", "why"),
    [
        (BulkRequest("*", "tag"), Refused, "say the tag"),
        (BulkRequest("*", "revoke", "edge"), Refused, "takes no tag"),
        (BulkRequest("tag:nothing", "tag", "x"), NotFound, "no node has the tag"),
        (BulkRequest("cam-7", "untag", "edge"), NotFound, "anything to change"),
        (BulkRequest("*", "tag", "Not A Tag"), Refused, "cannot be a tag"),
    ],
)
async def test_what_is_mistyped_is_refused_and_changes_nothing(
    desk: Desk, wanted: BulkRequest, error: type[PulseError], why: str
) -> None:
    before = desk.office.statements.config
    with pytest.raises(error, match=why):
        await desk.service.change(wanted)
    assert (desk.office.statements.config, desk.out) == (before, [])
