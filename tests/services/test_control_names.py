"""Control service: names and tags as the config has them, and who is asked to change them."""

from dataclasses import dataclass, field

import pytest

from pulse import clock
from pulse.core.messages import ObjectKind
from pulse.core.network.netconfig import Config, Settings, named, sign_config
from pulse.core.trust.members import Naming
from pulse.core.trust.roles import Roles, sign_roles
from pulse.errors import Refused
from pulse.schemas import NameRequest, NodeNaming, Revoked, RevokeRequest, TagRequest
from tests.authority import MESH, NOW, key
from tests.mint import member
from tests.services.test_control import ALICE, BOB, CA, ME, Node

HOME = member(CA, "home", 9, tags=("edge", "prod"))


@dataclass
class Keeper:
    """A scribe that agrees to everything, and remembers it."""

    problem: str = ""
    asked: list[object] = field(default_factory=list)

    async def set_name(self, wanted: NameRequest) -> NodeNaming:
        self.asked.append(wanted)
        return NodeNaming(ALICE.node_id, wanted.name, [], "1.2")

    async def add_tag(self, wanted: TagRequest) -> NodeNaming:
        self.asked.append(("add", wanted))
        return NodeNaming(ALICE.node_id, "alice", [wanted.tag], "1.2")

    async def remove_tag(self, wanted: TagRequest) -> NodeNaming:
        self.asked.append(("remove", wanted))
        return NodeNaming(ALICE.node_id, "alice", [], "1.2")

    async def revoke(self, wanted: RevokeRequest) -> Revoked:
        self.asked.append(wanted)
        return Revoked(ALICE.node_id, "alice", "ca")


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    """A node that knows some others, under a config that names two and tags one."""
    monkeypatch.setattr(clock, "wall", lambda: NOW)
    node = Node()
    names = {ALICE.node_id: "web", ME.node_id: "desk"}
    roles = Roles(1, HOME.node_id, 1, scribe_key=HOME.public_key)
    wanted = named(Config(1, 2, Settings(str(MESH))), Naming(names, {ALICE.node_id: ("infra",)}))
    statements = node.mesh.statements
    statements.object_received(ObjectKind.ROLES, sign_roles(CA.network, roles, CA.key).data)
    statements.object_received(ObjectKind.CONFIG, sign_config(CA.network, wanted, key("home")).data)
    node.mesh.members.naming = statements.naming
    return node


async def test_nodes_are_shown_under_the_names_and_tags_of_the_config(node: Node) -> None:
    node.knows(ALICE, BOB, HOME)
    shown = {row.name: row.tags for row in (await node.control.status()).peers}

    assert shown == {"web": ["infra"], "bob": [], HOME.node_id[:12]: ["edge", "prod"]}
    assert node.control.identity_now().name == "desk"


async def test_what_changes_names_and_tags_is_asked_to(node: Node) -> None:
    keeper, control = Keeper(), node.control
    control.scribe = control.revoker = keeper
    name, tag, revoke = NameRequest("web", "www"), TagRequest("web", "infra"), RevokeRequest("web")

    assert (await control.set_name(name)).name == "www"
    assert (await control.add_tag(tag)).tags == ["infra"]
    assert (await control.remove_tag(tag)).tags == []
    assert (await control.revoke(revoke)).by == "ca"
    assert keeper.asked == [name, ("add", tag), ("remove", tag), revoke]


async def test_a_node_that_is_not_the_scribe_it_was_started_to_be_is_not_well(node: Node) -> None:
    control = node.control
    control.scribe = Keeper("cam-7 is the scribe already")
    status = await control.status()

    assert not status.well
    assert "not the scribe it was started to be: cam-7 is the scribe already" in status.sentence


async def test_a_node_without_the_services_says_so(node: Node) -> None:
    with pytest.raises(Refused, match="keeps no names"):
        await node.control.set_name(NameRequest("web", "www"))
    with pytest.raises(Refused, match="revokes nobody"):
        await node.control.revoke(RevokeRequest("web"))
