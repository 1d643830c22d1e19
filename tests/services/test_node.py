"""Node service: what the owner of a node may ask of it, and where the answers come from."""

import asyncio
import os
from dataclasses import dataclass, field

import pytest

from pulse import clock
from pulse.core.facts import ChainShown
from pulse.core.mesh import Mesh
from pulse.core.messages import ObjectKind
from pulse.core.network.edits import Edits
from pulse.core.network.netconfig import Config, Settings, SignedConfig, named, sign_config
from pulse.core.trust.authorities import sign_retirement, sign_succession
from pulse.core.trust.ca import BACKDATED, LEAF_LIFETIME, make_authority
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.identity import public_bytes
from pulse.core.trust.members import Naming
from pulse.core.trust.roles import Roles, sign_roles
from pulse.core.types import NodeId
from pulse.core.vitals import DAY
from pulse.errors import LinkError, NotFound, PulseError, Refused
from pulse.schemas.node import NodeIdentity, PingRequest, Status, Stopping
from pulse.schemas.stats import Traffic
from pulse.services.node import NodeService
from pulse.services.status import identity_of
from pulse.services.wholeconfig import WholeConfigService
from tests.authority import MESH, NOW, Ca, key
from tests.mint import member, mesh

CA = Ca()
ME, ALICE = (member(CA, name, place, host=name) for place, name in enumerate(("me", "alice"), 1))

STATUS = Status(True, "All well.", identity_of(ME, ["scribe"]), "1.2.3", 60.0, ":443", "", LEAF_LIFETIME, [], {})


class Statuses:
    """How the mesh looks from here."""

    way = ("quic", "keeper")

    def status(self) -> Status:
        return STATUS

    def identity(self) -> NodeIdentity:
        return STATUS.node

    def way_to(self, node: NodeId) -> tuple[str, str]:
        assert node == ALICE.node_id
        return self.way


@dataclass
class Node:
    """The service on a mesh of its own, and the RPCs it made."""

    refusal: PulseError | None = None
    """What the other node's answer to an RPC is, if it is none."""
    mesh: Mesh = field(default_factory=lambda: mesh(CA, ME))
    calls: list[tuple[NodeId, str, float]] = field(default_factory=list)

    @property
    def service(self) -> NodeService:
        whole = WholeConfigService(self.mesh.statements, self.mesh.members, self.edit)
        return NodeService(self.mesh, self.call, True, Statuses(), whole, lambda: {ME.node_id: Traffic(20, 40)})

    async def edit(self, edits: Edits) -> SignedConfig:
        raise Refused(f"{len(edits.edits)} edits: this node is not the scribe")

    async def call(self, node: NodeId, method: str, _: bytes, timeout: float) -> bytes:
        self.calls.append((node, method, timeout))
        if self.refusal is not None:
            raise self.refusal
        return b""

    def knows(self, *others: Certificate) -> None:
        """These are members of an earlier run."""
        for each in others:
            self.mesh.peer_restored(each, [], now())


def now() -> float:
    return asyncio.get_running_loop().time()


class World:
    """What time it is."""

    now = NOW


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(clock, "wall", lambda: world.now)
    return world


@pytest.fixture
def node() -> Node:
    return Node()


async def test_identity_and_status_are_what_the_mesh_looks_like_from_here(node: Node) -> None:
    assert await node.service.identity() == STATUS.node
    state = await node.service.status()
    assert (state.sentence, state.node, state.network_id) == (STATUS.sentence, STATUS.node, STATUS.node.network)


async def test_a_node_tells_its_certificate_and_how_long_it_holds(node: Node, world: World) -> None:
    world.now += DAY
    told = await node.service.certificate()

    assert (told.id, told.name, told.serial, told.pinned) == (ME.node_id, "me", "7", True)
    assert (told.not_before, told.not_after) == (NOW - BACKDATED, NOW + LEAF_LIFETIME)
    assert told.left == LEAF_LIFETIME - DAY
    assert told.addresses == [str(ME.addresses.v4), str(ME.addresses.v6)]
    assert told.ca_hash == CA.network.ca_hash


async def test_while_the_cas_key_is_replaced_a_node_says_so_and_under_which_it_is(node: Node) -> None:
    following = make_authority(key("next"), CA.network.name, NOW, 2, CA.network.ca_hash)
    said = sign_succession(CA.network, CA.key, following)
    before = await node.service.certificate()
    node.mesh.happened(ChainShown((said,)), 0.0)
    during = await node.service.certificate()
    node.mesh.happened(ChainShown((said, sign_retirement(CA.network, public_bytes(CA.key), key("next")))), 1.0)
    after = await node.service.certificate()

    told = [(each.ca_rotating, each.superseded) for each in (before, during, after)]
    assert told == [(False, False), (True, True), (False, True)]


async def test_the_fleets_certificates_are_told_as_far_as_this_node_has_seen(node: Node, world: World) -> None:
    world.now += 75 * DAY
    fleet = await node.service.certificates()

    assert [each.id for each in fleet if each.reached] == [ME.node_id]
    assert {each.outlook for each in fleet} == {"late"}
    world.now += 20 * DAY
    assert {each.outlook for each in await node.service.certificates()} == {"ended"}


async def test_stop_sets_the_flag_and_names_the_process(node: Node) -> None:
    service = node.service

    service.stays = lambda: "this machine still forwards"
    assert await service.stop() == Stopping(os.getpid(), "this machine still forwards")
    assert service.stopping.is_set()


async def test_ping_asks_the_node_and_answers_with_the_way(node: Node) -> None:
    node.knows(ALICE)
    reply = await node.service.ping(PingRequest("alice", 3.0))

    assert (reply.id, reply.name, reply.v4) == (ALICE.node_id, "alice", str(ALICE.addresses.v4))
    assert (reply.link, reply.via) == Statuses.way
    assert 0 <= reply.rtt < 3
    assert node.calls == [(ALICE.node_id, "ping", 3.0)]


@pytest.mark.parametrize("name", ["me", str(ME.addresses.v4), ME.node_id])
async def test_a_node_does_not_ping_itself(node: Node, name: str) -> None:
    with pytest.raises(Refused, match="me is this node itself"):
        await node.service.ping(PingRequest(name))

    assert node.calls == []


async def test_this_node_and_others_are_called_as_the_config_has_them(node: Node) -> None:
    roles = Roles(1, ME.node_id, 1, scribe_key=ME.public_key)
    wanted = named(Config(1, 2, Settings(str(MESH))), Naming({ALICE.node_id: "web", ME.node_id: "desk"}))
    statements = node.mesh.statements
    statements.object_received(ObjectKind.ROLES, sign_roles(CA.network, roles, CA.key).data)
    statements.object_received(ObjectKind.CONFIG, sign_config(CA.network, wanted, key("me")).data)
    node.knows(ALICE)

    assert (await node.service.certificate()).name == "desk"
    assert (await node.service.ping(PingRequest("web"))).name == "web"
    with pytest.raises(Refused, match="desk is this node itself"):
        await node.service.ping(PingRequest("desk"))


async def test_ping_of_nobody_is_not_found(node: Node) -> None:
    with pytest.raises(NotFound, match="nobody"):
        await node.service.ping(PingRequest("nobody"))


async def test_a_ping_without_an_answer_says_why(node: Node) -> None:
    node.knows(ALICE)
    node.refusal = LinkError("no answer")

    with pytest.raises(LinkError, match="no answer"):
        await node.service.ping(PingRequest("alice"))
