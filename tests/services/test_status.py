"""Status service: what is said of the mesh, of every node in it, and of the way to each."""

import asyncio
from dataclasses import dataclass, field

import pytest

from pulse import clock
from pulse.core.facts import DialFailed, LinkDown, LinkSample, LinksSampled, LinkSuspect, MessageReceived
from pulse.core.mesh import Mesh
from pulse.core.messages import Item, ObjectKind, Objects, encode
from pulse.core.trust.ca import LEAF_LIFETIME
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.roles import Roles, sign_roles
from pulse.core.types import SHORT_ID, LinkId, NodeId
from pulse.net.links import PeerTraffic
from pulse.schemas import PeerRow, Status
from pulse.services.status import LinkedOnly, Path, PathSample, StatusService, identity_of
from tests.authority import NOW, Ca
from tests.fakes import FakeLinks
from tests.mint import Latest, link_up, member

CA = Ca()
ME, ALICE, BOB, CAROL = (
    member(CA, name, place, host=name) for place, name in enumerate(("me", "alice", "bob", "carol"), 1)
)
KEEPER = member(CA, "keeper", 5, host="keeper", is_ca=True)
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


@dataclass(frozen=True)
class Way:
    """A path as routing gives it."""

    link: LinkId
    hops: tuple[NodeId, ...]
    latency: float = 0.05
    loss: float = 0.02

    @property
    def via(self) -> NodeId | None:
        return self.hops[0] if len(self.hops) > 1 else None


@dataclass(frozen=True)
class Sample:
    """Figures of a path."""

    node: NodeId
    link: LinkId
    rtt: float | None
    loss: float = 0.0
    suspect: bool = False


@dataclass
class Node:
    """A status service on a mesh of its own; paths are those of its links, and of `ways`."""

    tun: Device | None = None
    links: FakeLinks = field(default_factory=DroppingLinks)
    mesh: Mesh = field(default_factory=lambda: Mesh(ME, (CA.authority,), Latest()))
    ways: dict[NodeId, Way] = field(default_factory=dict)
    samples: list[PathSample] = field(default_factory=list)
    routed: dict[NodeId, float] = field(default_factory=dict)
    """When there last was a path over others."""

    def path_to(self, node: NodeId) -> Path | None:
        return self.ways.get(node) or LinkedOnly(self.mesh).path_to(node)

    @property
    def service(self) -> StatusService:
        """The service, made one minute ago."""
        return StatusService(
            self.mesh, self.links, self, lambda: self.samples, self.routed.get, lambda: {"records": 7}, self.tun,
            "1.2.3", ":443", now() - 60,
        )  # fmt: skip

    def status(self) -> Status:
        """What it says."""
        return self.service.status()

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

    def row(self, who: Certificate) -> PeerRow:
        """What it says of a peer."""
        (row,) = [each for each in self.status().peers if each.id == who.node_id]
        return row


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "wall", lambda: NOW)


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
async def relayed() -> Node:
    """Alice is reached over the keeper, with whom there is a link."""
    made = Node()
    made.knows(ALICE)
    made.meets(KEEPER)
    made.ways[ALICE.node_id] = Way(LINK, (KEEPER.node_id, ALICE.node_id))
    return made


async def test_a_node_tells_who_it_is(node: Node) -> None:
    told = node.service.identity()

    assert (told.id, told.name, told.roles) == (ME.node_id, "me", [])
    assert (told.network, told.ca_hash) == (CA.network.name, CA.network.ca_hash)
    assert (told.v4, told.v6) == (str(ME.addresses.v4), str(ME.addresses.v6))
    assert told == identity_of(ME)


async def test_a_node_alone_is_well(node: Node) -> None:
    status = node.status()

    assert (status.well, status.peers, status.tun) == (True, [], "")
    assert "alone" in status.sentence
    assert (status.version, status.listen, status.certificate_left) == ("1.2.3", ":443", LEAF_LIFETIME)
    assert status.uptime == pytest.approx(60, abs=5)


async def test_drops_are_told_by_reason_and_those_that_never_happened_are_not(node: Node) -> None:
    assert node.status().drops == {"no_route": 3}


async def test_linked_peers_come_first_and_each_kind_by_name(node: Node) -> None:
    node.knows(BOB, ALICE)
    node.meets(KEEPER)
    node.meets(CAROL, LinkId(2))
    status = node.status()

    assert [(row.name, row.link) for row in status.peers] == [
        ("carol", "quic"),
        ("keeper", "quic"),
        ("alice", "-"),
        ("bob", "-"),
    ]
    assert (status.well, status.sentence) == (True, "All well. 5 nodes, 2 direct, 2 away.")


async def test_the_row_of_a_linked_peer_has_its_figures(node: Node) -> None:
    node.meets(ALICE)
    node.mesh.happened(LinksSampled((LinkSample(LINK, 0.02, 0.001, 0.5),)), now())
    node.links.peers = [PeerTraffic(ALICE.node_id, packets_out=1, bytes_out=10, packets_in=2, bytes_in=20)]
    row = node.row(ALICE)

    assert (row.rtt, row.jitter, row.loss, row.suspect) == (0.02, 0.001, 0.5, False)
    assert (row.bytes_out, row.bytes_in, row.address) == (10, 20, HOME)
    assert (row.v4, row.v6) == (str(ALICE.addresses.v4), str(ALICE.addresses.v6))


async def test_seen_is_nothing_then_now_then_since_the_link_ended(node: Node) -> None:
    node.knows(ALICE)
    assert node.row(ALICE).seen is None

    node.meets(ALICE)
    assert node.row(ALICE).seen == 0.0

    node.parts(ALICE, ago=90)
    row = node.row(ALICE)
    assert row.seen == pytest.approx(90, abs=5)
    assert (row.rtt, row.address, row.last_error) == (None, HOME, "timed out")


async def test_roles_are_those_of_the_certificate_and_of_the_cas_word(node: Node) -> None:
    signed = sign_roles(CA.network, Roles(1, KEEPER.node_id, 1), CA.key)
    node.meets(KEEPER)
    node.mesh.happened(
        MessageReceived(LINK, encode(Objects([Item(ObjectKind.ROLES, signed.data)]))),
        now(),
    )

    assert node.row(KEEPER).roles == ["ca", "scribe"]


async def test_a_configured_peer_nobody_met_is_the_thing_to_see_to(node: Node) -> None:
    node.mesh.peer_configured(HOME, now())
    node.mesh.happened(DialFailed(1, "timeout", "no answer"), now())
    status = node.status()

    assert not status.well
    assert status.sentence == (
        f"1 thing to see to: {HOME} is not reached: no answer (is it up? is its UDP port open?)."
    )


async def test_a_configured_peer_that_went_away_is_called_by_its_name(node: Node) -> None:
    node.mesh.peer_configured(HOME, now())
    node.meets(ALICE, dial=1)
    assert node.status().well

    node.parts(ALICE)
    status = node.status()
    assert not status.well
    assert "alice is not reached: timed out" in status.sentence


async def test_a_peer_nobody_configured_may_be_away(node: Node) -> None:
    node.meets(ALICE)
    node.parts(ALICE)

    assert node.status().well


async def test_a_device_is_named_if_it_works_and_complained_about_if_not() -> None:
    status = Node(tun=Device()).status()
    assert (status.tun, status.well) == ("pulse0", True)

    status = Node(tun=Device(problem="no permission")).status()
    assert (status.tun, status.well) == ("", False)
    assert "no mesh addresses: no permission" in status.sentence


# Over others


async def test_a_relayed_peer_shows_its_first_link_and_its_first_relay(relayed: Node) -> None:
    row = relayed.row(ALICE)

    assert (row.link, row.via, row.hops, row.seen) == ("quic", "keeper", 2, 0.0)
    assert relayed.row(KEEPER).via == ""
    assert relayed.row(KEEPER).hops == 1
    assert relayed.service.way_to(ALICE.node_id) == ("quic", "keeper")
    assert relayed.status().sentence == "All well. 3 nodes, 1 direct, 1 over a relay."


async def test_a_relayed_peer_has_no_address_but_one_where_it_was_tried(relayed: Node) -> None:
    assert relayed.row(ALICE).address == ""

    relayed.mesh.neighbours.peer_learnt(ALICE.node_id, "198.51.100.4:443", now())
    assert relayed.row(ALICE).address == "198.51.100.4:443"


async def test_a_path_has_the_figures_announced_until_it_was_measured_itself(relayed: Node) -> None:
    row = relayed.row(ALICE)
    assert (row.rtt, row.jitter, row.loss) == (0.05, None, 0.02)

    relayed.samples = [Sample(ALICE.node_id, LINK, None), Sample(BOB.node_id, LINK, 9.0)]
    assert relayed.row(ALICE).rtt == 0.05

    relayed.samples = [Sample(ALICE.node_id, LinkId(7), 9.0), Sample(ALICE.node_id, LINK, 0.04, loss=0.1)]
    row = relayed.row(ALICE)
    assert (row.rtt, row.loss, row.suspect) == (0.04, 0.1, False)


async def test_a_path_is_suspect_if_it_or_its_first_link_is(relayed: Node) -> None:
    relayed.samples = [Sample(ALICE.node_id, LINK, 0.04, suspect=True)]
    assert relayed.row(ALICE).suspect
    assert not relayed.row(KEEPER).suspect

    relayed.samples = []
    relayed.mesh.happened(LinkSuspect(LINK, KEEPER.node_id, True), now())
    assert relayed.row(ALICE).suspect
    assert relayed.row(KEEPER).suspect


async def test_a_relay_nobody_knows_is_called_by_its_id(relayed: Node) -> None:
    relayed.ways[ALICE.node_id] = Way(LINK, (BOB.node_id, ALICE.node_id))

    assert relayed.row(ALICE).via == BOB.node_id[:SHORT_ID]


async def test_a_path_whose_link_just_went_is_no_path(relayed: Node) -> None:
    relayed.ways[ALICE.node_id] = Way(LinkId(99), (KEEPER.node_id, ALICE.node_id))

    assert relayed.row(ALICE).link == "-"
    assert relayed.service.way_to(BOB.node_id) == ("-", "")


async def test_a_peer_was_last_seen_when_it_was_last_linked_or_routed(node: Node) -> None:
    node.meets(ALICE)
    node.parts(ALICE, ago=90)
    node.routed[ALICE.node_id] = now() - 30

    assert node.row(ALICE).seen == pytest.approx(30, abs=5)
    node.routed[ALICE.node_id] = now() - 3000
    assert node.row(ALICE).seen == pytest.approx(90, abs=5)


async def test_a_configured_peer_that_is_reached_over_others_misses_nobody(node: Node) -> None:
    node.meets(KEEPER, LinkId(2))
    node.mesh.peer_configured("192.0.2.50:443", now())
    node.meets(ALICE, dial=1)
    node.parts(ALICE)
    assert not node.status().well

    node.ways[ALICE.node_id] = Way(LinkId(2), (KEEPER.node_id, ALICE.node_id))
    assert node.status().well


async def test_tags_are_those_of_the_certificate(node: Node) -> None:
    node.knows(member(CA, "tagged", 9, tags=("db", "prod")))

    assert node.status().peers[0].tags == ["db", "prod"]


async def test_counters_of_gossip_are_told_as_they_are(node: Node) -> None:
    assert node.status().gossip == {"records": 7}
