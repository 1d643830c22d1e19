"""Status service: what is said of the mesh, of every node in it, and of the way to each."""

from dataclasses import replace

import pytest

from pulse import clock
from pulse.core.facts import (
    ChainShown,
    DialFailed,
    LinkDown,
    LinkSample,
    LinksSampled,
    LinkSuspect,
    MessageReceived,
)
from pulse.core.messages import Item, ObjectKind, Objects, encode
from pulse.core.network.netconfig import Config, Settings, named, sign_config
from pulse.core.paths.figures import PathSample
from pulse.core.trust.authorities import sign_retirement, sign_succession
from pulse.core.trust.ca import DAY, LEAF_LIFETIME, make_authority
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.identity import public_bytes
from pulse.core.trust.members import Naming
from pulse.core.trust.roles import Roles, sign_roles
from pulse.core.types import LinkId
from pulse.net.links import PeerTraffic
from pulse.schemas.node import FecInfo, PortMapping
from pulse.services.status import identity_of
from tests.authority import MESH, NOW, key
from tests.mint import member
from tests.services.shown import ALICE, BOB, CA, CAROL, HOME, KEEPER, LINK, ME, Device, Node, Office, Router


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "wall", lambda: NOW)


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
async def relayed() -> Node:
    """Alice is reached over the keeper, with whom there is a link of 20 ms."""
    made = Node()
    made.meets(KEEPER)
    made.happened(LinksSampled((LinkSample(LINK, 0.02, 0.001, 0.0),)))
    made.hears((KEEPER, ALICE))
    return made


async def test_a_node_tells_who_it_is(node: Node) -> None:
    told = node.service.identity()

    assert (told.id, told.name, told.roles, told.tags) == (ME.node_id, "me", [], [])
    assert (told.network, told.ca_hash) == (CA.network.name, CA.network.ca_hash)
    assert (told.v4, told.v6) == (str(ME.addresses.v4), str(ME.addresses.v6))
    assert told == identity_of(ME)


async def test_a_node_alone_is_well(node: Node) -> None:
    status = node.status()

    assert (status.well, status.peers, status.tun) == (True, [], "")
    assert "alone" in status.sentence
    assert (status.version, status.listen, status.certificate_left) == ("1.2.3", ":443", LEAF_LIFETIME)
    assert status.uptime == pytest.approx(60, abs=5)


async def test_a_node_that_is_reached_and_does_not_renew_is_worth_a_word(node: Node) -> None:
    node.knows(member(CA, "box", 9, host="box", not_before=NOW - 89 * DAY, not_after=NOW + DAY))
    assert node.status().well, "it is away, and not this node's to see to"
    node.meets(member(CA, "shelf", 8, host="shelf", not_before=NOW - 89 * DAY, not_after=NOW + DAY))
    assert "certificate of shelf ends in 1 day" in node.status().sentence


async def test_drops_are_told_by_reason_and_those_that_never_happened_are_not(node: Node) -> None:
    assert node.status().drops == {"no_route": 3}


async def test_rules_are_told_with_the_flows_they_decided_on(node: Node) -> None:
    status = node.status()

    assert (status.rule_hits, status.rule_misses) == ({"ssh": 2}, 1)


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
    node.happened(LinksSampled((LinkSample(LINK, 0.02, 0.001, 0.5),)))
    node.links.peers = [PeerTraffic(ALICE.node_id, packets_out=1, bytes_out=10, packets_in=2, bytes_in=20, mtu=1220)]
    row = node.row(ALICE)

    assert (row.rtt, row.jitter, row.loss, row.suspect) == (0.02, 0.001, 0.5, False)
    assert (row.bytes_out, row.bytes_in, row.address, row.mtu) == (10, 20, HOME, 1220)
    assert (row.v4, row.v6) == (str(ALICE.addresses.v4), str(ALICE.addresses.v6))


async def test_a_peer_without_a_path_has_no_mtu(node: Node) -> None:
    node.meets(ALICE)
    node.links.peers = [PeerTraffic(ALICE.node_id, 1, 10, 2, 20, mtu=1340)]
    node.parts(ALICE)

    assert node.row(ALICE).mtu == 0


async def test_a_row_tells_how_packets_are_protected_where_parity_is_on(node: Node) -> None:
    node.meets(ALICE)
    node.links.measured = [PathSample(ALICE.node_id, LINK, None, 0.02, suspect=False, parity=4, duplicate=False)]
    node.links.peers = [
        PeerTraffic(ALICE.node_id, 10, 100, 20, 200, parity_out=2, parity_in=4, repaired=3, unrepairable=1)
    ]
    assert node.row(ALICE).fec is None

    node.fec = True
    assert node.row(ALICE).fec == FecInfo(4, False, parity_out=2, parity_in=4, repaired=3, unrepairable=1)
    node.knows(BOB)
    assert node.row(BOB).fec == FecInfo(0, False, 0, 0, 0, 0)


async def test_a_row_tells_the_boot_count_of_the_newest_record(node: Node) -> None:
    node.meets(KEEPER)
    assert node.row(KEEPER).boot == 0

    node.hears((KEEPER, ALICE))
    assert (node.row(KEEPER).boot, node.row(ALICE).boot) == (1, 1)
    assert node.row(KEEPER).version == node.mesh.gossip.record(KEEPER.node_id).version  # type: ignore[union-attr]


async def test_seen_is_nothing_then_now_then_since_the_link_ended(node: Node) -> None:
    node.knows(ALICE)
    assert node.row(ALICE).seen is None

    node.meets(ALICE)
    assert node.row(ALICE).seen == 0.0

    node.ago = 90
    node.parts(ALICE)
    row = node.row(ALICE)
    assert row.seen == pytest.approx(90, abs=5)
    assert (row.rtt, row.address, row.last_error) == (None, HOME, "timed out")


async def test_roles_are_those_of_the_certificate_and_of_the_cas_word(node: Node) -> None:
    signed = sign_roles(CA.network, Roles(1, KEEPER.node_id, 1), CA.key)
    node.meets(KEEPER)
    node.happened(MessageReceived(LINK, encode(Objects([Item(ObjectKind.ROLES, signed.data)]))))

    assert node.row(KEEPER).roles == ["ca", "scribe"]


async def test_a_configured_peer_nobody_met_is_the_thing_to_see_to(node: Node) -> None:
    node.mesh.peer_configured(HOME, node.when)
    node.happened(DialFailed(1, "timeout", "no answer"))
    status = node.status()

    assert not status.well
    assert status.sentence == (
        f"1 thing to see to: {HOME} is not reached: no answer "
        "(is it up, and its UDP and TCP port open? nc -vz 192.0.2.9 443)."
    )


async def test_a_configured_peer_that_went_away_is_called_by_its_name(node: Node) -> None:
    node.mesh.peer_configured(HOME, node.when)
    node.meets(ALICE, dial=1)
    assert node.status().well

    node.parts(ALICE)
    status = node.status()
    assert not status.well
    assert f"alice at {HOME} is not reached: timed out" in status.sentence


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
    assert (relayed.row(KEEPER).hops, relayed.row(KEEPER).path) == (1, [KEEPER.node_id])
    assert relayed.service.way_to(ALICE.node_id) == ("quic", "keeper")
    assert relayed.status().sentence == "All well. 3 nodes, 1 direct, 1 over a relay."


async def test_a_relayed_peer_has_no_address_but_one_where_it_was_tried(relayed: Node) -> None:
    assert relayed.row(ALICE).address == ""

    relayed.mesh.neighbours.peer_learnt(ALICE.node_id, "198.51.100.4:443", relayed.when)
    assert relayed.row(ALICE).address == "198.51.100.4:443"


async def test_a_path_has_the_figures_announced_until_it_was_measured_itself(relayed: Node) -> None:
    row = relayed.row(ALICE)
    assert row.rtt == pytest.approx(0.05)
    assert (row.jitter, row.loss) == (None, 0.0)

    relayed.links.measured = [sample(ALICE, rtt=None), sample(BOB, rtt=9.0)]
    assert relayed.row(ALICE).rtt == pytest.approx(0.05)

    relayed.links.measured = [sample(ALICE, LinkId(7), rtt=9.0), sample(ALICE, rtt=0.04, loss=0.1)]
    row = relayed.row(ALICE)
    assert (row.rtt, row.loss, row.suspect) == (0.04, 0.1, False)


async def test_a_path_is_suspect_if_it_or_its_first_link_is(relayed: Node) -> None:
    relayed.links.measured = [sample(ALICE, suspect=True)]
    assert relayed.row(ALICE).suspect
    assert not relayed.row(KEEPER).suspect

    relayed.links.measured = []
    relayed.happened(LinkSuspect(LINK, KEEPER.node_id, True))
    assert relayed.row(ALICE).suspect
    assert relayed.row(KEEPER).suspect


def sample(
    who: Certificate, link: LinkId = LINK, *, rtt: float | None = 0.04, loss: float = 0.0, suspect: bool = False
) -> PathSample:
    return PathSample(who.node_id, link, rtt, loss, suspect)


async def test_a_path_whose_link_just_went_is_no_path(relayed: Node) -> None:
    relayed.mesh.happened(LinkDown(LINK, KEEPER.node_id, "timed out"), relayed.when)

    row = relayed.row(ALICE)
    assert (row.link, row.via, row.hops, row.rtt) == ("-", "", 0, None)
    assert relayed.service.way_to(ALICE.node_id) == ("-", "")


async def test_a_peer_was_last_seen_when_it_was_last_linked_or_reached_over_others(node: Node) -> None:
    node.meets(KEEPER, LinkId(2))
    node.meets(ALICE)
    node.ago = 90
    node.parts(ALICE)
    assert node.row(ALICE).seen == pytest.approx(90, abs=5)

    node.hears((KEEPER, ALICE), by=LinkId(2))
    assert node.row(ALICE).seen == 0.0
    node.ago = 30
    node.parts(KEEPER, LinkId(2))
    assert node.row(ALICE).seen == pytest.approx(30, abs=5)


async def test_a_node_that_was_announced_and_never_reached_was_never_seen(relayed: Node) -> None:
    relayed.hears((BOB, CAROL))

    assert (relayed.row(BOB).link, relayed.row(BOB).seen) == ("-", None)


async def test_a_configured_peer_that_is_reached_over_others_misses_nobody(node: Node) -> None:
    node.meets(KEEPER, LinkId(2))
    node.mesh.peer_configured("192.0.2.50:443", node.when)
    node.meets(ALICE, dial=1)
    node.parts(ALICE)
    assert not node.status().well

    node.hears((KEEPER, ALICE), by=LinkId(2))
    assert node.status().well


async def test_tags_are_those_of_the_certificate(node: Node) -> None:
    node.knows(member(CA, "tagged", 9, tags=("db", "prod")))

    assert node.status().peers[0].tags == ["db", "prod"]


async def test_counters_of_gossip_are_told_as_they_are(node: Node) -> None:
    node.meets(ALICE)
    assert node.status().gossip == node.mesh.gossip.statistics()
    assert node.status().gossip["records"] == 1


async def test_a_node_that_is_not_the_scribe_it_was_started_to_be_is_not_well(node: Node) -> None:
    node.scribe = Office("cam-7 is the scribe already")
    status = node.status()

    assert not status.well
    assert "not the scribe it was started to be: cam-7 is the scribe already" in status.sentence


async def test_nodes_are_shown_under_the_names_and_tags_of_the_config(relayed: Node) -> None:
    names = {ALICE.node_id: "web", ME.node_id: "desk", KEEPER.node_id: "hub"}
    wanted = named(
        Config(1, 2, Settings(str(MESH))), Naming(names, {ALICE.node_id: ("infra",), ME.node_id: ("office",)})
    )
    roles = sign_roles(CA.network, Roles(1, KEEPER.node_id, 1, scribe_key=KEEPER.public_key), CA.key)
    config = sign_config(CA.network, wanted, key("keeper"))
    objects = [Item(ObjectKind.ROLES, roles.data), Item(ObjectKind.CONFIG, config.data)]
    relayed.happened(MessageReceived(LINK, encode(Objects(objects))))

    row = relayed.row(ALICE)
    assert (row.name, row.tags, row.via) == ("web", ["infra"], "hub")
    assert relayed.status().node.name == "desk"
    assert (relayed.service.identity().name, relayed.service.identity().tags) == ("desk", ["office"])


async def test_a_mapped_port_is_shown_and_none_if_there_is_none(node: Node) -> None:
    mapping = PortMapping("pcp", "203.0.113.7:8443", NOW + 7200, True)
    for router, shown in ((None, None), (Router(), None), (Router(mapping), mapping)):
        assert replace(node.service, portmap=router).status().portmap == shown


async def test_that_the_cas_key_is_being_replaced_is_told_until_the_old_one_is_retired(node: Node) -> None:
    told = [node.status().ca_rotating]
    said = sign_succession(CA.network, CA.key, make_authority(key("next"), "mynet", NOW, 2, CA.network.ca_hash))
    for statements in ((said,), (said, sign_retirement(CA.network, public_bytes(CA.key), key("next")))):
        node.happened(ChainShown(statements))
        told.append(node.status().ca_rotating)

    assert told == [False, True, False]


async def test_the_first_link_to_a_node_is_told_by_type_and_relay(relayed: Node) -> None:
    assert relayed.service.first_link_to(KEEPER.node_id) == ("quic", "")
    assert relayed.service.first_link_to(ALICE.node_id) == ("quic", KEEPER.node_id)
    assert relayed.service.first_link_to(BOB.node_id) == ("-", "")
