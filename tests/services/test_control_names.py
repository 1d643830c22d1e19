"""Control service: names and tags as the config has them, and who is asked to change them."""

import pytest

from pulse import clock
from pulse.core.messages import ObjectKind
from pulse.core.network.netconfig import Config, Settings, named, sign_config
from pulse.core.trust.members import Naming
from pulse.core.trust.roles import Roles, sign_roles
from pulse.errors import Refused
from pulse.schemas import NameRequest, PingRequest, RevokeRequest, RoleRequest, TagRequest
from tests.authority import MESH, NOW, key
from tests.mint import member
from tests.services.test_control import ALICE, CA, KEEPER, ME, Node

HOME = member(CA, "home", 9)


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    """A node under a config that names it and two others."""
    monkeypatch.setattr(clock, "wall", lambda: NOW)
    node = Node()
    names = {ALICE.node_id: "web", ME.node_id: "desk", KEEPER.node_id: "safe"}
    roles = Roles(1, HOME.node_id, 1, scribe_key=HOME.public_key)
    wanted = named(Config(1, 2, Settings(str(MESH))), Naming(names))
    statements = node.mesh.statements
    statements.object_received(ObjectKind.ROLES, sign_roles(CA.network, roles, CA.key).data)
    statements.object_received(ObjectKind.CONFIG, sign_config(CA.network, wanted, key("home")).data)
    return node


async def test_this_node_and_others_are_called_as_the_config_has_them(node: Node) -> None:
    node.knows(ALICE)

    assert (await node.control.certificate()).name == "desk"
    assert (await node.control.ping(PingRequest("web"))).name == "web"
    with pytest.raises(Refused, match="desk is this node itself"):
        await node.control.ping(PingRequest("desk"))


async def test_a_member_names_the_ca_as_the_config_has_it(node: Node) -> None:
    node.knows(KEEPER)
    with pytest.raises(Refused, match=r"Run it on safe\.$"):
        await node.control.ca_verify()


async def test_what_changes_names_tags_and_members_is_asked_to(node: Node) -> None:
    control = node.control
    name, tag, revoke = NameRequest("web", "www"), TagRequest("web", "infra"), RevokeRequest("web")
    role = RoleRequest("web", "operator")

    assert (await control.set_name(name)).name == "www"
    assert (await control.add_tag(tag)).tags == ["infra"]
    assert (await control.remove_tag(tag)).tags == []
    assert (await control.revoke(revoke)).by == "ca"
    assert (await control.roles()) == await control.grant(role) == await control.ungrant(role)
    assert node.beside.asked == [name, ("add", tag), ("remove", tag), revoke, ("grant", role), ("ungrant", role)]
