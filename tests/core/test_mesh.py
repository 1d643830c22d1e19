"""Mesh: what each fact does to a whole node, told as the conversation of neighbours."""

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from typing import TypeVar, get_args

import pytest

from pulse.core import facts, messages
from pulse.core.effects import (
    WARNING,
    CloseLink,
    Dial,
    Effect,
    Log,
    SendMessage,
    StoreConfig,
    StorePeers,
    StoreRevocation,
    TablesChanged,
    TrustChanged,
)
from pulse.core.facts import Fact
from pulse.core.mesh import Mesh
from pulse.core.messages import Item, Leaving, ObjectKind, Objects, Observed
from pulse.core.network.netconfig import Config, Settings, first_config, sign_config
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.revocation import sign_revocation
from pulse.core.trust.roles import Roles, sign_roles
from pulse.core.types import LinkId
from tests.authority import MESH, NOW, Ca, key
from tests.mint import Latest, link_up, member

CA, FOREIGN = Ca(), Ca("other ca")
ME, ALICE, BOB, SCRIBE = (member(CA, name, place) for place, name in enumerate(("me", "alice", "bob", "scribe"), 1))
CA_NODE = member(CA, "ca node", 9, is_ca=True)
HOME = "192.0.2.1:443"

FIRST = Item(ObjectKind.CONFIG, first_config(CA.network, MESH, CA.key).data)
ROLES = Item(ObjectKind.ROLES, sign_roles(CA.network, Roles(1, SCRIBE.node_id, 1), CA.key).data)
SCRIBES_CONFIG = Item(ObjectKind.CONFIG, sign_config(CA.network, Config(1, 1, Settings(str(MESH))), key("scribe")).data)

_E = TypeVar("_E", bound=Effect)


def revocation(who: Certificate, by: Ca = CA) -> Item:
    return Item(ObjectKind.REVOCATION, sign_revocation(by.network, who.node_id, by.key, time=NOW).data)


def scribes_revocation(who: Certificate) -> Item:
    signed = sign_revocation(CA.network, who.node_id, key("scribe"), scribe_epoch=1, time=NOW)
    return Item(ObjectKind.REVOCATION, signed.data)


@dataclass
class Node:
    """One node and the effects of the last thing that happened to it."""

    mesh: Mesh = field(default_factory=lambda: Mesh(ME, (CA.authority,), Latest()))
    now: float = 1000.0
    links: int = 0
    effects: list[Effect] = field(default_factory=list)

    def happened(self, fact: Fact) -> None:
        self.effects = self.mesh.happened(fact, self.now)

    def linked(self, who: Certificate, *, dial: int = 0, observed: str = HOME) -> LinkId:
        self.links += 1
        self.happened(link_up(who.node_id, self.links, dial=dial, observed=observed, certificate=who.der))
        return LinkId(self.links)

    def parted(self, who: Certificate, link: LinkId) -> None:
        self.happened(facts.LinkDown(link, who.node_id, "idle"))

    def heard(self, link: LinkId, message: messages.Message | bytes) -> None:
        payload = message if isinstance(message, bytes) else messages.encode(message)
        self.happened(facts.MessageReceived(link, payload))

    def told(self, *items: Item) -> None:
        """A neighbour shows objects."""
        link = self.linked(ALICE, observed="198.51.100.9:443")
        self.heard(link, Objects(list(items)))

    def did(self, kind: type[_E]) -> list[_E]:
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def tables(self) -> TablesChanged:
        (tables,) = self.did(TablesChanged)
        return tables

    def events(self) -> list[str]:
        return [log.event for log in self.did(Log)]

    def warnings(self) -> list[str]:
        return [log.event for log in self.did(Log) if log.level >= WARNING]


@pytest.fixture
def here() -> Node:
    return Node()


# Links


def test_a_neighbour_gets_a_route_addresses_and_a_place_among_the_members(here: Node) -> None:
    link = here.linked(ALICE)

    assert here.tables().routes == {ALICE.addresses.v4: ((link, 1),)}
    assert {owner.prefix for owner in here.tables().owners} == {"10.100.0.2/32", f"{ALICE.addresses.v6}/128"}
    assert here.mesh.members.get(ALICE.node_id) == ALICE
    assert here.did(StorePeers) == [StorePeers()]
    assert here.warnings() == []


def test_a_neighbour_we_know_is_not_stored_again(here: Node) -> None:
    here.parted(ALICE, here.linked(ALICE))
    here.linked(ALICE)

    assert here.did(StorePeers) == []


@pytest.mark.parametrize(
    ("observed", "host"), [("192.0.2.1:443", "192.0.2.1"), ("[2001:db8::1]:443", "2001:db8::1")], ids=["v4", "v6"]
)
def test_a_neighbour_is_told_where_we_see_it_and_then_all_we_hold(here: Node, observed: str, host: str) -> None:
    here.told(FIRST)
    link = here.linked(BOB, observed=observed)

    said = [(each.link, messages.decode(each.payload)) for each in here.did(SendMessage)]
    assert said == [(link, Observed(host, 443)), (link, Objects([FIRST]))]


def test_a_link_that_goes_takes_its_route_and_figures_but_not_the_member(here: Node) -> None:
    link = here.linked(ALICE)
    here.mesh.clock_compared(link, 400.0)
    here.heard(link, Observed("203.0.113.7", 41641))
    here.parted(ALICE, link)

    assert here.tables().routes == {}
    assert len(here.tables().owners) == 2
    assert here.mesh.observed() == []
    assert here.mesh.clock_offset() == 0.0


def test_a_node_whose_certificate_is_no_pulse_nodes_is_turned_away(here: Node) -> None:
    here.happened(replace(link_up(ALICE.node_id, 5), certificate=b"no certificate"))

    assert here.did(CloseLink) == [CloseLink(LinkId(5), "certificate")]
    assert here.warnings() == ["neighbour turned away"]
    assert here.mesh.neighbours.links() == []


def test_a_revoked_node_that_was_on_its_way_up_is_turned_away_and_dialled_later_only_if_named(here: Node) -> None:
    here.effects = here.mesh.peer_configured(HOME, here.now)
    (dial,) = here.did(Dial)
    here.told(revocation(BOB))

    link = here.linked(BOB, dial=dial.attempt)

    assert here.did(CloseLink) == [CloseLink(link, "certificate")]
    assert here.mesh.members.get(BOB.node_id) is None
    assert here.mesh.neighbours.link_to(BOB.node_id) is None
    assert [each.last_error for each in here.mesh.neighbours.unreached()] == [f"{BOB.node_id[:12]} is revoked"]
    assert here.mesh.deadline() is not None


# Messages


def test_where_neighbours_see_us_is_remembered_once_each_way(here: Node) -> None:
    for who, host in ((ALICE, "203.0.113.7"), (BOB, "203.0.113.7"), (SCRIBE, "2001:db8::7")):
        here.heard(here.linked(who), Observed(host, 41641))

    assert here.mesh.observed() == ["203.0.113.7:41641", "[2001:db8::7]:41641"]


def test_the_zone_of_an_address_is_free_text_and_is_dropped(here: Node) -> None:
    here.heard(here.linked(ALICE), Observed("fe80::1%\x1b[31m", 443))

    assert here.mesh.observed() == ["[fe80::1]:443"]


@pytest.mark.parametrize(
    ("host", "port"), [("", 443), ("localhost", 443), ("300.1.1.1", 443), ("\x1b[31m", 443), ("203.0.113.7", 0)]
)
def test_a_neighbour_that_sees_us_at_no_address_is_closed(here: Node, host: str, port: int) -> None:
    link = here.linked(ALICE)
    here.heard(link, Observed(host, port))

    assert here.did(CloseLink) == [CloseLink(link, "protocol")]
    assert here.mesh.observed() == []


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\x92\x02\xa0", b"\x93\x02\xa11\xce\xff\xff\xff\xff"])
def test_a_neighbour_whose_message_cannot_be_read_is_closed(here: Node, payload: bytes) -> None:
    link = here.linked(ALICE)
    here.heard(link, payload)

    assert here.did(CloseLink) == [CloseLink(link, "protocol")]
    assert here.warnings() == ["neighbour broke the protocol"]


def test_a_message_of_a_later_release_is_skipped_and_counted(here: Node) -> None:
    here.heard(here.linked(ALICE), b"\x92\xcc\xc8\x01")

    assert here.effects == []
    assert here.mesh.unknown_messages == 1


def test_a_message_of_a_link_that_is_gone_is_ignored(here: Node) -> None:
    link = here.linked(ALICE)
    here.parted(ALICE, link)
    here.heard(link, Observed("203.0.113.7", 41641))

    assert here.effects == []
    assert here.mesh.observed() == []


def test_what_a_leaving_neighbour_says_cannot_move_a_terminals_cursor(here: Node) -> None:
    here.heard(here.linked(ALICE), Leaving("stopped\x1b[2J"))

    (log,) = here.did(Log)
    assert (log.event, log.fields) == ("neighbour is leaving", {"reason": "stopped\N{REPLACEMENT CHARACTER}[2J"})


# Objects


def test_before_the_network_config_is_held_no_packet_passes(here: Node) -> None:
    here.linked(ALICE)
    assert not any(owner.destination or owner.source for owner in here.tables().owners)

    here.heard(LinkId(1), Objects([FIRST]))

    assert [type(each) for each in here.did(StoreConfig)] == [StoreConfig]
    assert all(owner.destination and owner.source for owner in here.tables().owners)


def test_a_node_the_ca_revoked_leaves_the_tables_and_is_dialled_no_more(here: Node) -> None:
    link = here.linked(BOB)
    here.told(revocation(BOB))

    assert {owner.node for owner in here.tables().owners} == {ALICE.node_id}
    assert BOB.addresses.v4 not in here.tables().routes
    assert here.did(TrustChanged) == [TrustChanged()]
    assert here.did(StorePeers) == [StorePeers()]
    assert len(here.did(StoreRevocation)) == 1

    here.parted(BOB, link)
    assert here.did(Dial) == []
    assert here.mesh.neighbours.addresses_of(BOB.node_id) == []


def test_a_revoked_node_we_never_met_is_kept_out_of_what_is_restored(here: Node) -> None:
    here.told(revocation(BOB))
    assert here.did(TablesChanged) == []

    assert here.mesh.peer_restored(BOB, [HOME], here.now) == []
    assert here.mesh.members.get(BOB.node_id) is None


def test_an_object_with_a_foreign_signature_is_refused_and_logged_and_the_rest_counts(here: Node) -> None:
    here.linked(BOB)
    here.told(revocation(BOB, by=FOREIGN), FIRST)

    assert here.warnings() == ["signed object refused"]
    assert here.did(StoreRevocation) == []
    assert len(here.did(StoreConfig)) == 1
    assert here.mesh.members.get(BOB.node_id) == BOB


def test_a_damaged_object_is_refused_and_logged(here: Node) -> None:
    here.told(Item(ObjectKind.ROLES, b"\x02"))

    assert here.warnings() == ["signed object refused"]


def test_the_scribes_word_counts_once_its_certificate_is_known(here: Node) -> None:
    here.told(ROLES, SCRIBES_CONFIG)
    assert here.warnings() == ["signed object refused"]

    here.heard(here.linked(SCRIBE), Objects([ROLES, SCRIBES_CONFIG]))
    assert here.warnings() == []
    assert here.mesh.statements.config is not None
    assert here.mesh.statements.config.number == (1, 1)


def test_the_scribe_cannot_revoke_the_cas_own_node(here: Node) -> None:
    here.linked(CA_NODE)
    here.linked(SCRIBE)
    here.told(ROLES, scribes_revocation(CA_NODE), scribes_revocation(BOB))

    assert here.warnings() == ["signed object refused"]
    assert here.mesh.statements.revoked() == {BOB.node_id}
    assert here.mesh.members.get(CA_NODE.node_id) == CA_NODE


# Peers and time


def test_a_restored_peer_is_dialled_wherever_it_was_and_is_in_the_tables(here: Node) -> None:
    here.effects = here.mesh.peer_restored(ALICE, [HOME, "198.51.100.1:443"], here.now)

    assert [(each.address, each.expect) for each in here.did(Dial)] == [
        (HOME, ALICE.node_id),
        ("198.51.100.1:443", ALICE.node_id),
    ]
    assert {owner.node for owner in here.mesh.tables().owners} == {ALICE.node_id}


def test_time_goes_to_the_machine_that_waits_for_it(here: Node) -> None:
    here.effects = here.mesh.peer_configured(HOME, here.now)
    (dial,) = here.did(Dial)
    assert here.mesh.deadline() is None

    here.happened(facts.DialFailed(dial.attempt, "timeout", "no answer"))
    deadline = here.mesh.deadline()
    assert deadline is not None
    assert here.mesh.tick(here.now) == []
    assert here.mesh.tick(deadline) == [Dial(2, HOME, None)]


def test_a_change_of_our_addresses_is_worth_a_try_at_once(here: Node) -> None:
    here.parted(ALICE, here.linked(ALICE))
    here.happened(facts.AddressesChanged())

    assert [each.address for each in here.did(Dial)] == [HOME]


def test_our_clock_is_judged_by_the_median_of_the_neighbours(here: Node) -> None:
    for who, offset in ((ALICE, -2.0), (BOB, 1.0), (SCRIBE, 90000.0)):
        here.mesh.clock_compared(here.linked(who), offset)

    assert here.mesh.clock_offset() == 1.0


def test_a_clock_is_vouched_for_by_neighbours_that_agree_and_by_nobody_else(here: Node) -> None:
    assert not here.mesh.clock_vouched()
    link = here.linked(ALICE)
    for offset, vouched in ((-300.0, True), (301.0, False)):
        here.mesh.clock_compared(link, offset)
        assert here.mesh.clock_vouched() is vouched


def test_figures_and_suspicions_reach_the_link_they_are_about(here: Node) -> None:
    link = here.linked(ALICE)
    here.happened(facts.LinksSampled((facts.LinkSample(link, 0.02, 0.001, 0.5),)))
    here.happened(facts.LinkSuspect(link, ALICE.node_id, suspect=True))

    quality = here.mesh.probe.quality(link)
    assert (quality.rtt, quality.jitter, quality.loss, quality.suspect) == (0.02, 0.001, 0.5, True)
    assert here.events() == ["link suspect"]


@pytest.mark.parametrize(
    ("fact", "event"),
    [
        (facts.SessionUp(ALICE.node_id), "session up"),
        (facts.SessionDown(ALICE.node_id, "idle"), "session down"),
        (facts.PeerWanted(ALICE.node_id), "traffic for a node"),
        (facts.NoRoute(ALICE.node_id), "traffic for a node"),
    ],
)
def test_facts_that_only_tell_are_logged(here: Node, fact: Fact, event: str) -> None:
    here.happened(fact)

    assert here.events() == [event]
    assert all(log.fields["node"] == ALICE.node_id[:12] for log in here.did(Log))


def test_every_fact_is_one_the_mesh_can_be_told(here: Node) -> None:
    link = LinkId(1)
    told: list[Fact] = [
        link_up(ALICE.node_id, 1, certificate=ALICE.der),
        facts.LinkSuspect(link, ALICE.node_id, suspect=True),
        facts.DialFailed(1, "timeout", ""),
        facts.MessageReceived(link, b""),
        facts.SessionUp(ALICE.node_id),
        facts.SessionDown(ALICE.node_id, ""),
        facts.PeerWanted(ALICE.node_id),
        facts.NoRoute(ALICE.node_id),
        facts.LinksSampled(()),
        facts.AddressesChanged(),
        facts.LinkDown(link, ALICE.node_id, ""),
    ]
    for fact in told:
        here.happened(fact)
        assert isinstance(here.effects, list)

    assert {type(fact) for fact in told} == set(get_args(Fact))


def test_we_are_a_member_but_own_no_address_in_the_tables(here: Node) -> None:
    assert here.mesh.members.get(ME.node_id) == ME
    assert here.mesh.tables() == TablesChanged({}, ())
    assert ME.addresses.v4 == IPv4Address("10.100.0.1")
