"""What goes into the journal: all that concerns trust, once; and what others can cause, at a bounded rate."""

import copy
from dataclasses import dataclass, field

import pytest

from pulse.core import chronicle as module
from pulse.core.chronicle import A_DAY, A_LOOK, AT_ONCE, HOLD, PACE, REFUSALS_AT_ONCE, REPEAT, Chronicle
from pulse.core.effects import Log, RangeUse, StoreConfig, StorePeers, StoreRevocation, TablesChanged
from pulse.core.events import Event, Kind, Past
from pulse.core.mesh import Mesh
from pulse.core.messages import ObjectKind
from pulse.core.network.netconfig import Config, Settings, first_config, sign_config
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.identity import node_bytes
from pulse.core.trust.revocation import sign_revocation
from pulse.core.trust.roles import Roles, sign_roles
from pulse.core.types import LinkType, NodeId
from tests.authority import MESH, NOW, Ca, key
from tests.mint import member, mesh

CA = Ca()
ME, ALICE, BOB = (member(CA, name, place, host=name) for place, name in enumerate(("me", "alice", "bob"), 1))
TABLES = TablesChanged({}, ())
DIRECT, RELAYED = ("quic", NodeId("")), ("quic", BOB.node_id)


@dataclass
class Node:
    """A chronicle over a mesh of its own, and the ways that lead somewhere."""

    past: Past = field(default_factory=Past)
    mesh: Mesh = field(default_factory=lambda: mesh(CA, ME))
    ways: dict[NodeId, tuple[str, NodeId]] = field(default_factory=dict)
    offset: float = 0.0
    now: float = 1000.0

    def __post_init__(self) -> None:
        self.machine = Chronicle(
            ME.node_id, self.past, self.mesh, lambda node: self.ways.get(node, (LinkType.NONE, NodeId(""))),
            lambda: self.offset, self.now,
        )  # fmt: skip
        self.machine.tick(self.now)

    def knows(self, *members: Certificate) -> list[Event]:
        for each in members:
            self.mesh.members.certificate_seen(each)
        self.machine.performed([StorePeers()], self.now)
        return self.machine.tick(self.now)

    def moves(
        self, who: Certificate, way: tuple[str, NodeId] = (LinkType.NONE, NodeId("")), after: float = PACE
    ) -> list[Event]:
        self.now += after
        self.ways[who.node_id] = way
        self.machine.performed([TABLES], self.now)
        return self.machine.tick(self.now)

    def leads(self, *ranges: tuple[str, Certificate | None], after: float = PACE) -> list[Event]:
        """From now on these ranges lead to these exits, and no others do."""
        self.now += after
        used = tuple(RangeUse(prefix, exit_node.node_id if exit_node else None) for prefix, exit_node in ranges)
        self.machine.performed([TablesChanged({}, (), used)], self.now)
        return self.machine.tick(self.now)

    def holds(self, kind: ObjectKind, data: bytes) -> list[Event]:
        return self.machine.performed(self.mesh.object_made(kind, data, self.now), self.now)

    def waits(self) -> list[Event]:
        """What it tells when it next wants to be woken."""
        due = self.machine.deadline()
        assert due is not None
        self.now = max(self.now, due)
        return self.machine.tick(self.now)


def kinds(events: list[Event]) -> list[str]:
    return [each.kind for each in events]


@pytest.fixture
def here() -> Node:
    node = Node()
    node.holds(ObjectKind.CONFIG, first_config(CA.network, MESH, CA.key).data)
    node.knows(ALICE, BOB)
    return node


def test_a_node_joins_once_in_the_life_of_a_journal() -> None:
    here = Node()
    assert here.knows(ALICE) == [
        Event(Kind.JOIN, {"node": ALICE.node_id, "name": "alice", "v4": str(ALICE.addresses.v4)})
    ]

    again = Node(copy.deepcopy(here.past))
    assert again.knows(ALICE, BOB) == [Event(Kind.JOIN, {"node": BOB.node_id, "name": "bob", "v4": "10.100.0.3"})]


def test_who_came_in_unseen_is_told_at_the_next_start(here: Node) -> None:
    """A crash between the change and its event costs nothing: the mesh is compared with the journal."""
    data = sign_revocation(CA.network, ALICE.node_id, CA.key, time=NOW).data
    late = Node(copy.deepcopy(here.past))
    late.mesh.objects_restored([(ObjectKind.REVOCATION, data)], late.now)
    late.machine.performed([StorePeers()], late.now)

    assert late.machine.tick(late.now) == [Event(Kind.REVOKE, {"node": ALICE.node_id, "name": "alice"})]


def test_a_revocation_is_told_at_once_and_once(here: Node) -> None:
    signed = sign_revocation(CA.network, ALICE.node_id, CA.key, time=NOW)

    assert here.holds(ObjectKind.REVOCATION, signed.data) == [
        Event(Kind.REVOKE, {"node": ALICE.node_id, "name": "alice"})
    ]
    assert here.machine.performed([StoreRevocation(ALICE.node_id, b"")], here.now) == []
    assert here.knows() == []


def test_roles_and_each_edit_are_told_with_what_changed_and_who_asked(here: Node) -> None:
    roles = Roles(1, ME.node_id, 1, frozenset({BOB.node_id}), scribe_key=ME.public_key)
    (told,) = here.holds(ObjectKind.ROLES, sign_roles(CA.network, roles, CA.key).data) or here.machine.tick(here.now)
    assert told == Event(Kind.ROLES, {"epoch": 1, "scribe": ME.node_id, "operators": BOB.node_id[:12]})

    config = Config(1, 2, Settings(str(MESH)), names={node_bytes(ALICE.node_id): "vm-01"})
    here.machine.edit_asked(BOB.node_id)
    edit, named = here.holds(ObjectKind.CONFIG, sign_config(CA.network, config, key("me")).data)
    assert edit == Event(Kind.EDIT, {"version": "1.2", "by": ME.node_id, "changed": "names", "asked": BOB.node_id})
    assert named == Event(Kind.EDIT, {"node": ALICE.node_id, "name": "vm-01", "was": "alice", "version": "1.2"})
    assert here.machine.performed([StoreConfig(1, 2, b"")], here.now) == []


def test_a_path_comes_changes_and_goes(here: Node) -> None:
    who = {"node": ALICE.node_id, "name": "alice"}
    assert here.moves(ALICE, DIRECT) == [Event(Kind.UP, {**who, "link": "quic"})]
    assert here.moves(ALICE, RELAYED) == [Event(Kind.PATH, {**who, "link": "quic", "via": BOB.node_id})]
    assert here.moves(ALICE) == [Event(Kind.DOWN, who)]
    assert here.moves(ALICE) == []


def test_paths_are_not_looked_at_more_often_than_once_a_second(here: Node) -> None:
    here.moves(BOB, DIRECT)

    assert here.moves(ALICE, DIRECT, after=PACE / 2) == []
    assert kinds(here.waits()) == ["up"]


def test_a_path_that_flaps_is_held_back_and_in_the_end_told_as_it_is(here: Node) -> None:
    told = [event for turn in range(60) for event in here.moves(ALICE, (DIRECT, RELAYED)[turn % 2])]
    assert AT_ONCE < len(told) <= AT_ONCE + 60 / HOLD + 1

    assert here.moves(ALICE) == []
    assert kinds(here.waits() or here.waits()) == ["down"]
    assert here.machine.deadline() is None


def test_an_exit_takes_over_fails_and_is_not_needed_any_more(here: Node) -> None:
    internet, who = "0.0.0.0/0", {"node": ALICE.node_id, "name": "alice"}

    assert here.leads((internet, None)) == [Event(Kind.EXIT, {"range": internet, "state": "refused"})]
    assert here.leads((internet, ALICE)) == [Event(Kind.EXIT, {"range": internet, "state": "in use", **who})]
    assert here.leads((internet, ALICE)) == []
    assert here.leads(("::/0", ALICE)) == [
        Event(Kind.EXIT, {"range": internet, "state": "unused"}),
        Event(Kind.EXIT, {"range": "::/0", "state": "in use", **who}),
    ]
    here.machine.journal_lacks(here.past)
    assert here.machine.tick(here.now + PACE)[-1] == Event(Kind.EXIT, {"range": "::/0", "state": "in use", **who})


def test_an_exit_that_flaps_hides_no_path_and_is_in_the_end_told_as_it_is(here: Node) -> None:
    told = [here.leads(("::/0", ALICE if even else None)) for even in (0, 1) * AT_ONCE]
    assert sum(map(len, told)) == AT_ONCE
    assert kinds(here.moves(BOB, DIRECT)) == [Kind.UP]

    assert here.leads(("::/0", BOB)) == []
    assert here.leads(("::/0", BOB), after=HOLD + PACE) == [
        Event(Kind.EXIT, {"range": "::/0", "state": "in use", "node": BOB.node_id, "name": "bob"})
    ]
    assert here.machine.deadline() is None


def test_a_storm_of_exits_is_told_bit_by_bit(here: Node) -> None:
    ranges = [(f"10.{place}.0.0/16", ALICE) for place in range(A_LOOK + 3)]

    assert [len(here.leads(*ranges)), len(here.waits()), here.machine.deadline()] == [A_LOOK, 3, None]


def test_a_storm_of_paths_is_told_bit_by_bit_and_at_most_so_many_a_day() -> None:
    here = Node()
    crowd = [member(CA, f"node-{place}", place) for place in range(2, A_LOOK + 12)]
    here.knows(*crowd)
    here.ways |= {each.node_id: DIRECT for each in crowd}

    assert len(here.moves(crowd[0], DIRECT)) == A_LOOK
    assert len(here.waits()) == len(crowd) - A_LOOK
    assert here.machine.deadline() is None


def test_a_day_has_room_for_so_many_changes(here: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "A_DAY", 3)
    flapping = Node(here.past, here.mesh)
    told = [event for turn in range(1000) for event in flapping.moves(ALICE, (DIRECT, RELAYED)[turn % 2], after=HOLD)]

    assert A_DAY > 3
    assert 3 <= len(told) <= 3 + 3 * 1000 * HOLD / 86_400 + 1


def test_a_refusal_is_told_once_in_ten_minutes_and_what_was_not_is_counted(here: Node) -> None:
    log = Log("neighbour broke the protocol", 30, {"node": ALICE.node_id[:12], "error": "no message\x1b[2J\nat all"})

    (told,) = here.machine.performed([log], here.now)
    assert told.fields == {
        "node": ALICE.node_id,
        "name": "alice",
        "why": "neighbour broke the protocol; no message\N{REPLACEMENT CHARACTER}[2J at all",
    }
    assert here.machine.performed([log, log], here.now + REPEAT / 2) == []
    (later,) = here.machine.performed([log], here.now + REPEAT)
    assert later.fields["unsaid"] == 2


def test_refusals_of_many_kinds_are_bounded_too(here: Node) -> None:
    told = [
        event for n in range(10 * REFUSALS_AT_ONCE) for event in here.machine.refused(f"refused a link: {n}", here.now)
    ]

    assert len(told) == REFUSALS_AT_ONCE
    assert len(here.machine._refused) <= module.MOST_REPEATED


def test_a_long_refusal_is_cut(here: Node) -> None:
    (told,) = here.machine.refused("x" * 5000, here.now)

    assert told.fields["why"] == "x" * module.LONGEST


def test_a_clone_is_told(here: Node) -> None:
    (told,) = here.machine.performed([Log("clone or lost state", 30, {"boot": 7})], here.now)

    assert (told.kind, told.fields) == (Kind.CLONE, {"why": "clone or lost state"})


def test_what_is_only_logged_is_not_told(here: Node) -> None:
    assert here.machine.performed([Log("link up", 20, {"node": ALICE.node_id[:12]})], here.now) == []


def test_a_clock_that_is_off_is_told_when_it_is_and_when_it_is_not(here: Node) -> None:
    here.offset = 4000.0
    assert here.moves(ALICE) == [Event(Kind.CLOCK, {"ahead": 4000.0})]
    assert here.moves(ALICE) == []
    here.offset = 0.0
    assert here.moves(ALICE) == [Event(Kind.CLOCK, {"ahead": 0.0})]


def test_after_a_gap_everything_is_compared_anew(here: Node) -> None:
    before = copy.deepcopy(here.past)
    here.moves(ALICE, DIRECT)

    here.machine.journal_lacks(before)

    here.now += PACE
    assert kinds(here.machine.tick(here.now)) == ["up"]
