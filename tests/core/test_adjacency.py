"""Adjacency: what a link that is up, down, suspect or measured does to a whole node."""

from dataclasses import replace

import pytest

from pulse.core import facts, messages
from pulse.core.effects import (
    CloseLink,
    CloseSession,
    Dial,
    ExpectProbes,
    StorePeers,
)
from pulse.core.messages import NodeRecords, ObjectKind, Objects, Observed
from pulse.core.paths.noderecord import OPEN, REACHABLE, sign_record
from pulse.core.types import LinkId
from tests.authority import key
from tests.core.meshing import (
    ALICE,
    BOB,
    FIRST,
    HOME,
    Node,
    revocation,
)
from tests.mint import link_up


@pytest.fixture
def here() -> Node:
    return Node()


def test_a_neighbour_gets_a_route_addresses_and_a_place_among_the_members(here: Node) -> None:
    link = here.linked(ALICE)

    ((way,),) = here.tables().routes.values()
    assert (way.link, way.last) == (link, False)
    assert list(here.tables().routes) == [ALICE.addresses.v4]
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

    observed_at, offered, digest = [message for to, message in here.said() if to == link]
    assert observed_at == Observed(host, 443)
    assert isinstance(offered, Objects)
    assert ([each.kind for each in offered.items], offered.complete) == ([ObjectKind.CONFIG_OFFER], True)
    assert isinstance(digest, messages.Digest)


def test_a_link_that_goes_takes_its_route_and_figures_but_not_the_member(here: Node) -> None:
    link = here.linked(ALICE)
    here.happened(facts.ClockCompared(link, 400.0))
    here.heard(link, Observed("203.0.113.7", 41641))
    here.parted(ALICE, link)

    assert here.tables().routes == {}
    assert len(here.tables().owners) == 2
    assert here.mesh.sight.addresses() == []
    assert here.mesh.sight.clock_offset() == 0.0


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


def test_figures_and_suspicions_reach_the_link_they_are_about(here: Node) -> None:
    link = here.linked(ALICE)
    here.happened(facts.LinksSampled((facts.LinkSample(link, 0.02, 0.001, 0.5),)))
    here.happened(facts.LinkSuspect(link, ALICE.node_id, suspect=True))

    quality = here.mesh.probe.quality(link)
    assert (quality.rtt, quality.jitter, quality.loss, quality.suspect) == (0.02, 0.001, 0.5, True)
    assert here.events() == ["link suspect"]


@pytest.mark.parametrize(("punched", "reachable"), [(True, False), (False, True)])
def test_whoever_comes_through_a_hole_does_not_make_us_reachable_to_strangers(
    here: Node, punched: bool, reachable: bool
) -> None:
    asked = facts.PunchAsked(1, BOB.node_id, messages.pack(messages.Punch(bytes(16), [HOME])))
    here.happened(asked)
    (attempt,) = here.did(ExpectProbes)[0].attempts
    if punched:
        here.happened(facts.ProbeReceived(attempt.number, HOME, echo=False))
    here.linked(BOB, observed=HOME)
    here.passed(5.0)

    own = here.mesh.gossip.record(here.mesh.me.node_id)
    assert own is not None
    assert own.reachable is reachable


def parted_from_alice(here: Node, flags: int = REACHABLE) -> Dial:
    """Her link is gone, and she is dialled where she was."""
    here.told(FIRST)
    link = here.linked(ALICE)
    record = sign_record(key("alice"), ALICE, boot=1, seq=1, flags=flags, candidates=[HOME])
    here.heard(link, NodeRecords([record.data]))
    here.parted(ALICE, link)
    for other in (each for each in here.mesh.neighbours.links() if each.node == ALICE.node_id):
        here.parted(ALICE, other.link)
    here.until(Dial)
    return here.did(Dial)[0]


@pytest.mark.parametrize("flags", [REACHABLE, OPEN])
def test_a_session_ends_once_the_machine_of_its_node_says_that_nothing_listens(here: Node, flags: int) -> None:
    dial = parted_from_alice(here, flags)
    here.happened(facts.DialFailed(dial.attempt, "closed", "nothing listens there"))
    assert here.did(CloseSession) == [CloseSession(ALICE.node_id, "its process has ended")]


@pytest.mark.parametrize(
    ("code", "flags"),
    [
        ("timeout", REACHABLE),
        ("unreachable", REACHABLE),
        ("closed", 0),
    ],
    ids=["it may sleep", "it may have moved", "a NAT may have said so"],
)
def test_a_session_outlives_what_says_less(here: Node, code: str, flags: int) -> None:
    dial = parted_from_alice(here, flags)
    here.happened(facts.DialFailed(dial.attempt, code, "so it is"))
    assert here.did(CloseSession) == []


def test_a_session_outlives_a_direct_way_that_is_refused_while_another_leads_there(here: Node) -> None:
    dial = parted_from_alice(here)
    here.linked(ALICE, observed="192.0.2.99:443")
    here.happened(facts.DialFailed(dial.attempt, "closed", "nothing listens there"))
    assert here.did(CloseSession) == []
