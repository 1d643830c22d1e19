"""Machines: the tables that follow from what all of them know."""

from ipaddress import IPv4Address

import pytest

from pulse.core.effects import Owner, StoreConfig, TablesChanged
from pulse.core.messages import Objects
from pulse.core.types import LinkId
from tests.core.meshing import ALICE, CA_NODE, FIRST, ME, Node


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
