"""Edits service: made here on the scribe, sent to it elsewhere, answered once the config is in force here."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pulse.core.messages import ObjectKind, pack
from pulse.core.network.edits import Edits
from pulse.core.network.naming import NodeTagged
from pulse.core.network.netconfig import SignedConfig
from pulse.core.network.scribe import Scribe
from pulse.core.trust.identity import node_bytes
from pulse.core.types import NodeId
from pulse.errors import Conflict, LinkError, ProtocolError, Refused
from pulse.schemas.names import NameRequest, NodeNaming, TagRequest
from pulse.services import edits as module
from pulse.services.edits import EditsService
from tests.authority import NOW, key
from tests.services.office import CAM, HOME, KEEPER, RELAY, Office

INFRA = Edits([NodeTagged(node_bytes(CAM.node_id), "infra")])


@dataclass
class Two:
    """The scribe `home`, and the node `relay` at which people type."""

    place: Path
    reachable: bool = True
    delivered: bool = True
    """What the scribe makes gets to `relay`, a moment later."""
    home: Office = field(init=False)
    relay: Office = field(init=False)
    scribe: EditsService = field(init=False)
    typed_at: EditsService = field(init=False)

    def __post_init__(self) -> None:
        self.home, self.relay = Office(self.place / "home"), Office(self.place / "relay")
        pen = Scribe(HOME.node_id, key("home"), self.home.statements, self.home.members, lambda: 0)

        async def write(edits: Edits, _: NodeId) -> SignedConfig:
            signed = pen.edited(edits, NOW)
            self.home.publish.config(signed)
            return signed

        self.scribe = self.service(self.home, HOME.node_id, write)
        self.typed_at = self.service(self.relay, RELAY.node_id, self.elsewhere)

    def service(self, office: Office, me: NodeId, write: object) -> EditsService:
        return EditsService(me, office.statements, office.members, office.ca_nodes, write, self.call)  # type: ignore[arg-type]

    async def elsewhere(self, edits: Edits, by: NodeId) -> SignedConfig:
        raise Refused(f"{by[:4]} is not the scribe ({len(edits.edits)} edits)")

    async def call(self, who: NodeId, method: str, body: bytes, _: float) -> bytes:
        assert (who, method) == (HOME.node_id, "config.edit")
        if not self.reachable:
            raise LinkError("no link leads there")
        answer = await self.scribe.answer(RELAY.node_id, body)
        if self.delivered:
            asyncio.get_running_loop().call_soon(self.deliver)
        return answer

    def deliver(self) -> None:
        config = self.home.statements.config
        assert config is not None
        self.relay.hear(config.data)
        self.typed_at.changed()

    def appoint(self, *operators: NodeId) -> None:
        for office in (self.home, self.relay):
            office.appoint(HOME, operators=frozenset(operators))


@pytest.fixture
def two(tmp_path: Path) -> Two:
    two = Two(tmp_path)
    two.appoint(RELAY.node_id)
    return two


async def test_an_operators_edit_is_made_by_the_scribe_and_seen_where_it_was_typed(two: Two) -> None:
    told = await two.typed_at.set_name(NameRequest("cam-7", "eye"))
    await two.typed_at.add_tag(TagRequest("eye", "video"))

    assert told == NodeNaming(CAM.node_id, "eye", [], "1.2")
    assert two.relay.statements.naming() == two.home.statements.naming()
    assert two.home.told == [ObjectKind.CONFIG] * 2
    assert two.home.store.load_config().data == two.relay.statements.config.data  # type: ignore[union-attr]


async def test_the_scribes_refusal_is_heard_in_its_own_words(two: Two) -> None:
    await two.typed_at.set_name(NameRequest("cam-7", "eye"))
    with pytest.raises(Conflict, match="eye is the name of"):
        await two.typed_at.set_name(NameRequest("relay", "eye"))


async def test_who_is_no_operator_is_told_where_to_go_and_nobody_is_asked(two: Two) -> None:
    two.appoint()
    with pytest.raises(Refused, match="is not the scribe"):
        await two.typed_at.edit(INFRA)
    assert two.home.told == []


async def test_the_scribe_takes_no_edits_of_who_is_no_operator(two: Two) -> None:
    two.appoint()
    with pytest.raises(Refused, match=rf"relay .* is no operator.*\n.*pulse ca grant {RELAY.node_id[:12]} operator"):
        await two.scribe.answer(RELAY.node_id, pack(INFRA))
    assert two.home.told == []


async def test_the_ca_makes_operators_and_is_as_good_as_one(two: Two) -> None:
    two.appoint()
    await two.scribe.answer(KEEPER.node_id, pack(INFRA))
    assert two.home.told == [ObjectKind.CONFIG]


async def test_nonsense_from_an_operator_changes_nothing(two: Two) -> None:
    with pytest.raises(ProtocolError):
        await two.scribe.answer(RELAY.node_id, b"\xc1")
    assert two.home.told == []


async def test_a_scribe_out_of_reach_is_named_and_what_to_do(two: Two) -> None:
    two.reachable = False
    with pytest.raises(LinkError, match=r"home \(.*\) is the scribe.*no link leads there.*\n.*look before"):
        await two.typed_at.edit(INFRA)


async def test_a_config_that_does_not_come_here_is_said_to_be_made(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLIENT_PATIENCE", 0.01)
    two.delivered = False
    with pytest.raises(LinkError, match=r"the scribe made this change \(network config 1\.2\)"):
        await two.typed_at.edit(INFRA)
    assert two.home.told == [ObjectKind.CONFIG]


async def test_of_two_who_edit_the_same_config_one_is_told_of_the_other(two: Two) -> None:
    config = two.relay.statements.config
    assert config is not None
    first, second = (
        Edits([NodeTagged(node_bytes(CAM.node_id), tag)], base=config.number) for tag in ("infra", "video")
    )
    await two.typed_at.edit(first)

    with pytest.raises(Conflict, match=r"is 1\.2 by now, and this edit was made for 0\.1"):
        await two.typed_at.edit(second)
    assert two.home.statements.naming().tags == {CAM.node_id: ("infra",)}
