"""The network config whole: told as it is, its naming replaced on the very config that was looked at."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pulse.core.network.edits import Edits
from pulse.core.network.naming import NodeNamed, NodeTagged
from pulse.core.network.netconfig import SignedConfig
from pulse.core.network.scribe import Scribe
from pulse.core.network.statements import Statements
from pulse.core.trust.identity import node_bytes
from pulse.core.trust.members import Members
from pulse.errors import ConfigError, Conflict, NotFound, Refused
from pulse.schemas.node import PeerRow, Status
from pulse.schemas.stats import Traffic
from pulse.services.status import identity_of
from pulse.services.wholeconfig import WholeConfigService
from tests.authority import MESH, NOW, key
from tests.services.office import CA, CAM, HOME, RELAY, Office


@dataclass
class Desk:
    """The scribe `home`, which writes its configs to disk."""

    place: Path
    office: Office = field(init=False)
    pen: Scribe = field(init=False)
    service: WholeConfigService = field(init=False)

    def __post_init__(self) -> None:
        self.office = Office(self.place / "home")
        self.office.appoint(HOME)
        self.pen = Scribe(HOME.node_id, key("home"), self.office.statements, self.office.members, lambda: 0)
        self.service = WholeConfigService(self.office.statements, self.office.members, self.edit)

    async def edit(self, edits: Edits) -> SignedConfig:
        signed = self.pen.edited(edits, NOW)
        if signed != self.office.statements.config:
            self.office.publish.config(signed)
        return signed

    async def put(self, wanted: dict[str, Any], base: tuple[int, int] | None = None) -> dict[str, Any]:
        return (await self.service.put(wanted, base))[1]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def test_what_is_told_can_be_put_back_and_changes_nothing(desk: Desk) -> None:
    await desk.edit(Edits([NodeNamed(node_bytes(CAM.node_id), "eye"), NodeTagged(node_bytes(CAM.node_id), "infra")]))
    number, told = await desk.service.get()
    assert told["names"] == {CAM.node_id: "eye"}
    assert told["tags"] == {CAM.node_id: ["infra"]}
    assert told["settings"] == {"mesh_cidr": str(MESH)}

    assert await desk.service.put(told, number) == (number, told)


async def test_names_and_tags_are_replaced_whole_and_in_one_config(desk: Desk) -> None:
    await desk.edit(Edits([NodeNamed(node_bytes(CAM.node_id), "eye"), NodeNamed(node_bytes(HOME.node_id), "desk")]))
    number, _ = await desk.service.get()

    swapped = {"names": {CAM.node_id: "desk", HOME.node_id: "eye"}, "tags": {RELAY.node_id: ["infra", "relay"]}}
    after, told = await desk.service.put(swapped, number)

    assert after == (1, number[1] + 1)
    assert (told["names"], told["tags"]) == (swapped["names"], swapped["tags"])
    assert await desk.put({"names": {}}) == {**told, "generation": after[1] + 1, "names": {}}


async def test_a_config_that_was_edited_meanwhile_is_left_alone(desk: Desk) -> None:
    number, _ = await desk.service.get()
    await desk.edit(Edits([NodeNamed(node_bytes(CAM.node_id), "eye")]))

    with pytest.raises(Conflict, match="nothing is changed"):
        await desk.put({"names": {}}, number)
    assert (await desk.service.get())[1]["names"] == {CAM.node_id: "eye"}


@pytest.mark.parametrize(
    ("wanted", "error", "said"),
    [
        ({"nmaes": {}}, ConfigError, "nmaes"),
        ({"names": []}, ConfigError, "names"),
        ({"names": {"home": "desk"}}, ConfigError, "names"),
        ({"names": {HOME.node_id: 7}}, ConfigError, "names"),
        ({"tags": {HOME.node_id: ["a"] * 1000}}, ConfigError, "tags"),
        ({"names": {HOME.node_id: "Not A Name"}}, Refused, "cannot name a node"),
        ({"names": {HOME.node_id: "\x1b[2J"}}, Refused, "cannot name a node"),
        ({"tags": {HOME.node_id: ["not a tag"]}}, Refused, "cannot be a tag"),
        ({"tags": {HOME.node_id: ["a", "a"]}}, Refused, "one tag twice"),
        ({"names": {HOME.node_id: "eye", RELAY.node_id: "eye"}}, Conflict, "eye would be the name of"),
        ({"names": {HOME.node_id: "cam-7"}}, Conflict, "cam-7 would be the name of"),
        ({"names": {"0" * 64: "ghost"}}, NotFound, "no node 000000000000"),
        ({"acl": [{"id": "r1"}]}, Refused, "acl is not replaced as a whole"),
        ({"settings": {"mesh_cidr": "10.0.0.0/8"}}, Refused, "settings is not replaced as a whole"),
    ],
)  # fmt: skip
async def test_what_cannot_be_so_changes_nothing(
    desk: Desk, wanted: dict[str, Any], error: type[Exception], said: str
) -> None:
    before = await desk.service.get()

    with pytest.raises(error, match=said):
        await desk.put({"names": {CAM.node_id: "eye"}, **wanted})
    assert await desk.service.get() == before


async def test_a_revoked_node_is_in_no_config_that_is_told(desk: Desk) -> None:
    await desk.edit(Edits([NodeNamed(node_bytes(CAM.node_id), "eye")]))
    desk.office.revoke(CAM)

    _, told = await desk.service.get()
    assert told["names"] == {}
    await desk.put({"names": {HOME.node_id: "eye"}})


async def test_before_a_config_came_there_is_none_to_tell() -> None:
    statements = Statements(CA.chain, frozenset, lambda _: None)

    async def edit(_: Edits) -> SignedConfig:
        raise Refused("nothing to edit")

    with pytest.raises(Refused, match="has not got the network's config yet"):
        await WholeConfigService(statements, Members(), edit).get()


async def test_the_state_tells_what_ca_and_scribe_said(desk: Desk) -> None:
    await desk.edit(Edits([NodeNamed(node_bytes(CAM.node_id), "eye"), NodeTagged(node_bytes(CAM.node_id), "infra")]))
    desk.office.revoke(RELAY)
    row = PeerRow(CAM.node_id, "eye", "", "", [], "-", "", None, None, None, False, None, "", "", 10, 20)
    status = Status(True, "All well.", identity_of(HOME), "1", 1.0, ":443", "", 1.0, [row, row], {})

    state = desk.service.state(status, {HOME.node_id: Traffic(20, 40)})

    assert (state.sentence, state.peers) == (status.sentence, status.peers)
    assert state.stats == {HOME.node_id: Traffic(20, 40)}
    assert state.revoked_ids == [RELAY.node_id]
    assert {node: (meta.name, meta.tags) for node, meta in state.node_meta.items()} == {CAM.node_id: ("eye", ["infra"])}
    assert (state.scribe_id, state.network_id, state.mesh_cidr) == (HOME.node_id, CA.network.name, str(MESH))
