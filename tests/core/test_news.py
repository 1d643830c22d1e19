"""Mesh: what one machine tells is heard by the others, told as the conversation of three nodes."""

from dataclasses import replace
from typing import Any

import pytest

from pulse.core import facts, messages
from pulse.core.effects import (
    Dial,
    FetchConfig,
    SendBeacon,
    StoreBoot,
    StoreConfig,
)
from pulse.core.messages import Item, Leaving, ObjectKind, Objects, Observed
from pulse.core.network.netconfig import first_config
from pulse.core.paths.announce import AT_ONCE
from pulse.core.paths.datagram import read_beacon
from pulse.core.paths.linkstate import EXPIRED_AFTER
from pulse.core.paths.noderecord import Adjacency, certificate_hash, read_record, sign_record
from pulse.core.paths.wanted import TURN
from pulse.core.trust.certificates import Certificate
from pulse.core.types import LinkId
from tests.authority import MESH, NOW, key
from tests.core.meshing import ALICE, BOB, CA, FIRST, HOME, ME, NAMES, Node, revocation
from tests.core.paths.calls import datagram
from tests.mint import link_up, member


@pytest.fixture
def here() -> Node:
    return Node()


def gossiped(here: Node, who: Certificate, *, seq: int = 1, **says: Any) -> messages.NodeRecords:
    """A record of `who`, as a neighbour passes it on."""
    return messages.NodeRecords([sign_record(key(NAMES[who.node_id]), who, boot=1, seq=seq, **says).data])


def test_a_node_that_a_neighbour_is_linked_with_is_reached_over_it(here: Node) -> None:
    here.mesh.happened(facts.ClockRead(NOW), here.now)
    link = here.linked(ALICE)
    here.heard(link, Objects([FIRST, Item(ObjectKind.CERTIFICATE, BOB.der)]))
    towards = [(a, b) for a, b in ((ALICE, BOB), (BOB, ALICE))]
    for who, other in towards:
        here.heard(link, gossiped(here, who, neighbours=[Adjacency(other.addresses.v4, 0.01, 0.0)]))
    here.passed(2.0)

    assert [hop.link for hop in here.mesh.tables().routes[BOB.addresses.v4]] == [link]
    path = here.mesh.routing.path_to(BOB.node_id)
    assert path is not None
    assert (path.via, path.hops) == (ALICE.node_id, (ALICE.node_id, BOB.node_id))


def test_the_next_certificate_of_a_neighbour_has_its_link_dialled_anew_by_whoever_dialled_it(here: Node) -> None:
    here.mesh.happened(facts.ClockRead(NOW), here.now)
    here.effects = here.mesh.peer_configured(HOME, here.now)
    (first,) = here.did(Dial)
    link = here.linked(ALICE, dial=first.attempt)
    accepted = here.linked(BOB)
    renewed = member(CA, "alice", 2, not_before=NOW)
    other = member(CA, "bob", 3, not_before=NOW)
    here.heard(accepted, Objects([Item(ObjectKind.CERTIFICATE, each.der) for each in (renewed, other)]))
    here.until(Dial)

    assert [(each.address, each.expect, each.replaces) for each in here.did(Dial)] == [(HOME, ALICE.node_id, link)]
    assert here.mesh.members.get(ALICE.node_id) == renewed


def test_a_link_that_comes_up_with_an_old_certificate_is_dialled_anew_too(here: Node) -> None:
    here.mesh.happened(facts.ClockRead(NOW), here.now)
    here.effects = here.mesh.peer_configured(HOME, here.now)
    (first,) = here.did(Dial)
    here.heard(here.linked(BOB), Objects([Item(ObjectKind.CERTIFICATE, member(CA, "alice", 2, not_before=NOW).der)]))
    link = here.linked(ALICE, dial=first.attempt)
    here.until(Dial)

    assert [(each.expect, each.replaces) for each in here.did(Dial)] == [(ALICE.node_id, link)]


def test_our_next_certificate_is_announced_and_shown_on_the_links_we_dialled(here: Node) -> None:
    here.mesh.happened(facts.ClockRead(NOW), here.now)
    here.effects = here.mesh.peer_configured(HOME, here.now)
    (first,) = here.did(Dial)
    link = here.linked(ALICE, dial=first.attempt)
    here.passed(2.0)
    renewed = member(CA, "me", 1, not_before=NOW)
    here.happened(facts.IdentityRenewed(renewed.der))
    assert here.events() == ["certificate renewed"]
    assert here.mesh.me == renewed

    here.passed(AT_ONCE)
    objects, records = (message for to, message in here.said() if to == link)
    assert objects == Objects([Item(ObjectKind.CERTIFICATE, renewed.der)])
    assert isinstance(records, messages.NodeRecords)
    assert read_record(records.records[0]).certificate == certificate_hash(renewed)
    here.until(Dial)
    assert [(each.expect, each.replaces) for each in here.did(Dial)] == [(ALICE.node_id, link)]


def test_a_node_that_announces_where_it_is_is_dialled_there(here: Node) -> None:
    here.mesh.happened(facts.ClockRead(NOW), here.now)
    link = here.linked(ALICE)
    here.heard(link, Objects([Item(ObjectKind.CERTIFICATE, BOB.der)]))
    here.heard(link, gossiped(here, BOB, candidates=["203.0.113.9:443"]))
    here.until(Dial)

    assert [(each.address, each.expect) for each in here.did(Dial)] == [("203.0.113.9:443", BOB.node_id)]


def test_a_node_that_announces_an_address_of_the_mesh_is_not_dialled_there(here: Node) -> None:
    here.mesh.happened(facts.ClockRead(NOW), here.now)
    link = here.linked(ALICE)
    here.heard(link, Objects([FIRST, Item(ObjectKind.CERTIFICATE, BOB.der)]))
    here.heard(link, gossiped(here, BOB, candidates=[f"{MESH[9]}:443", "203.0.113.9:443"]))
    here.until(Dial)

    assert [each.address for each in here.did(Dial)] == ["203.0.113.9:443"]
    assert here.mesh.neighbours.addresses_of(BOB.node_id) == ["203.0.113.9:443"]


def test_the_range_of_a_config_that_was_on_disk_counts_as_well(here: Node) -> None:
    here.mesh.objects_restored([(ObjectKind.CONFIG, FIRST.data)], here.now)
    here.mesh.happened(facts.ClockRead(NOW), here.now)
    link = here.linked(ALICE)
    here.heard(link, Objects([Item(ObjectKind.CERTIFICATE, BOB.der)]))
    here.heard(link, gossiped(here, BOB, candidates=[f"{MESH[9]}:443"]))
    here.passed(60.0)

    assert here.did(Dial) == []


def test_our_record_tells_neighbours_where_we_are_and_whom_we_have(here: Node) -> None:
    link = here.linked(ALICE)
    here.happened(facts.AddressesChanged(("192.0.2.77:443",)))
    here.heard(link, Observed("203.0.113.7", 41641))
    here.passed(2.0)

    (records,) = [message for _, message in here.said() if isinstance(message, messages.NodeRecords)]
    ours = read_record(records.records[-1]).vouched(ME, CA.network)
    assert ours.candidates == ("192.0.2.77:443", "203.0.113.7:41641")
    assert [each.handle for each in ours.adjacencies()] == [ALICE.addresses.v4]


@pytest.mark.parametrize(("seen", "is_open"), [("192.0.2.77", True), ("203.0.113.7", False)])
def test_our_record_says_whether_a_nat_is_in_front_of_us(here: Node, seen: str, is_open: bool) -> None:
    link = here.linked(ALICE)
    here.happened(facts.AddressesChanged(("192.0.2.77:443",)))
    here.heard(link, Observed(seen, 443))
    here.passed(2.0)

    (records,) = [message for _, message in here.said() if isinstance(message, messages.NodeRecords)]
    assert read_record(records.records[-1]).vouched(ME, CA.network).open is is_open


def test_a_mapped_port_is_announced_at_once_and_first(here: Node) -> None:
    here.linked(ALICE)
    here.happened(facts.AddressesChanged(("192.168.1.2:443",)))
    here.passed(2.0)
    here.happened(facts.PortMapped("203.0.113.7:8443"))
    here.passed(AT_ONCE)

    (records,) = [message for _, message in here.said() if isinstance(message, messages.NodeRecords)]
    ours = read_record(records.records[-1]).vouched(ME, CA.network)
    assert ours.candidates == ("203.0.113.7:8443", "192.168.1.2:443")


def test_a_link_whose_neighbour_knows_other_revocations_carries_nothing_before_it_told_them(here: Node) -> None:
    fact = link_up(ALICE.node_id, 1, certificate=ALICE.der)
    here.happened(replace(fact, hello=replace(fact.hello, revocations=bytes(32))))
    assert here.tables().routes == {}

    here.heard(LinkId(1), Objects([revocation(BOB)], complete=True))

    assert list(here.tables().routes) == [ALICE.addresses.v4]


def test_a_revoked_node_is_gone_from_every_machine(here: Node) -> None:
    here.mesh.happened(facts.ClockRead(NOW), here.now)
    link = here.linked(ALICE)
    here.heard(link, Objects([FIRST, Item(ObjectKind.CERTIFICATE, BOB.der)]))
    here.heard(link, gossiped(here, BOB, candidates=["203.0.113.9:443"]))
    here.heard(link, Objects([revocation(BOB)]))
    here.passed(2.0)

    assert here.mesh.gossip.record(BOB.node_id) is None
    assert here.mesh.members.get(BOB.node_id) is None
    assert here.did(Dial) == []


def test_a_copy_of_ourselves_is_answered_with_a_higher_boot_count(here: Node) -> None:
    here.mesh.happened(facts.ClockRead(NOW), here.now)
    link = here.linked(ALICE)
    here.heard(link, messages.NodeRecords([sign_record(key("me"), ME, boot=7, seq=1).data]))

    assert here.did(StoreBoot) == [StoreBoot(8)]
    assert "clone or lost state" in here.warnings()


def test_a_neighbour_that_leaves_is_used_no_more_while_another_way_is_there(here: Node) -> None:
    here.mesh.happened(facts.ClockRead(NOW), here.now)
    direct, relay = here.linked(BOB), here.linked(ALICE)
    near = {ALICE: BOB, BOB: ALICE}
    here.heard(relay, Objects([FIRST]))
    for who, other in near.items():
        here.heard(relay, gossiped(here, who, neighbours=[Adjacency(other.addresses.v4, 0.01, 0.0)]))
    here.passed(2.0)
    assert here.mesh.tables().routes[BOB.addresses.v4][0].link == direct

    here.heard(direct, Leaving("stopped"))
    here.passed(0.1)

    assert here.mesh.tables().routes[BOB.addresses.v4][0].link == relay


def test_a_config_that_is_offered_is_fetched_and_offered_on(here: Node) -> None:
    here.linked(BOB)
    link = here.linked(ALICE)
    first = first_config(CA.network, MESH, CA.key)
    here.heard(link, Objects([Item(ObjectKind.CONFIG_OFFER, messages.pack(first.offer))]))
    assert here.did(FetchConfig) == [FetchConfig(ALICE.node_id)]

    here.happened(facts.ConfigFetched(ALICE.node_id, first.data))

    assert len(here.did(StoreConfig)) == 1
    assert [to for to, message in here.said() if isinstance(message, Objects)] == [LinkId(1)]


def test_a_node_nobody_reaches_is_gone_after_a_while_and_back_once_it_is_reached(here: Node) -> None:
    here.mesh.happened(facts.ClockRead(NOW), here.now)
    link = here.linked(ALICE)
    here.heard(link, Objects([Item(ObjectKind.CERTIFICATE, BOB.der)]))
    for who in (ALICE, BOB):
        here.heard(link, gossiped(here, who))
    here.passed(2.0)
    assert BOB.node_id in here.mesh.wanted.nodes()

    here.passed(EXPIRED_AFTER)
    assert "nodes expired" in here.events()
    here.passed(TURN + 1.0)
    here.passed(TURN + 1.0)
    assert BOB.node_id not in here.mesh.wanted.nodes()

    for who, other in ((ALICE, BOB), (BOB, ALICE)):
        here.heard(link, gossiped(here, who, seq=2, neighbours=[Adjacency(other.addresses.v4, 0.01, 0.0)]))
    here.passed(2.0)
    assert "nodes returned" in here.events()
    here.passed(2.0)
    assert BOB.node_id in here.mesh.wanted.nodes()


def test_a_link_that_may_carry_frames_once_its_node_is_gone_counts_for_nothing(here: Node) -> None:
    fact = link_up(ALICE.node_id, 1, certificate=ALICE.der)
    here.happened(replace(fact, hello=replace(fact.hello, revocations=bytes(32))))
    here.linked(BOB)
    here.heard(LinkId(2), Objects([revocation(ALICE)]))
    here.heard(LinkId(1), Objects([], complete=True))
    here.passed(2.0)

    assert list(here.mesh.tables().routes) == [BOB.addresses.v4]


# Beacons


def test_a_member_that_is_heard_on_the_lan_is_dialled_there_and_looked_for_there_when_its_link_goes(here: Node) -> None:
    here.effects = here.mesh.peer_restored(ALICE, [], here.now)

    here.happened(facts.BeaconHeard(datagram("alice"), "192.168.7.2", on_link=True))

    (dial,) = here.did(Dial)
    assert (dial.address, dial.expect) == ("192.168.7.2:8443", ALICE.node_id)
    link = here.linked(ALICE, dial=dial.attempt, observed=dial.address)
    here.heard(link, gossiped(here, ALICE, candidates=["203.0.113.9:443"]))
    here.passed(2.0)
    here.parted(ALICE, link)
    here.until(Dial)
    assert {each.address for each in here.did(Dial)} == {"192.168.7.2:8443", "203.0.113.9:443"}


def test_a_revoked_node_that_is_heard_is_not_dialled(here: Node) -> None:
    here.told(revocation(BOB))

    here.happened(facts.BeaconHeard(datagram("bob"), "192.168.7.2", on_link=True))

    assert here.did(Dial) == []
    assert here.mesh.beacons.statistics()["revoked"] == 1


def test_a_lan_is_told_of_us_with_the_time_by_our_wall_clock(here: Node) -> None:
    here.happened(facts.ClockRead(NOW))
    here.happened(facts.LansChanged(1, 443))
    here.until(SendBeacon)

    (sent,) = here.did(SendBeacon)
    claim = read_beacon(sent.data, CA.network)
    assert (claim.node, claim.beacon.clock, claim.beacon.port) == (ME.node_id, NOW, 443)


def test_who_has_no_link_says_so_more_often(here: Node) -> None:
    here.happened(facts.LansChanged(1, 443))
    here.passed(5.0)
    alone = here.mesh.beacons.deadline()
    here.linked(ALICE)

    together = here.mesh.beacons.deadline()
    assert alone is not None
    assert together is not None
    assert alone < together
