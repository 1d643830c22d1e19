"""Mesh: what each fact does to a whole node, told as the conversation of neighbours."""

from ipaddress import ip_network
from typing import get_args

import pytest

from pulse.core import facts
from pulse.core.effects import (
    CloseLink,
    Dial,
    Effect,
    Log,
    StoreConfig,
    StorePeers,
    StoreRevocation,
    TablesChanged,
    TrustChanged,
)
from pulse.core.facts import Fact
from pulse.core.messages import Item, Leaving, NodeRecords, ObjectKind, Objects, Observed
from pulse.core.network.netconfig import Config, Settings, sign_config
from pulse.core.network.routes import Route
from pulse.core.paths.noderecord import sign_record
from pulse.core.trust.identity import node_bytes
from pulse.core.types import LinkId
from tests.authority import MESH, NOW, key
from tests.core.meshing import (
    ALICE,
    BOB,
    CA,
    CA_NODE,
    FIRST,
    FOREIGN,
    HOME,
    ME,
    ROLES,
    SCRIBE,
    SCRIBES_CONFIG,
    Node,
    revocation,
    scribes_revocation,
)
from tests.mint import link_up


@pytest.fixture
def here() -> Node:
    return Node()


# Messages


def test_where_neighbours_see_us_is_remembered_once_each_way(here: Node) -> None:
    for who, host in ((ALICE, "203.0.113.7"), (BOB, "203.0.113.7"), (SCRIBE, "2001:db8::7")):
        here.heard(here.linked(who), Observed(host, 41641))

    assert here.mesh.sight.addresses() == ["203.0.113.7:41641", "[2001:db8::7]:41641"]


def test_the_zone_of_an_address_is_free_text_and_is_dropped(here: Node) -> None:
    here.heard(here.linked(ALICE), Observed("2001:db8::1%\x1b[31m", 443))

    assert here.mesh.sight.addresses() == ["[2001:db8::1]:443"]


@pytest.mark.parametrize(
    ("host", "port"), [("", 443), ("localhost", 443), ("300.1.1.1", 443), ("\x1b[31m", 443), ("203.0.113.7", 0)]
)
def test_a_neighbour_that_sees_us_at_no_address_is_closed(here: Node, host: str, port: int) -> None:
    link = here.linked(ALICE)
    here.heard(link, Observed(host, port))

    assert here.did(CloseLink) == [CloseLink(link, "protocol")]
    assert here.mesh.sight.addresses() == []


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
    assert here.mesh.sight.addresses() == []


def test_what_a_leaving_neighbour_says_cannot_move_a_terminals_cursor(here: Node) -> None:
    here.heard(here.linked(ALICE), Leaving("stopped\x1b[2J"))

    (log,) = here.did(Log)
    assert (log.event, log.fields) == ("neighbour is leaving", {"reason": "stopped\N{REPLACEMENT CHARACTER}[2J"})


def test_a_neighbour_leaves_once_however_often_it_says_so(here: Node) -> None:
    link = here.linked(ALICE)
    here.heard(link, Leaving("stopped"))
    here.heard(link, Leaving("stopped"))

    assert here.events() == []


def test_what_we_know_already_of_where_we_are_is_not_worked_out_again(
    here: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = here.linked(ALICE)
    here.heard(link, Observed("203.0.113.7", 1))
    looked: list[object] = []

    def own_addresses(own: object) -> list[Effect]:
        looked.append(own)
        return []

    monkeypatch.setattr(here.mesh.neighbours, "own_addresses", own_addresses)
    for port in (1, 1, *range(2, 100)):
        here.heard(link, Observed("203.0.113.7", port))

    assert len(looked) < 10


# Objects


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

    assert here.mesh.peer_restored(BOB, [HOME], here.now) == []
    assert here.mesh.members.get(BOB.node_id) is None


@pytest.mark.parametrize(
    "forged", [revocation(BOB, by=FOREIGN), Item(ObjectKind.ROLES, b"\x02")], ids=["foreign", "stump"]
)
def test_a_neighbour_that_tells_a_forged_object_is_closed_and_what_came_before_counts(here: Node, forged: Item) -> None:
    here.linked(BOB)
    here.told(FIRST, forged)

    assert here.warnings() == ["neighbour broke the protocol"]
    assert here.did(CloseLink) == [CloseLink(LinkId(2), "protocol")]
    assert here.did(StoreRevocation) == []
    assert len(here.did(StoreConfig)) == 1
    assert here.mesh.members.get(BOB.node_id) == BOB


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


def test_a_neighbour_that_is_gone_vouches_for_no_clock(here: Node) -> None:
    link = here.linked(ALICE)
    here.happened(facts.ClockCompared(link, 1.0))
    assert here.mesh.sight.clock_vouched()

    here.parted(ALICE, link)
    assert not here.mesh.sight.clock_vouched()


@pytest.mark.parametrize(
    ("fact", "event"),
    [
        (facts.SessionUp(ALICE.node_id), "session up"),
        (facts.SessionDown(ALICE.node_id, "idle"), "session down"),
        (facts.PeerWanted(ALICE.node_id), "traffic for a node"),
        (facts.NoRoute(ALICE.node_id), "traffic for a node"),
        (facts.FlowDenied(ALICE.node_id, "ssh", 6, 22, 3), "flow denied"),
    ],
)
def test_facts_that_only_tell_are_logged(here: Node, fact: Fact, event: str) -> None:
    here.happened(fact)

    assert here.events() == [event]
    assert all(log.fields["node"] == ALICE.node_id[:12] for log in here.did(Log))


def test_the_tables_follow_what_an_exit_answers_and_the_log_says_what_it_was(here: Node) -> None:
    here.mesh.happened(facts.ClockRead(NOW), here.now)
    internet = "0.0.0.0/0"
    routes = [Route(node_bytes(ALICE.node_id), internet, approved=True)]
    config = Config(1, 1, Settings(str(MESH)), routes=routes)
    here.linked(SCRIBE)
    link = here.linked(ALICE)
    signed = sign_config(CA.network, config, key("scribe"))
    here.heard(link, Objects([ROLES, FIRST, Item(ObjectKind.CONFIG, signed.data)]))
    here.heard(link, NodeRecords([sign_record(key("alice"), ALICE, boot=1, seq=1, exits=(internet,)).data]))

    for well, shut, event, used in (
        (True, (internet,), "exit ranges changed", None),
        (True, (), "exit ranges changed", ALICE.node_id),
        (False, (), None, ALICE.node_id),
        (False, (), "exit failed", None),
        (True, (), "exit healthy", ALICE.node_id),
    ):
        here.happened(facts.ExitAnswered(ALICE.node_id, well, shut))
        assert here.events() == ([event] if event else [])
        assert bool(here.did(TablesChanged)) is bool(event)
        assert here.mesh.beyond.used() == {ip_network(internet): used}


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
        facts.FlowDenied(ALICE.node_id, "", 1, 0, 0),
        facts.LinksSampled(()),
        facts.AddressesChanged(),
        facts.PortMapped("203.0.113.7:443"),
        facts.LinkMoved(link, ALICE.node_id, HOME),
        facts.SourcesChanged((link,)),
        facts.Woke(90.0),
        facts.PathSuspected(ALICE.node_id, link, suspect=True),
        facts.PinsChanged({ALICE.node_id: ALICE.node_id}),
        facts.ConfigFetched(ALICE.node_id, None),
        facts.RelaysPublished(()),
        facts.PunchAsked(1, ALICE.node_id, b""),
        facts.PunchAnswered(ALICE.node_id, None),
        facts.ProbeReceived(1, HOME, echo=True),
        facts.ClockCompared(link, 0.0),
        facts.ClockRead(NOW),
        facts.IdentityRenewed(ME.der),
        facts.ChainShown(()),
        facts.LansChanged(1, 443),
        facts.ExitAnswered(ALICE.node_id, well=False),
        facts.BeaconHeard(b"", "192.0.2.2", on_link=True),
        facts.LinkDown(link, ALICE.node_id, ""),
    ]
    for fact in told:
        here.happened(fact)
        assert isinstance(here.effects, list)

    assert {type(fact) for fact in told} == set(get_args(Fact))
