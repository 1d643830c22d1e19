"""The names that one node is told: of whom it may reach, as they are called, with what they announce."""

import pytest

from pulse.core import facts
from pulse.core.hosts import known_names
from pulse.core.messages import Item, NodeRecords, ObjectKind
from pulse.core.network.netconfig import Config, Settings, sign_config
from pulse.core.network.policy import Rule
from pulse.core.network.zones import ZoneRecord
from pulse.core.paths.noderecord import Service, sign_record
from pulse.core.trust.identity import node_bytes
from tests.authority import MESH, NOW, key
from tests.core.meshing import ALICE, BOB, CA, ME, ROLES, SCRIBE, Node, revocation
from tests.mint import member

DEE = member(CA, "dee", 7, name="dee", host="laptop")


@pytest.fixture
def here() -> Node:
    made = Node()
    made.happened(facts.ClockRead(NOW))
    for each in (SCRIBE, ALICE, BOB, DEE):
        made.linked(each)
    made.told(ROLES, ruled(1))
    return made


def ruled(number: int, *rules: Rule, zones: tuple[ZoneRecord, ...] = ()) -> Item:
    names = {node_bytes(ALICE.node_id): "vm-01", node_bytes(BOB.node_id): "db"}
    config = Config(1, number, Settings(str(MESH)), names=names, acl=list(rules), zones=list(zones))
    return Item(ObjectKind.CONFIG, sign_config(CA.network, config, key("scribe")).data)


def said(here: Node, name: str) -> list[str] | None:
    found = known_names(here.mesh, here.now).at(tuple(name.split(".")))
    return None if found is None else [each.value for each in found]


def test_nodes_are_called_as_everywhere_else(here: Node) -> None:
    assert said(here, "vm-01.pulse") == [str(ALICE.addresses.v4), str(ALICE.addresses.v6)]
    assert said(here, f"{SCRIBE.node_id[:12]}.pulse") == [str(SCRIBE.addresses.v4), str(SCRIBE.addresses.v6)]
    assert said(here, "dee.pulse") == said(here, "laptop.pulse") == [str(DEE.addresses.v4), str(DEE.addresses.v6)]
    assert said(here, "1.0.100.10.in-addr.arpa") == [f"{ME.node_id[:12]}.pulse"]


def test_who_may_not_be_reached_is_hidden_and_this_node_never(here: Node) -> None:
    to_alice = Rule("r1", ["*"], ["vm-01"], allow=True, protocols=[6], ports=[(22, 22)])
    here.told(ruled(2, to_alice, zones=(ZoneRecord("web.pulse", "A", str(BOB.addresses.v4)),)))
    assert said(here, "vm-01.pulse") is not None
    assert said(here, f"{ME.node_id[:12]}.pulse") is not None
    for name in ("db.pulse", "dee.pulse", "web.pulse"):
        assert said(here, name) is None

    here.told(ruled(3, Rule("r1", ["*"], ["*"], allow=True)))
    assert said(here, "db.pulse") is not None


def test_before_a_network_config_is_in_force_it_knows_itself_alone() -> None:
    alone = Node()
    alone.linked(ALICE)
    assert said(alone, f"{ALICE.node_id[:12]}.pulse") is None
    assert said(alone, f"{ME.node_id[:12]}.pulse") is not None


def test_who_is_revoked_is_no_name_and_one_that_is_so_itself_knows_nobody(here: Node) -> None:
    here.told(revocation(BOB))
    assert said(here, "db.pulse") is None
    assert said(here, "vm-01.pulse") is not None
    here.told(revocation(ME))
    assert said(here, f"{ME.node_id[:12]}.pulse") is None
    assert said(here, "vm-01.pulse") is None


def test_what_a_node_announces_is_told_and_whoever_looks_knows_that_it_changed(here: Node) -> None:
    before = here.mesh.names_revision
    services = [Service("postgres", 5432, 10), Service("postgres", 5432, 10)]
    record = sign_record(key("alice"), ALICE, boot=1, seq=1, services=services)
    link = here.linked(SCRIBE)
    assert here.mesh.names_revision == before
    here.heard(link, NodeRecords([record.data]))

    assert said(here, "_postgres._tcp.vm-01.pulse") == ["10 0 5432 vm-01.pulse"]
    assert here.mesh.names_revision != before

    before = here.mesh.names_revision
    here.told(ruled(2))
    assert here.mesh.names_revision != before
