"""Control service: what the owner of a node is told of it, and what it does when asked."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pulse import clock
from pulse.core.facts import DialFailed, LinkDown, LinkSample, LinksSampled, MessageReceived
from pulse.core.health import DAY
from pulse.core.mesh import Mesh
from pulse.core.messages import Item, ObjectKind, Objects, encode
from pulse.core.trust.ca import BACKDATED, LEAF_LIFETIME
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.invites import decode_invite
from pulse.core.trust.join import Floors
from pulse.core.trust.roles import Roles, sign_roles
from pulse.core.trust.tokens import parse_token
from pulse.core.types import LinkId, NodeId
from pulse.errors import LinkError, NotFound, PulseError, Refused
from pulse.net.links import PeerTraffic
from pulse.schemas import PeerRow, PingRequest, TokenRequest
from pulse.services.ca import CaService
from pulse.services.control import INVITE_TTL, ControlService
from pulse.store.files import open_data_dir
from pulse.store.ledger import Ledger
from tests.authority import NOW, Ca, request, secret
from tests.fakes import FakeLinks
from tests.mint import Latest, link_up, member

CA = Ca()
ME, ALICE, BOB, CAROL = (
    member(CA, name, place, host=name) for place, name in enumerate(("me", "alice", "bob", "carol"), 1)
)
KEEPER = member(CA, "keeper", 5, host="keeper", is_ca=True)
HERE = "192.0.2.1:443"
HOME = "192.0.2.9:443"
LINK = LinkId(1)


class DroppingLinks(FakeLinks):
    """A data plane that lost packets for one of its reasons."""

    def drops(self) -> dict[str, int]:
        """Some, and none."""
        return {"no_route": 3, "replay": 0}


@dataclass
class Device:
    """A TUN device, or what is wrong with it."""

    name: str = "pulse0"
    problem: str = ""


@dataclass
class Node:
    """A control service on a mesh of its own, and the RPCs it made."""

    ca: CaService | None = None
    tun: Device | None = None
    refusal: PulseError | None = None
    """What the other node's answer to an RPC is, if it is none."""
    links: FakeLinks = field(default_factory=DroppingLinks)
    mesh: Mesh = field(default_factory=lambda: Mesh(ME, (CA.authority,), Latest()))
    calls: list[tuple[NodeId, str, float]] = field(default_factory=list)

    @property
    def control(self) -> ControlService:
        """The service, made one minute ago."""
        return ControlService(self.mesh, self.links, self.call, "1.2.3", ":443", True, self.ca, self.tun, now() - 60)

    async def call(self, node: NodeId, method: str, _: bytes, timeout: float) -> bytes:
        self.calls.append((node, method, timeout))
        if self.refusal is not None:
            raise self.refusal
        return b""

    def knows(self, *others: Certificate) -> None:
        """These are members of an earlier run."""
        for each in others:
            self.mesh.peer_restored(each, [], now())

    def meets(self, who: Certificate, link: LinkId = LINK, dial: int = 0) -> None:
        """A link with a peer comes up."""
        self.mesh.happened(link_up(who.node_id, link, dial=dial, certificate=who.der), now())

    def parts(self, who: Certificate, ago: float = 0.0) -> None:
        """That link ended."""
        self.mesh.happened(LinkDown(LINK, who.node_id, "timed out"), now() - ago)

    async def row(self, who: Certificate) -> PeerRow:
        """What the status says of a peer."""
        (row,) = [each for each in (await self.control.status()).peers if each.id == who.node_id]
        return row


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
        yield Node(CaService(FakeLinks(), ledger, CA.issuer, lambda: Floors(1, 0, 1), lambda: True, lambda: (HERE,)))


# This node


async def test_a_node_tells_who_it_is(member_node: Node) -> None:
    told = await member_node.control.identity()

    assert (told.id, told.name, told.roles) == (ME.node_id, "me", [])
    assert (told.network, told.ca_hash) == (CA.network.name, CA.network.ca_hash)
    assert (told.v4, told.v6) == (str(ME.addresses.v4), str(ME.addresses.v6))
    assert member_node.control.identity_now() == told


async def test_a_node_tells_its_certificate_and_how_long_it_holds(member_node: Node, world: World) -> None:
    world.now += DAY
    told = await member_node.control.certificate()

    assert (told.id, told.name, told.serial, told.pinned) == (ME.node_id, "me", "7", True)
    assert (told.not_before, told.not_after) == (NOW - BACKDATED, NOW + LEAF_LIFETIME)
    assert told.left == LEAF_LIFETIME - DAY
    assert told.addresses == [str(ME.addresses.v4), str(ME.addresses.v6)]
    assert told.ca_hash == CA.network.ca_hash


async def test_stop_sets_the_flag_and_names_the_process(member_node: Node) -> None:
    control = member_node.control

    assert (await control.stop()).pid == os.getpid()
    assert control.stopping.is_set()


# Status


async def test_a_node_alone_is_well(member_node: Node) -> None:
    status = await member_node.control.status()

    assert (status.well, status.peers, status.tun) == (True, [], "")
    assert "alone" in status.sentence
    assert (status.version, status.listen, status.certificate_left) == ("1.2.3", ":443", LEAF_LIFETIME)
    assert status.uptime == pytest.approx(60, abs=5)


async def test_drops_are_told_by_reason_and_those_that_never_happened_are_not(member_node: Node) -> None:
    assert (await member_node.control.status()).drops == {"no_route": 3}


async def test_linked_peers_come_first_and_each_kind_by_name(member_node: Node) -> None:
    member_node.knows(BOB, ALICE)
    member_node.meets(KEEPER)
    member_node.meets(CAROL, LinkId(2))
    status = await member_node.control.status()

    assert [(row.name, row.link) for row in status.peers] == [
        ("carol", "quic"),
        ("keeper", "quic"),
        ("alice", "-"),
        ("bob", "-"),
    ]
    assert (status.well, status.sentence) == (True, "All well. 5 nodes, 2 direct, 2 away.")


async def test_the_row_of_a_linked_peer_has_its_figures(member_node: Node) -> None:
    member_node.meets(ALICE)
    member_node.mesh.happened(LinksSampled((LinkSample(LINK, 0.02, 0.001, 0.5),)), now())
    member_node.links.peers = [PeerTraffic(ALICE.node_id, packets_out=1, bytes_out=10, packets_in=2, bytes_in=20)]
    row = await member_node.row(ALICE)

    assert (row.rtt, row.jitter, row.loss, row.suspect) == (0.02, 0.001, 0.5, False)
    assert (row.bytes_out, row.bytes_in, row.address) == (10, 20, HOME)
    assert (row.v4, row.v6) == (str(ALICE.addresses.v4), str(ALICE.addresses.v6))


async def test_seen_is_nothing_then_now_then_since_the_link_ended(member_node: Node) -> None:
    member_node.knows(ALICE)
    assert (await member_node.row(ALICE)).seen is None

    member_node.meets(ALICE)
    assert (await member_node.row(ALICE)).seen == 0.0

    member_node.parts(ALICE, ago=90)
    row = await member_node.row(ALICE)
    assert row.seen == pytest.approx(90, abs=5)
    assert (row.rtt, row.address, row.last_error) == (None, HOME, "timed out")


async def test_roles_are_those_of_the_certificate_and_of_the_cas_word(member_node: Node) -> None:
    signed = sign_roles(CA.network, Roles(1, KEEPER.node_id, 1), CA.key)
    member_node.meets(KEEPER)
    member_node.mesh.happened(
        MessageReceived(LINK, encode(Objects([Item(ObjectKind.ROLES, signed.data)]))),
        now(),
    )

    assert (await member_node.row(KEEPER)).roles == ["ca", "scribe"]


async def test_a_configured_peer_nobody_met_is_the_thing_to_see_to(member_node: Node) -> None:
    member_node.mesh.peer_configured(HOME, now())
    member_node.mesh.happened(DialFailed(1, "timeout", "no answer"), now())
    status = await member_node.control.status()

    assert not status.well
    assert status.sentence == (
        f"1 thing to see to: {HOME} is not reached: no answer (is it up? is its UDP port open?)."
    )


async def test_a_configured_peer_that_went_away_is_called_by_its_name(member_node: Node) -> None:
    member_node.mesh.peer_configured(HOME, now())
    member_node.meets(ALICE, dial=1)
    assert (await member_node.control.status()).well

    member_node.parts(ALICE)
    status = await member_node.control.status()
    assert not status.well
    assert "alice is not reached: timed out" in status.sentence


async def test_a_peer_nobody_configured_may_be_away(member_node: Node) -> None:
    member_node.meets(ALICE)
    member_node.parts(ALICE)

    assert (await member_node.control.status()).well


async def test_a_device_is_named_if_it_works_and_complained_about_if_not() -> None:
    status = await Node(tun=Device()).control.status()
    assert (status.tun, status.well) == ("pulse0", True)

    status = await Node(tun=Device(problem="no permission")).control.status()
    assert (status.tun, status.well) == ("", False)
    assert "no mesh addresses: no permission" in status.sentence


# Ping


@pytest.mark.parametrize(("linked", "transport"), [(True, "quic"), (False, "-")], ids=["with a link", "without a link"])
async def test_ping_asks_the_node_and_answers_with_the_link(member_node: Node, linked: bool, transport: str) -> None:
    member_node.knows(ALICE)
    if linked:
        member_node.meets(ALICE)
    reply = await member_node.control.ping(PingRequest("alice", 3.0))

    assert (reply.id, reply.name, reply.v4) == (ALICE.node_id, "alice", str(ALICE.addresses.v4))
    assert (reply.link, reply.via) == (transport, "")
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
    ca_node.ca.ledger.set_master(secret("master"), NOW)
    assert parse_token((await ca_node.control.master_token()).token).secret == secret("master")
    assert [each.master for each in await ca_node.control.list_tokens()] == [True]


async def test_the_journal_is_read_in_pieces_and_checked(ca_node: Node) -> None:
    await ca_node.control.create_token(TokenRequest(max_uses=4))
    (second,) = await ca_node.control.ca_log(1, 10)
    found = await ca_node.control.ca_verify()

    assert (second.seq, second.time, second.event, second.fields["max_uses"]) == (2, NOW, "token made", 4)
    assert [each.seq for each in await ca_node.control.ca_log(0, 1)] == [1]
    assert (found.entries, found.broken) == (2, None)


# Not the CA

AT_THE_CA: dict[str, Callable[[ControlService], Awaitable[object]]] = {
    "create_token": lambda control: control.create_token(TokenRequest()),
    "invite": lambda control: control.invite(TokenRequest()),
    "list_tokens": lambda control: control.list_tokens(),
    "revoke_token": lambda control: control.revoke_token("ffffffff"),
    "master_token": lambda control: control.master_token(),
    "ca_log": lambda control: control.ca_log(0, 10),
    "ca_verify": lambda control: control.ca_verify(),
}


@pytest.mark.parametrize("ask", AT_THE_CA.values(), ids=AT_THE_CA)
async def test_a_member_has_no_tokens_and_no_journal_and_names_the_ca(
    member_node: Node, ask: Callable[[ControlService], Awaitable[object]]
) -> None:
    member_node.knows(ALICE, KEEPER)

    with pytest.raises(Refused, match=r"this node is not the CA.* Run it on keeper\.$"):
        await ask(member_node.control)


async def test_a_member_that_never_met_the_ca_names_nobody(member_node: Node) -> None:
    with pytest.raises(Refused, match=r"live there\.$"):
        await member_node.control.list_tokens()
