"""The scribe's pen: each edit is the next config or a refusal in words, as a naive model says."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.network import naming as module
from pulse.core.network import netconfig
from pulse.core.network.edits import Edit, Edits
from pulse.core.network.naming import NodeNamed, NodeTagged, NodeUntagged
from pulse.core.network.netconfig import Config, Settings, SignedConfig, first_config, named, sign_config
from pulse.core.network.scribe import Scribe
from pulse.core.network.statements import NO_FLOORS, Statements
from pulse.core.trust.certificates import TAGS_LIMIT
from pulse.core.trust.identity import node_bytes, public_bytes
from pulse.core.trust.join import Floors
from pulse.core.trust.members import Members, Naming
from pulse.core.trust.revocation import sign_revocation
from pulse.core.trust.roles import Roles, sign_roles
from pulse.core.types import NodeId
from pulse.errors import Conflict, NotFound, ProtocolError, Refused
from tests.authority import MESH, NOW, Ca, key, node
from tests.mint import member

CA = Ca()
HOME, RELAY, CAM, NEW = node("home"), node("relay"), node("cam"), node("new")
FIRST = first_config(CA.network, MESH, CA.key)


@dataclass
class Desk:
    """The scribe `home`, its papers, and what it has on disk."""

    floors: Floors = NO_FLOORS
    highest: int = 0
    statements: Statements = field(init=False)
    members: Members = field(init=False)
    scribe: Scribe = field(init=False)

    def __post_init__(self) -> None:
        self.statements = Statements(CA.chain, frozenset, lambda _: None, self.floors)
        self.members = Members(self.statements.naming)
        self.members.certificate_seen(member(CA, "home", 1, host="home"))
        self.members.certificate_seen(member(CA, "relay", 2, host="relay", tags=("edge",)))
        self.members.certificate_seen(member(CA, "cam", 3, name="cam-7"))
        self.scribe = Scribe(HOME, key("home"), self.statements, self.members, lambda: self.highest)

    def appointed(self, who: str = "home", epoch: int = 1) -> "Desk":
        """The CA names the scribe."""
        roles = Roles(epoch, node(who), epoch, scribe_key=public_bytes(key(who)))
        self.hear(sign_roles(CA.network, roles, CA.key).data)
        return self

    def hear(self, data: bytes) -> None:
        """An object arrives."""
        self.statements.object_received(data[0], data)

    def publish(self, signed: SignedConfig) -> SignedConfig:
        """What was written comes into force, as every node judges it."""
        self.hear(signed.data)
        return signed

    def name(self, who: NodeId, name: str) -> SignedConfig:
        return self.edit(NodeNamed(node_bytes(who), name))

    def tag(self, who: NodeId, tag: str) -> SignedConfig:
        return self.edit(NodeTagged(node_bytes(who), tag))

    def untag(self, who: NodeId, tag: str) -> SignedConfig:
        return self.edit(NodeUntagged(node_bytes(who), tag))

    def edit(self, *edits: Edit) -> SignedConfig:
        """What the scribe would sign."""
        return self.scribe.edited(Edits([*edits]), NOW)

    @property
    def naming(self) -> Naming:
        return self.statements.naming()


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.hear(FIRST.data)
    return desk.appointed()


# Office


def test_a_new_scribe_first_signs_the_newest_config_it_holds(desk: Desk) -> None:
    renewed = desk.scribe.renewed()
    assert renewed is not None
    desk.publish(renewed)

    assert (renewed.number, renewed.mesh_cidr) == ((1, 2), MESH)
    assert desk.statements.config == renewed
    assert desk.scribe.renewed() is None


def test_nothing_is_renewed_by_who_is_not_the_scribe_or_has_no_config(desk: Desk) -> None:
    assert Desk().appointed().scribe.renewed() is None
    assert desk.appointed("relay", 2).scribe.renewed() is None


def test_a_scribe_that_sees_itself_replaced_stops_writing_and_names_the_other(desk: Desk) -> None:
    desk.publish(desk.name(RELAY, "relay-01"))
    desk.appointed("cam", 2)

    with pytest.raises(Refused, match=rf"neither the scribe.*\nRun it on cam-7 \({CAM[:12]}\)"):
        desk.name(RELAY, "relay-02")
    with pytest.raises(Refused, match="neither the scribe"):
        desk.tag(RELAY, "infra")


def test_without_a_scribe_the_next_step_is_named() -> None:
    with pytest.raises(Refused, match=r"no scribe.*\nStart the CA with --scribe"):
        Desk().name(RELAY, "relay-01")


@pytest.mark.parametrize("floors", [NO_FLOORS, Floors(1, 1, 9)], ids=["none", "one below the floor"])
def test_a_scribe_without_the_networks_config_writes_none(floors: Floors) -> None:
    desk = Desk(floors)
    if floors != NO_FLOORS:
        desk.hear(FIRST.data)
    desk.appointed()

    with pytest.raises(Refused, match="has not got the network's config"):
        desk.name(RELAY, "relay-01")
    assert desk.scribe.renewed() is None


def test_no_generation_is_written_twice_though_the_newest_was_lost(desk: Desk) -> None:
    desk.highest = 7

    assert desk.name(RELAY, "relay-01").number == (1, 8)


# Names


def test_a_name_is_in_force_everywhere_the_config_is(desk: Desk) -> None:
    signed = desk.publish(desk.name(RELAY, "relay-01"))

    assert signed.number == (1, 2)
    assert desk.naming.names == {RELAY: "relay-01"}
    assert desk.members.resolve("relay-01").node_id == RELAY


def test_a_name_another_node_has_is_a_conflict_that_names_it(desk: Desk) -> None:
    desk.publish(desk.name(RELAY, "relay-01"))

    with pytest.raises(Conflict, match=f"relay-01 is the name of {RELAY[:12]} already"):
        desk.name(CAM, "relay-01")
    with pytest.raises(Conflict, match=f"pulse name {CAM[:12]} <other name>"):
        desk.name(RELAY, "cam-7")


def test_renaming_frees_the_old_name(desk: Desk) -> None:
    desk.publish(desk.name(CAM, "cam-8"))
    desk.publish(desk.name(RELAY, "cam-7"))
    desk.publish(desk.name(CAM, "cam-9"))

    assert desk.publish(desk.name(RELAY, "cam-8")).number == (1, 5)
    assert desk.naming.names == {CAM: "cam-9", RELAY: "cam-8"}


def test_a_name_a_node_has_already_changes_nothing(desk: Desk) -> None:
    signed = desk.publish(desk.name(RELAY, "relay-01"))

    assert desk.name(RELAY, "relay-01") == signed


def test_what_a_revoked_node_was_called_is_free(desk: Desk) -> None:
    desk.publish(desk.name(CAM, "eye"))
    desk.publish(desk.tag(CAM, "video"))
    desk.hear(sign_revocation(CA.network, CAM, CA.key, time=NOW).data)
    desk.publish(desk.name(RELAY, "eye"))

    assert desk.naming == Naming({RELAY: "eye"}, {})


@pytest.mark.parametrize("name", ["", "Relay", "cafe", "re lay", "-relay", "a" * 64, "x\x1b[2J", "relay.pulse", "é"])
def test_what_cannot_be_a_name_is_refused_without_its_escapes(desk: Desk, name: str) -> None:
    with pytest.raises(Refused, match="cannot name a node: a name has lower case") as refused:
        desk.name(RELAY, name)
    assert "\x1b" not in str(refused.value)


# Tags


def test_the_first_edit_takes_over_the_tags_of_the_certificate(desk: Desk) -> None:
    desk.publish(desk.tag(RELAY, "infra"))

    assert desk.naming.tags == {RELAY: ("edge", "infra")}


def test_the_last_tag_can_go_and_does_not_come_back_from_the_certificate(desk: Desk) -> None:
    desk.publish(desk.untag(RELAY, "edge"))
    relay = desk.members.get(RELAY)

    assert desk.naming.tags == {RELAY: ()}
    assert relay is not None
    assert desk.members.tags(relay) == ()


def test_a_tag_worn_already_changes_nothing(desk: Desk) -> None:
    assert desk.tag(RELAY, "edge") is desk.statements.config


@pytest.mark.parametrize(("who", "has"), [(RELAY, "it has: edge"), (CAM, "it has none"), (NEW, "it has none")])
def test_a_tag_that_is_not_there_cannot_be_taken(desk: Desk, who: NodeId, has: str) -> None:
    with pytest.raises(NotFound, match=has) as refused:
        desk.untag(who, "x\x1b")
    assert "\x1b" not in str(refused.value)


@pytest.mark.parametrize("tag", ["", "Infra", "a b", "-a", "a" * 64, "a\n", "\u202e"])
def test_what_cannot_be_a_tag_is_refused(desk: Desk, tag: str) -> None:
    with pytest.raises(Refused, match="cannot be a tag"):
        desk.tag(RELAY, tag)


# Bounds


def test_a_node_has_so_many_tags_and_no_more(desk: Desk) -> None:
    tags = {CAM: tuple(f"t{number}" for number in range(TAGS_LIMIT))}
    desk.publish(sign_config(CA.network, named(Config(1, 5, Settings(str(MESH))), Naming({}, tags)), key("home")))

    with pytest.raises(Refused, match=f"cam-7 has {TAGS_LIMIT} tags already"):
        desk.tag(CAM, "one-more")


def test_a_config_holds_so_many_nodes_and_no_more(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.publish(desk.name(RELAY, "relay-01"))
    desk.publish(desk.tag(RELAY, "infra"))
    monkeypatch.setattr(module, "NODES_LIMIT", 1)

    with pytest.raises(Refused, match="names 1 nodes already"):
        desk.name(CAM, "cam-8")
    with pytest.raises(Refused, match="tags 1 nodes already"):
        desk.tag(CAM, "video")
    assert desk.name(RELAY, "relay-02").naming.names == {RELAY: "relay-02"}


def test_a_config_too_long_to_be_fetched_is_not_signed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netconfig, "CONFIG_LIMIT", 130)

    with pytest.raises(Refused, match="130 are allowed"):
        desk.name(RELAY, "a-name-that-does-not-fit")


# Several edits together


def test_edits_are_made_together_in_their_order(desk: Desk) -> None:
    relay, cam = node_bytes(RELAY), node_bytes(CAM)
    signed = desk.edit(NodeNamed(cam, "cam-8"), NodeNamed(relay, "cam-7"), NodeTagged(relay, "infra"))

    assert signed.number == (1, 2)
    assert signed.naming == Naming({CAM: "cam-8", RELAY: "cam-7"}, {RELAY: ("edge", "infra")})


def test_if_one_cannot_be_made_none_is(desk: Desk) -> None:
    before = desk.statements.config
    with pytest.raises(NotFound):
        desk.edit(NodeNamed(node_bytes(RELAY), "relay-01"), NodeUntagged(node_bytes(RELAY), "nothing"))

    assert desk.statements.config is before


def test_edits_for_another_config_than_the_one_in_force_are_a_conflict(desk: Desk) -> None:
    desk.publish(desk.name(RELAY, "relay-01"))
    edit = NodeTagged(node_bytes(RELAY), "infra")

    with pytest.raises(Conflict, match=r"is 1\.2 by now, and this edit was made for 0\.1: nothing is changed"):
        desk.scribe.edited(Edits([edit], base=(0, 1)), NOW)
    assert desk.scribe.edited(Edits([edit], base=(1, 2)), NOW).number == (1, 3)


# Any sequence of edits


@dataclass
class Model:
    """Names and tags as one would keep them on paper."""

    names: dict[str, str] = field(default_factory=dict)
    tags: dict[str, list[str]] = field(default_factory=dict)

    def edit(self, kind: str, who: str, word: str) -> bool:
        """True if the edit is allowed; it is made then."""
        if kind == "name":
            if any(held == word and other != who for other, held in self.names.items()):
                return False
            self.names[who] = word
        elif kind == "tag":
            worn = self.tags.setdefault(who, [])
            if word not in worn:
                worn.append(word)
        elif word in self.tags.get(who, []):
            self.tags[who].remove(word)
        else:
            return False
        return True


edits = st.tuples(
    st.sampled_from(["name", "tag", "untag"]), st.sampled_from(["home", "relay", "cam"]), st.sampled_from("uvwx")
)


@given(st.lists(edits, max_size=30))
def test_any_sequence_of_edits_equals_the_naive_model(sequence: list[tuple[str, str, str]]) -> None:
    desk, model = Desk(), Model(tags={RELAY: ["edge"]})
    desk.hear(FIRST.data)
    desk.appointed()
    generations = []
    for kind, who, word in sequence:
        edit = {"name": desk.name, "tag": desk.tag, "untag": desk.untag}[kind]
        try:
            signed = edit(node(who), word)
        except (Conflict, NotFound):
            assert not model.edit(kind, node(who), word)
            continue
        assert model.edit(kind, node(who), word)
        if signed is not desk.statements.config:
            generations.append(desk.publish(signed).number[1])

    assert generations == [*range(2, 2 + len(generations))]
    assert desk.naming.names == model.names
    worn = {each.node_id: list(desk.members.tags(each)) for each in desk.members.all()}
    assert {who: tags for who, tags in worn.items() if tags} == {who: tags for who, tags in model.tags.items() if tags}


# After another scribe


def test_a_new_scribe_goes_on_from_the_config_that_the_ca_vouches_for(desk: Desk) -> None:
    before = desk.publish(desk.name(RELAY, "relay-01"))
    heir = Desk()
    heir.hear(FIRST.data)
    roles = Roles(2, HOME, 2, scribe_key=public_bytes(key("home")), base=(*before.number, before.sha256))
    heir.hear(sign_roles(CA.network, roles, CA.key).data)

    assert (heir.scribe.able, heir.scribe.renewed()) == (False, None)
    with pytest.raises(Refused, match="has not got the network's config"):
        heir.name(CAM, "eye")
    heir.hear(before.data)
    renewed = heir.scribe.renewed()
    assert renewed is not None
    heir.publish(renewed)

    assert (heir.scribe.able, renewed.number) == (True, (2, 3))
    assert heir.naming.names == {RELAY: "relay-01"}


def test_a_new_scribe_goes_on_from_a_later_config_that_came_before_the_roles_did(desk: Desk) -> None:
    known = desk.publish(desk.name(RELAY, "relay-01"))
    desk.publish(desk.name(CAM, "eye"))
    roles = Roles(2, HOME, 2, scribe_key=public_bytes(key("home")), base=(*known.number, known.sha256))
    desk.hear(sign_roles(CA.network, roles, CA.key).data)
    renewed = desk.scribe.renewed()

    assert renewed is not None
    assert (renewed.number, renewed.naming.names) == ((2, 4), {RELAY: "relay-01", CAM: "eye"})


def test_no_other_config_of_the_scribe_before_counts(desk: Desk) -> None:
    before = desk.publish(desk.name(RELAY, "relay-01"))
    later = desk.publish(desk.name(CAM, "eye"))
    heir = Desk()
    roles = Roles(2, RELAY, 2, scribe_key=public_bytes(key("relay")), base=(*before.number, before.sha256))
    heir.hear(sign_roles(CA.network, roles, CA.key).data)

    with pytest.raises(Refused, match="cannot be judged"):
        heir.hear(later.data)
    with pytest.raises((Refused, ProtocolError)):
        heir.hear(before.data[:-1] + bytes([before.data[-1] ^ 1]))
    heir.hear(before.data)
    assert heir.statements.config == before
