"""Control service: what the owner of a node may ask, and where the answers come from."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pulse import clock, eventschemas, pathschemas, schemas
from pulse.core.health import DAY
from pulse.core.mesh import Mesh
from pulse.core.network.edits import Edits
from pulse.core.network.netconfig import SignedConfig
from pulse.core.trust.ca import BACKDATED, LEAF_LIFETIME
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.invites import decode_invite
from pulse.core.trust.join import Floors
from pulse.core.trust.tokens import parse_token
from pulse.core.types import NodeId
from pulse.errors import LinkError, NotFound, PulseError, Refused
from pulse.schemas import PingRequest, TokenRequest
from pulse.scribeschemas import ApiKeyRequest
from pulse.services.apikeys import ApiKeysService
from pulse.services.ca import CaService
from pulse.services.control import ControlService
from pulse.services.status import identity_of
from pulse.services.tokens import INVITE_TTL, TokensService
from pulse.services.wholeconfig import WholeConfigService
from pulse.store.authority import HeldCa
from pulse.store.files import open_data_dir
from pulse.store.ledger import Ledger
from tests.api.fake_acls import FakeAcls, FakeHits
from tests.api.fake_configs import FakeFile, FakeTemplates
from tests.api.fake_control import FakeBulk, FakeRotation
from tests.authority import NOW, Ca, request, secret
from tests.fakes import FakeLinks
from tests.mint import member, mesh

CA = Ca()
ME, ALICE = (member(CA, name, place, host=name) for place, name in enumerate(("me", "alice"), 1))
KEEPER = member(CA, "keeper", 5, host="keeper", is_ca=True)
HERE = "192.0.2.1:443"


STATUS = schemas.Status(
    True, "All well.", identity_of(ME, ["scribe"]), "1.2.3", 60.0, ":443", "", LEAF_LIFETIME, [], {}
)
REASON = pathschemas.Why(
    "direct", "", "", *[pathschemas.WhyEnd("", "", True, "", "", "", None, 0, "", 0, [], None, "", 0, [])] * 2
)
TRACE = pathschemas.Trace(ALICE.node_id, "alice", str(ALICE.addresses.v4), [], 0.01, "")


PINNED = schemas.PinInfo(ALICE.node_id, "alice", "keeper", "", direct=False, followed=True, problem="")

ROLES = schemas.RolesInfo(2, 1, [schemas.NodeRole(ALICE.node_id, "alice", "scribe", "")])


EVENTS = eventschemas.Events([], "", 0)
CHECK = schemas.JournalCheck(7, None, "")
MOMENT = eventschemas.Moment(1.0, "me", "running", 1.0, None, "", [], [])


class Beside:
    """The services that tell how the mesh looks, and agree to every change of names, tags and members."""

    way = ("quic", "keeper")

    def __init__(self) -> None:
        self.asked: list[object] = []

    def status(self) -> schemas.Status:
        return STATUS

    def identity(self) -> schemas.NodeIdentity:
        return STATUS.node

    def way_to(self, node: NodeId) -> tuple[str, str]:
        assert node == ALICE.node_id
        return self.way

    async def trace(self, wanted: pathschemas.TraceRequest) -> pathschemas.Trace:
        assert wanted == pathschemas.TraceRequest("alice", 2.0)
        return TRACE

    async def why(self, wanted: pathschemas.WhyRequest) -> pathschemas.Why:
        assert wanted == pathschemas.WhyRequest("alice")
        return REASON

    async def set_name(self, wanted: schemas.NameRequest) -> schemas.NodeNaming:
        self.asked.append(wanted)
        return schemas.NodeNaming(ALICE.node_id, wanted.name, [], "1.2")

    async def add_tag(self, wanted: schemas.TagRequest) -> schemas.NodeNaming:
        self.asked.append(("add", wanted))
        return schemas.NodeNaming(ALICE.node_id, "alice", [wanted.tag], "1.2")

    async def remove_tag(self, wanted: schemas.TagRequest) -> schemas.NodeNaming:
        self.asked.append(("remove", wanted))
        return schemas.NodeNaming(ALICE.node_id, "alice", [], "1.2")

    async def roles(self) -> schemas.RolesInfo:
        return ROLES

    async def grant(self, wanted: schemas.RoleRequest) -> schemas.RolesInfo:
        self.asked.append(("grant", wanted))
        return ROLES

    async def ungrant(self, wanted: schemas.RoleRequest) -> schemas.RolesInfo:
        self.asked.append(("ungrant", wanted))
        return ROLES

    async def revoke(self, wanted: schemas.RevokeRequest) -> schemas.Revoked:
        self.asked.append(wanted)
        return schemas.Revoked(ALICE.node_id, "alice", "ca")

    async def events(self, wanted: eventschemas.EventsQuery) -> eventschemas.Events:
        self.asked.append(wanted)
        return EVENTS

    async def verify(self) -> schemas.JournalCheck:
        return CHECK

    async def at(self, wanted: eventschemas.MomentQuery) -> eventschemas.Moment:
        self.asked.append(wanted)
        return MOMENT

    async def pin(self, wanted: schemas.PinRequest) -> schemas.PinInfo:
        self.asked.append(wanted)
        return PINNED

    async def unpin(self, wanted: schemas.UnpinRequest) -> schemas.PinInfo:
        self.asked.append(wanted)
        return PINNED


@dataclass
class Node:
    """A control service on a mesh of its own, and the RPCs it made."""

    ca: CaService | None = None
    refusal: PulseError | None = None
    """What the other node's answer to an RPC is, if it is none."""
    mesh: Mesh = field(default_factory=lambda: mesh(CA, ME))
    calls: list[tuple[NodeId, str, float]] = field(default_factory=list)
    beside: Beside = field(default_factory=Beside)
    keys: ApiKeysService = field(default_factory=lambda: ApiKeysService(Path("/nonexistent")))

    @property
    def control(self) -> ControlService:
        """The service."""
        beside = self.beside
        mesh = self.mesh
        tokens = TokensService(ME.node_id, mesh.statements, mesh.members, mesh.ca_nodes, self.ca, self.call)
        around = (beside, beside, beside, beside, beside, beside, beside, beside)
        whole = WholeConfigService(mesh.statements, mesh.members, self.edit)
        further = (FakeAcls([]), FakeBulk([]), self.keys, whole, FakeFile([]), FakeTemplates([]), FakeHits([]))
        return ControlService(mesh, self.call, True, self.ca, tokens, *around, *further, FakeRotation())

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
def member_node() -> Node:
    return Node()


@pytest.fixture
def ca_node(tmp_path: Path, world: World) -> Iterator[Node]:
    with Ledger.create(open_data_dir(tmp_path / "ca") / "ledger.sqlite", CA.network, NOW) as ledger:
        yield Node(
            CaService(FakeLinks(), HeldCa(CA.issuer, ledger), lambda: Floors(1, 0, 1), lambda: True, lambda: (HERE,))
        )


# This node


async def test_what_the_services_beside_it_know_is_passed_on(member_node: Node) -> None:
    control = member_node.control

    assert await control.identity() == STATUS.node
    state = await control.status()
    assert (state.sentence, state.node, state.network_id) == (STATUS.sentence, STATUS.node, STATUS.node.network)
    assert await control.trace(pathschemas.TraceRequest("alice", 2.0)) == TRACE
    assert await control.why(pathschemas.WhyRequest("alice")) == REASON
    pin, unpin = schemas.PinRequest("alice", "keeper"), schemas.UnpinRequest("alice")
    assert (await control.pin(pin), await control.unpin(unpin)) == (PINNED, PINNED)
    assert member_node.beside.asked == [pin, unpin]


async def test_keys_to_the_api_are_made_listed_and_revoked(member_node: Node, tmp_path: Path) -> None:
    member_node.keys = ApiKeysService(open_data_dir(tmp_path / "keys"))
    control = member_node.control

    made = await control.create_api_key(ApiKeyRequest("grafana"))

    assert await control.list_api_keys() == [made.info]
    assert await control.revoke_api_key("grafana") == made.info
    assert await control.list_api_keys() == []


async def test_a_node_tells_its_certificate_and_how_long_it_holds(member_node: Node, world: World) -> None:
    world.now += DAY
    told = await member_node.control.certificate()

    assert (told.id, told.name, told.serial, told.pinned) == (ME.node_id, "me", "7", True)
    assert (told.not_before, told.not_after) == (NOW - BACKDATED, NOW + LEAF_LIFETIME)
    assert told.left == LEAF_LIFETIME - DAY
    assert told.addresses == [str(ME.addresses.v4), str(ME.addresses.v6)]
    assert told.ca_hash == CA.network.ca_hash


async def test_the_fleets_certificates_are_told_as_far_as_this_node_has_seen(member_node: Node, world: World) -> None:
    world.now += 75 * DAY
    fleet = await member_node.control.certificates()

    assert [each.id for each in fleet if each.reached] == [ME.node_id]
    assert {each.outlook for each in fleet} == {"late"}
    world.now += 20 * DAY
    assert {each.outlook for each in await member_node.control.certificates()} == {"ended"}


async def test_stop_sets_the_flag_and_names_the_process(member_node: Node) -> None:
    control = member_node.control

    assert (await control.stop()).pid == os.getpid()
    assert control.stopping.is_set()


# Ping


async def test_ping_asks_the_node_and_answers_with_the_way(member_node: Node) -> None:
    member_node.knows(ALICE)
    reply = await member_node.control.ping(PingRequest("alice", 3.0))

    assert (reply.id, reply.name, reply.v4) == (ALICE.node_id, "alice", str(ALICE.addresses.v4))
    assert (reply.link, reply.via) == Beside.way
    assert 0 <= reply.rtt < 3
    assert member_node.calls == [(ALICE.node_id, "ping", 3.0)]


@pytest.mark.parametrize("name", ["me", str(ME.addresses.v4), ME.node_id])
async def test_a_node_does_not_ping_itself(member_node: Node, name: str) -> None:
    with pytest.raises(Refused, match="me is this node itself"):
        await member_node.control.ping(PingRequest(name))

    assert member_node.calls == []


async def test_ping_of_nobody_is_not_found(member_node: Node) -> None:
    with pytest.raises(NotFound, match="nobody"):
        await member_node.control.ping(PingRequest("nobody"))


async def test_a_ping_without_an_answer_says_why(member_node: Node) -> None:
    member_node.knows(ALICE)
    member_node.refusal = LinkError("no answer")

    with pytest.raises(LinkError, match="no answer"):
        await member_node.control.ping(PingRequest("alice"))


# Tokens and journal


async def test_a_token_is_made_on_the_terms_asked_for(ca_node: Node) -> None:
    made = await ca_node.control.create_token(TokenRequest(60.0, 1, ["db"], "db-1"))

    assert parse_token(made.token).ca_hash == CA.network.ca_hash
    assert (made.info.created, made.info.expires, made.info.max_uses, made.info.uses) == (NOW, NOW + 60, 1, 0)
    assert (made.info.tags, made.info.name, made.info.master, made.info.state) == (["db"], "db-1", False, "good")
    assert await ca_node.control.list_tokens() == [made.info]


async def test_an_invite_is_good_for_one_hour_and_one_machine_unless_said_otherwise(ca_node: Node) -> None:
    usual = await ca_node.control.invite(TokenRequest())
    asked = await ca_node.control.invite(TokenRequest(ttl=60.0, max_uses=5, tags=["db"]))

    assert INVITE_TTL == 3600
    assert (usual.info.expires, usual.info.max_uses) == (NOW + INVITE_TTL, 1)
    assert (asked.info.expires, asked.info.max_uses, asked.info.tags) == (NOW + 60, 5, ["db"])
    assert usual.addresses == [HERE]
    assert decode_invite(usual.invite).addresses == (HERE,)


async def test_the_state_of_a_token_is_what_it_would_open_now(ca_node: Node, world: World) -> None:
    control, ca = ca_node.control, ca_node.ca
    assert ca is not None
    ended, gone, used, good = [
        (await control.create_token(terms)).info.id
        for terms in (TokenRequest(ttl=1.0), TokenRequest(), TokenRequest(max_uses=1), TokenRequest())
    ]
    (record,) = [each for each in ca.tokens() if each.token_id == used]
    await ca.join(ALICE.node_id, request("alice", record))
    await control.revoke_token(gone)
    world.now += 1

    states = {each.id: each.state for each in await control.list_tokens()}
    assert states == {ended: "expired", gone: "revoked", used: "used_up", good: "good"}


async def test_a_revoked_token_is_shown_as_revoked(ca_node: Node) -> None:
    made = await ca_node.control.create_token(TokenRequest())
    ended = await ca_node.control.revoke_token(made.info.id[:8])

    assert (ended.id, ended.state) == (made.info.id, "revoked")
    assert await ca_node.control.list_tokens() == [ended]


async def test_a_token_nobody_made_cannot_be_revoked(ca_node: Node) -> None:
    with pytest.raises(NotFound):
        await ca_node.control.revoke_token("ffffffff")


async def test_the_master_token_is_shown_if_there_is_one(ca_node: Node) -> None:
    with pytest.raises(NotFound, match="pulse token create"):
        await ca_node.control.master_token()

    assert ca_node.ca is not None
    ca_node.ca.held.ledger.set_master(secret("master"), NOW)
    assert parse_token((await ca_node.control.master_token()).token).secret == secret("master")
    assert [each.master for each in await ca_node.control.list_tokens()] == [True]


async def test_the_journal_is_read_in_pieces_and_checked(ca_node: Node) -> None:
    await ca_node.control.create_token(TokenRequest(max_uses=4))
    (second,) = await ca_node.control.ca_log(1, 10)
    found = await ca_node.control.ca_verify()

    assert (second.seq, second.time, second.event, second.fields["max_uses"]) == (2, NOW, "token made", 4)
    assert [each.seq for each in await ca_node.control.ca_log(0, 1)] == [1]
    assert (found.entries, found.broken) == (2, None)


async def test_this_nodes_own_journal_is_asked_of_whoever_keeps_it(member_node: Node) -> None:
    question, time = eventschemas.EventsQuery("join"), eventschemas.MomentQuery(1.0)
    control = member_node.control

    assert (await control.events(question), await control.events_verify(), await control.events_at(time)) == (
        EVENTS,
        CHECK,
        MOMENT,
    )
    assert member_node.beside.asked == [question, time]


# Not the CA

AT_THE_CA: dict[str, Callable[[ControlService], Awaitable[object]]] = {
    "ca_log": lambda control: control.ca_log(0, 10),
    "ca_verify": lambda control: control.ca_verify(),
}


@pytest.mark.parametrize("ask", AT_THE_CA.values(), ids=AT_THE_CA)
async def test_a_member_has_no_journal_of_the_ca_and_names_it(
    member_node: Node, ask: Callable[[ControlService], Awaitable[object]]
) -> None:
    member_node.knows(ALICE, KEEPER)

    with pytest.raises(Refused, match=r"this node is not the CA.* Run it on keeper\.$"):
        await ask(member_node.control)


async def test_a_member_that_never_met_the_ca_names_nobody(member_node: Node) -> None:
    with pytest.raises(Refused, match=r"lives there\.$"):
        await member_node.control.ca_verify()
