"""Machines: the tables that follow from what all of them know."""

from ipaddress import IPv4Address

import pytest

from pulse.core import facts
from pulse.core.effects import Owner, PolicyChanged, PolicyRule, StoreConfig, TablesChanged
from pulse.core.messages import Item, ObjectKind, Objects
from pulse.core.network.netconfig import Config, Settings, sign_config
from pulse.core.network.policy import Rule
from pulse.core.network.routes import Route
from pulse.core.trust.identity import mesh_prefix, node_bytes
from pulse.core.types import LinkId
from tests.authority import MESH, NOW, key
from tests.core.meshing import ALICE, BOB, CA, CA_NODE, FIRST, ME, ROLES, SCRIBE, Node, revocation


@pytest.fixture
def here() -> Node:
    return Node()


def test_we_are_a_member_but_own_no_address_in_the_tables(here: Node) -> None:
    assert here.mesh.members.get(ME.node_id) == ME
    assert here.mesh.tables() == TablesChanged({}, ())
    assert ME.addresses.v4 == IPv4Address("10.100.0.1")


def test_before_the_network_config_is_held_no_packet_passes(here: Node) -> None:
    here.linked(ALICE)
    assert not any(owner.destination or owner.source for owner in here.tables().owners)

    here.heard(LinkId(1), Objects([FIRST]))

    assert [type(each) for each in here.did(StoreConfig)] == [StoreConfig]
    assert here.tables().owners == (
        Owner(f"{ALICE.addresses.v4}/32", ALICE.node_id, destination=True, source=True),
        Owner(f"{ALICE.addresses.v6}/128", ALICE.node_id, destination=True, source=True),
    )


def test_the_cas_own_nodes_are_known_once_they_were_met(here: Node) -> None:
    assert here.mesh.ca_nodes() == frozenset()

    here.linked(CA_NODE)

    assert here.mesh.ca_nodes() == {CA_NODE.node_id}


def test_the_ranges_of_the_mesh_are_closed_to_what_leads_beyond_it(here: Node) -> None:
    wide = Route(node_bytes(ME.node_id), "0.0.0.0/0", approved=True)
    config = Config(1, 1, Settings(str(MESH)), routes=[wide])
    here.mesh.beyond._offers = (wide.cidr,)
    here.linked(SCRIBE)
    here.told(ROLES, Item(ObjectKind.CONFIG, sign_config(CA.network, config, key("scribe")).data))

    ours = {each.prefix: each.source for each in here.tables().owners if each.node == ME.node_id}
    assert ours == {"0.0.0.0/0": True, str(MESH): False, str(mesh_prefix(ME.network)): False}


# Rules


def ruled(number: int, *rules: Rule) -> Item:
    """The scribe's config with these rules."""
    config = Config(1, number, Settings(str(MESH)), acl=list(rules))
    return Item(ObjectKind.CONFIG, sign_config(CA.network, config, key("scribe")).data)


TO_ALICE = Rule("1", ["*"], [ALICE.node_id], allow=True, redundant=True)


def test_rules_reach_the_data_plane_before_the_tables_that_let_packets_pass(here: Node) -> None:
    here.linked(SCRIBE)
    here.told(ROLES, ruled(1, TO_ALICE))

    told = [each for each in here.effects if isinstance(each, PolicyChanged | TablesChanged)]
    handle = str(ALICE.addresses.v4)
    assert told[0] == PolicyChanged((PolicyRule(True, None, (handle,), (), (), redundant=True, id="1"),))
    assert isinstance(told[1], TablesChanged)


def test_a_node_that_is_met_later_is_fitted_by_the_rules_that_are_in_force(here: Node) -> None:
    here.linked(SCRIBE)
    here.told(ROLES, ruled(1, Rule("1", [BOB.node_id], ["*"], allow=True)))
    assert here.did(PolicyChanged)[-1].rules[0].sources == ()

    here.linked(BOB)
    assert here.did(PolicyChanged)[-1].rules[0].sources == (str(BOB.addresses.v4),)

    here.linked(CA_NODE)
    assert here.did(PolicyChanged) == [], "nothing a rule fits has changed"


def test_a_config_without_rules_opens_the_network_again(here: Node) -> None:
    here.linked(SCRIBE)
    here.told(ROLES, ruled(1, TO_ALICE))
    here.told(ruled(2))

    assert here.did(PolicyChanged) == [PolicyChanged(())]


def test_without_rules_nothing_is_said_of_them(here: Node) -> None:
    here.told(FIRST)

    assert here.did(PolicyChanged) == []


def test_a_revoked_node_fits_no_rule(here: Node) -> None:
    here.linked(SCRIBE)
    here.told(ROLES, ruled(1, TO_ALICE))
    here.told(revocation(ALICE))

    assert here.did(PolicyChanged)[-1].rules[0].destinations == ()


# Times and questions


def test_a_rule_ends_by_itself_and_the_data_plane_hears_it(here: Node) -> None:
    here.linked(SCRIBE)
    here.linked(ALICE)
    here.happened(facts.ClockRead(NOW))
    handle = str(ALICE.addresses.v4)
    ends = Rule("r1", ["*"], [ALICE.node_id], allow=True, expires=NOW + 5.0)
    here.told(ROLES, ruled(1, ends))
    assert here.did(PolicyChanged)[-1].rules[0].destinations == (handle,)
    assert here.mesh.may(ME.node_id, ALICE.node_id, 6, 22, here.now)

    due = here.mesh.timetable.deadline()
    assert due is not None
    here.effects = here.mesh.tick(due)

    assert here.did(PolicyChanged)[-1].rules[0].destinations == ()
    assert not here.mesh.may(ME.node_id, ALICE.node_id, 6, 22, due)


def test_a_clock_the_neighbours_do_not_share_opens_nothing(here: Node) -> None:
    link = here.linked(SCRIBE)
    here.happened(facts.ClockRead(NOW))
    here.told(ROLES, ruled(1, Rule("r1", ["*"], ["*"], allow=True, expires=NOW + 5000.0)))

    here.happened(facts.ClockCompared(link, 301.0))
    assert here.did(PolicyChanged)[-1].rules[0].sources == ()

    here.happened(facts.ClockCompared(link, 299.0))
    assert here.did(PolicyChanged)[-1].rules[0].sources is None


def test_nothing_may_pass_before_a_config_is_in_force_nor_to_strangers(here: Node) -> None:
    here.linked(SCRIBE)
    assert not here.mesh.may(ME.node_id, SCRIBE.node_id, 6, 22, here.now)

    here.told(FIRST)
    assert here.mesh.may(ME.node_id, SCRIBE.node_id, 6, 22, here.now)
    assert not here.mesh.may(ME.node_id, BOB.node_id, 6, 22, here.now)
