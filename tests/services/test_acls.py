"""Rules on one node: told, explained, edited on the config that is in force here, and compared with others."""

import time
from dataclasses import dataclass, field

import pytest
from msgspec import structs

from pulse import clock
from pulse.core.facts import ClockRead
from pulse.core.messages import Item, ObjectKind
from pulse.core.network.draft import Draft
from pulse.core.network.edits import Edits, check_base, edited
from pulse.core.network.naming import NodeNamed, NodeTagged
from pulse.core.network.netconfig import Config, SignedConfig, sign_config
from pulse.core.trust.identity import node_bytes
from pulse.errors import ConfigError, Conflict, NotFound, Refused
from pulse.schemas.policy import (
    AssertionRef,
    AssertionRequest,
    Connection,
    FlowRequest,
    GroupRef,
    GroupRequest,
    GroupView,
    PairChange,
    RuleFile,
    RuleMove,
    RuleRef,
    RuleRequest,
    RuleText,
)
from pulse.services.acls import AclService
from tests.authority import NOW, key
from tests.core.meshing import ALICE, BOB, CA, FIRST, ME, ROLES, SCRIBE, Node

SSH = RuleRequest(source="tag:ops", destination="bob", ports=["22"], proto=["tcp"])


@dataclass
class Desk:
    """The service on "me", and a scribe that makes every edit at once."""

    node: Node = field(default_factory=lambda: Node(now=time.monotonic()))
    overtaken: int = 0
    """So many edits come too late: somebody else's is in force before."""
    made: int = 0

    def __post_init__(self) -> None:
        self.node.linked(SCRIBE)
        for each in (ALICE, BOB):
            self.node.linked(each)
        self.node.happened(ClockRead(NOW))
        self.node.told(ROLES, FIRST)
        self.write(Edits([NodeNamed(node_bytes(each.node_id), name) for each, name in NAMED]))
        self.write(Edits([NodeTagged(node_bytes(ALICE.node_id), "ops")]))

    @property
    def service(self) -> AclService:
        return AclService(self.node.mesh, self.edit)

    def config(self) -> SignedConfig:
        config = self.node.mesh.statements.config
        assert config is not None
        return config

    def write(self, edits: Edits) -> SignedConfig:
        before = self.config()
        check_base(edits, before)
        after = edited(Draft.of(before, self.node.mesh.members, frozenset()), edits, NOW).finished()
        self.made += 1
        signed = sign_config(
            CA.network, after.__class__(1, self.made, *(getattr(after, name) for name in FIELDS)), key("scribe")
        )
        self.node.told(Item(ObjectKind.CONFIG, signed.data))
        return signed

    async def edit(self, edits: Edits) -> SignedConfig:
        if self.overtaken:
            self.overtaken -= 1
            self.write(Edits([NodeTagged(node_bytes(BOB.node_id), f"t{self.made}")]))
        return self.write(edits)


NAMED = ((ALICE, "alice"), (BOB, "bob"))
FIELDS = Config.__struct_fields__[2:]


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(clock, "wall", lambda: NOW)
    return Desk()


def flow(source: str, destination: str, port: int = 22) -> FlowRequest:
    return FlowRequest(source, destination, "", port)


async def test_without_rules_all_is_open_and_everybody_may(desk: Desk) -> None:
    policy, verdict = await desk.service.policy(), await desk.service.explain(flow("alice", "bob"))

    assert (policy.open, policy.rules, policy.version) == (True, [], "1.2")
    assert (verdict.allowed, verdict.rule) == (True, None)


async def test_an_edit_is_made_and_what_it_takes_and_gives_is_told(desk: Desk) -> None:
    first = await desk.service.add(SSH)
    second = await desk.service.add(RuleRequest(source="bob", destination="alice", proto=["icmp"], place=1))

    assert (first.version, first.gained_pairs, first.lost_pairs) == ("1.3", 0, 12)
    assert first.rule is not None
    assert (first.rule.index, first.rule.id, first.rule.line) == (1, "r1", "allow tag:ops → bob tcp 22")
    assert second.gained == [PairChange("bob", "alice", "icmp")]
    assert [each.id for each in (await desk.service.policy()).rules] == ["r2", "r1"]


async def test_a_dry_run_changes_nothing_and_needs_no_scribe(desk: Desk) -> None:
    async def nobody(_: Edits) -> SignedConfig:
        raise AssertionError

    service = AclService(desk.node.mesh, nobody)
    told = await service.add(RuleRequest(source="*", destination="bob", action="deny", dry_run=True))

    assert (told.dry_run, told.version, told.lost_pairs) == (True, "1.2", 12)
    assert (await service.policy()).open


async def test_rules_are_meant_by_number_or_id(desk: Desk) -> None:
    for _ in range(3):
        await desk.service.add(SSH)
    await desk.service.move(RuleMove(index=3, place=1))
    removed = await desk.service.remove(RuleRef(id="r1"))

    assert removed.rule is not None
    assert removed.rule.index == 2
    assert [each.id for each in (await desk.service.policy()).rules] == ["r3", "r2"]
    with pytest.raises(NotFound, match=r"no rule 3 \(there are 2\)"):
        await desk.service.remove(RuleRef(index=3))
    with pytest.raises(ConfigError, match="say which rule"):
        await desk.service.remove(RuleRef())
    for index in (1, 1):
        last = await desk.service.remove(RuleRef(index=index))
    assert last.opens


async def test_an_edit_that_comes_too_late_is_made_anew_on_what_is_in_force_by_then(desk: Desk) -> None:
    desk.overtaken = 1
    told = await desk.service.add(SSH)

    assert (told.version, len(desk.config().config.acl)) == ("1.4", 1)


async def test_what_is_meant_by_number_is_not_made_on_another_list_than_was_looked_at(desk: Desk) -> None:
    added = (await desk.service.add(SSH)).rule
    assert added is not None
    for wanted in (RuleRef(index=1), RuleMove(id=added.id, place=1)):
        desk.overtaken = 1
        with pytest.raises(Conflict, match="nothing is changed"):
            await (desk.service.move(wanted) if isinstance(wanted, RuleMove) else desk.service.remove(wanted))
    desk.overtaken = 1
    await desk.service.remove(RuleRef(id=added.id))

    assert (await desk.service.policy()).rules == []


async def test_a_rule_for_some_hours_is_not_made_where_the_clock_is_wrong(desk: Desk) -> None:
    desk.node.happened(ClockRead(1.0))
    with pytest.raises(Refused, match="clock is off"):
        await desk.service.add(structs.replace(SSH, ttl=60.0))
    assert (await desk.service.policy()).rules == []


async def test_a_conflict_on_the_config_we_hold_is_told(desk: Desk) -> None:
    async def elsewhere(_: Edits) -> SignedConfig:
        raise Conflict("the network config is 1.9 by now")

    with pytest.raises(Conflict, match=r"1\.9"):
        await AclService(desk.node.mesh, elsewhere).add(SSH)


async def test_a_mistyped_word_changes_nothing(desk: Desk) -> None:
    with pytest.raises(NotFound, match="Did you mean tag:ops"):
        await desk.service.add(RuleRequest(source="tag:opsx", destination="bob"))
    assert desk.config().config.acl == []


async def test_an_explanation_names_rule_nearest_miss_way_out_and_who_enforces_it(desk: Desk) -> None:
    await desk.service.add(SSH)
    allowed = await desk.service.explain(flow("alice", "bob"))
    denied = await desk.service.explain(flow(ME.node_id, "bob"))

    assert allowed.sentence == "ALLOWED by rule 1: allow tag:ops → bob tcp 22"
    assert denied.sentence == "DENIED by the end of the list (rules exist, none matched)."
    assert denied.nearest is not None
    assert denied.nearest.lacks == [f"{ME.node_id[:12]} lacks tag:ops"]
    assert denied.fix == f"pulse tag {ME.node_id[:12]} ops"
    assert (denied.enforced[-1], allowed.relays_known) == ("bob", False)
    with pytest.raises(Refused, match="is one node"):
        await desk.service.explain(flow("bob", "bob"))


async def test_the_state_of_timed_rules_is_told(desk: Desk) -> None:
    await desk.service.add(RuleRequest(source="*", destination="*", ttl=3600.0))
    await desk.service.add(RuleRequest(source="*", destination="*", window="sun"))
    (timed, closed) = (await desk.service.policy()).rules

    assert (timed.expires, timed.state, closed.state, closed.window) == (
        NOW + 3600.0, "on", "closed", "sun 00:00-24:00 UTC",
    )  # fmt: skip


async def test_tests_are_kept_told_and_stop_edits_that_break_them(desk: Desk) -> None:
    await desk.service.add(SSH)
    added = await desk.service.add_test(AssertionRequest(source="tag:ops", destination="bob", port=22))
    other = await desk.service.add_test(AssertionRequest(source="tag:ops", destination="bob", port=22))
    held, _ = (await desk.service.policy()).tests

    assert (added.test, other.test and other.test.id, added.rule) == (held, "t2", None)
    assert (held.holds, held.line) == (True, "tag:ops → bob tcp 22 must be allowed")
    with pytest.raises(Refused, match="test t1 would fail"):
        await desk.service.add(RuleRequest(source="alice", destination="*", action="deny", place=1))
    removed = await desk.service.remove_test(AssertionRef(id="t1"))
    await desk.service.remove_test(AssertionRef(id="t2"))
    assert removed.test == held
    assert (await desk.service.policy()).tests == []


async def test_groups_come_and_go(desk: Desk) -> None:
    await desk.service.set_group(GroupRequest("dev", ["alice", "tag:ops"]))
    assert (await desk.service.policy()).groups == [GroupView("dev", ["alice", "tag:ops"])]
    await desk.service.remove_group(GroupRef("dev"))
    assert (await desk.service.policy()).groups == []


async def test_a_file_is_compared_and_nothing_is_changed(desk: Desk) -> None:
    await desk.service.add(SSH)
    told = await desk.service.diff(RuleFile([RuleText(source="alice", destination="bob", proto=["icmp"])]))

    assert told.gained == [PairChange("alice", "bob", "icmp")]
    assert told.lost == [PairChange("alice", "bob", "tcp 22")]
    assert [each.id for each in (await desk.service.policy()).rules] == ["r1"]


async def test_the_connection_it_is_typed_through_is_kept_unless_forced(desk: Desk) -> None:
    through = Connection(str(ALICE.addresses.v4), str(BOB.addresses.v6), 22)
    deny = {"source": "*", "destination": "bob", "action": "deny"}

    with pytest.raises(Refused, match=r"close the connection .*\(alice → bob port 22\)"):
        await desk.service.add(RuleRequest(**deny, through=through))  # type: ignore[arg-type]
    outside = Connection("203.0.113.7", str(BOB.addresses.v4), 22)
    await desk.service.add(RuleRequest(**deny, through=outside))  # type: ignore[arg-type]
    await desk.service.add(RuleRequest(**deny, through=through, force=True))  # type: ignore[arg-type]


async def test_before_a_config_is_in_force_there_is_nothing_to_tell() -> None:
    desk = Node()

    async def nobody(_: Edits) -> SignedConfig:
        raise AssertionError

    with pytest.raises(Refused, match="has not got the network's config yet"):
        await AclService(desk.mesh, nobody).policy()
