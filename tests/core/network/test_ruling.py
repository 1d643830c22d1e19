"""Edits of rules, tests and groups: each is another draft, or a refusal that leaves the first as it was."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from pulse.core.messages import pack
from pulse.core.network import ruling as module
from pulse.core.network.assertions import Assertion
from pulse.core.network.draft import Draft
from pulse.core.network.edits import Edits, read_edits
from pulse.core.network.hours import Window
from pulse.core.network.naming import NodeNamed
from pulse.core.network.policy import Rule
from pulse.core.network.ruling import (
    AssertionAdded,
    AssertionRemoved,
    GroupRemoved,
    GroupSet,
    RuleAdded,
    RuleMoved,
    RuleRemoved,
)
from pulse.core.trust.identity import node_bytes
from pulse.errors import ConfigError, NotFound, Refused
from tests.core.network.drafts import CAM, DB, WEB, after, draft

SSH = RuleAdded(["web"], ["db"], allow=True, protocols=[6], ports=[(22, 22)], note="for ops")
DENY = RuleAdded(["*"], ["tag:prod"], allow=False)


def ids(draft: Draft) -> list[str]:
    return [each.id for each in draft.config.acl]


# Rules


def test_a_rule_is_kept_as_it_was_typed_with_globs_as_the_ids_known_now() -> None:
    glob = RuleAdded([CAM[:4] + "*"], ["db"], allow=True, redundant=True, expires=9.0, window=Window(1, 0, 60))

    assert after(draft(), SSH, glob).config.acl == [
        Rule("r1", ["web"], ["db"], allow=True, protocols=[6], ports=[(22, 22)], note="for ops"),
        Rule("r2", [CAM], ["db"], allow=True, redundant=True, expires=9.0, window=Window(1, 0, 60)),
    ]


def test_a_rule_goes_where_it_is_told_and_ids_are_never_shared() -> None:
    three = after(draft(), SSH, DENY, module.RuleAdded(["*"], ["*"], allow=True, place=1))
    assert ids(three) == ["r3", "r1", "r2"]

    assert ids(after(three, RuleMoved("r2", 1))) == ["r2", "r3", "r1"]
    assert ids(after(three, RuleMoved("r3", 3))) == ["r1", "r2", "r3"]
    assert ids(after(three, RuleMoved("r3", 0))) == ["r1", "r2", "r3"]
    assert ids(after(three, RuleRemoved("r1"), SSH)) == ["r3", "r2", "r4"]


def test_an_id_is_never_given_again_not_even_that_of_the_last_rule_or_test_once_it_is_gone() -> None:
    test = AssertionAdded("web", "db", allow=True, protocol=6, port=22)
    gone = after(draft(), SSH, SSH, RuleRemoved("r2"), test, AssertionRemoved("t1"))
    assert ids(after(gone, RuleRemoved("r1"), SSH)) == ["r3"]

    assert [each.id for each in after(gone, test).config.tests] == ["t2"]
    assert ids(after(gone, RuleMoved("r1", 1), SSH)) == ["r1", "r3"]


def test_a_config_of_before_ids_were_counted_goes_on_from_the_highest_there_is() -> None:
    old = draft(*(Rule(name, ["web"], ["db"], allow=True) for name in ("r7", "r3", "by hand")))

    assert ids(after(old, SSH)) == ["r7", "r3", "by hand", "r8"]
    assert ids(after(old, RuleRemoved("r7"), SSH)) == ["r3", "by hand", "r8"]


def test_an_id_that_is_taken_though_nobody_counted_it_is_passed_over() -> None:
    odd = draft(Rule("r5", ["web"], ["db"], allow=True))
    counted = replace(odd, config=structs.replace(odd.config, last_rule=4))

    assert ids(after(counted, SSH)) == ["r5", "r6"]


@pytest.mark.parametrize("last", [10**12 - 1, 10**12, 2**53 - 1])
def test_a_count_that_nobody_counted_up_to_refuses_no_rule_and_no_test(last: int) -> None:
    odd = draft(Rule("r5", ["web"], ["db"], allow=True))
    poisoned = replace(odd, config=structs.replace(odd.config, last_rule=last, last_test=last))
    test = AssertionAdded("web", "db", allow=True, protocol=6, port=22)

    made = after(poisoned, SSH, SSH, RuleRemoved("r5"), SSH, test)

    assert len(set(ids(made))) == 3
    assert len(made.config.tests) == 1
    if last >= 10**12:
        assert (ids(made), made.config.last_rule, made.config.last_test) == (["r6", "r7", "r8"], 8, 1)


@pytest.mark.parametrize("edit", [RuleRemoved("r9"), RuleMoved("r9", 1), AssertionRemoved("t9"), GroupRemoved("ops")])
def test_what_is_not_there_cannot_be_edited(edit: RuleRemoved) -> None:
    with pytest.raises(NotFound, match=r"there is no .*\. See them: pulse "):
        after(draft(), SSH, edit)


def test_places_that_are_none_are_refused() -> None:
    two = after(draft(), SSH, DENY)
    with pytest.raises(Refused, match="no place 3: with this one there are 2 rules"):
        after(two, RuleMoved("r1", 3))
    with pytest.raises(Refused, match="no place 4"):
        after(two, module.RuleAdded(["*"], ["*"], allow=True, place=4))


def test_one_word_that_means_nothing_refuses_all_edits() -> None:
    with pytest.raises(NotFound, match="tag:prod"):
        after(draft(), SSH, RuleAdded(["web", "tag:prdo"], ["*"], allow=True))


def test_ports_of_a_protocol_without_are_refused() -> None:
    with pytest.raises(ConfigError, match="icmp has no ports"):
        after(draft(), RuleAdded(["*"], ["*"], allow=True, protocols=[1, 58], ports=[(1, 1)]))


def test_a_rule_that_denies_sends_nothing_twice() -> None:
    (rule,) = after(draft(), RuleAdded(["*"], ["*"], allow=False, redundant=True)).config.acl
    assert not rule.redundant


def test_a_config_holds_so_many_of_each_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("RULES_LIMIT", "ASSERTIONS_LIMIT", "GROUPS_LIMIT"):
        monkeypatch.setattr(module, limit, 1)
    for edit in (SSH, AssertionAdded("web", "db", True, 6, 22)):
        with pytest.raises(Refused, match="already, and holds no more"):
            after(draft(), edit, edit)
    with pytest.raises(Refused, match="1 groups already"):
        after(draft(), GroupSet("ops", ["web"]), GroupSet("dev", ["web"]))


# Tests and groups


@pytest.mark.parametrize("note", ["two\nlines", "\x1b[2J", "\u202egnp"])
def test_a_note_is_one_line_of_plain_text_whoever_sends_the_edit(note: str) -> None:
    with pytest.raises(Refused, match="a note is one line of plain text"):
        after(draft(), RuleAdded(["web"], ["db"], allow=True, note=note))


def test_a_test_is_kept_until_it_is_taken_back() -> None:
    tested = after(draft(), SSH, AssertionAdded("web", "tag:prod", True, 6, 22), AssertionAdded("db", "*", False, 1))
    assert tested.config.tests == [
        Assertion("t1", "web", "tag:prod", True, 6, 22),
        Assertion("t2", "db", "*", False, 1),
    ]
    assert after(tested, AssertionRemoved("t1")).config.tests == tested.config.tests[1:]


def test_a_test_names_one_pattern_on_each_side() -> None:
    (kept,) = after(draft(), AssertionAdded(CAM[:6], "*", True, 6, 22)).config.tests
    assert kept.source == CAM
    with pytest.raises(ConfigError, match=r"^1 has no ports"):
        after(draft(), AssertionAdded("web", "db", True, 1, 22))


def test_a_group_has_the_members_that_were_said_last() -> None:
    grouped = after(draft(), GroupSet("ops", ["web", "tag:prod"]), GroupSet("ops", [CAM[:6], "web"]))
    assert grouped.config.groups == {"ops": [CAM, "web"]}
    assert after(grouped, GroupRemoved("ops")).config.groups == {}
    with pytest.raises(NotFound, match="Did you mean ops"):
        after(grouped, GroupRemoved("obs"))


def test_a_group_is_in_no_other_and_none_that_is_used_goes() -> None:
    used = after(draft(), GroupSet("ops", ["web"]), RuleAdded(["group:ops"], ["*"], allow=True))
    with pytest.raises(Refused, match="group ops is in use: rule r1"):
        after(used, GroupRemoved("ops"))
    for member in ("group:ops", "*", "cidr:192.168.7.0/24"):
        with pytest.raises(Refused, match="cannot be in a group"):
            after(used, GroupSet("dev", [member]))
    with pytest.raises(Refused, match='"Ops" cannot name a group'):
        after(used, GroupSet("Ops", ["web"]))


# Names


def test_what_means_a_node_by_name_goes_on_meaning_it_when_it_is_renamed() -> None:
    ruled = after(
        draft(), SSH, RuleAdded(["db"], ["*"], allow=False), GroupSet("ops", ["db", "tag:prod"]),
        AssertionAdded("db", "web", False, 6, 22),
    )  # fmt: skip
    for old, new in ((DB, "store"), (WEB, "front")):
        ruled = after(ruled, NodeNamed(node_bytes(old), new))

    assert [(each.sources, each.destinations) for each in ruled.config.acl] == [
        (["front"], ["store"]),
        (["store"], ["*"]),
    ]
    assert ruled.config.groups == {"ops": ["store", "tag:prod"]}
    assert [(each.source, each.destination) for each in ruled.config.tests] == [("store", "front")]


def test_names_that_are_swapped_swap_in_the_rules_too() -> None:
    swap = [NodeNamed(node_bytes(WEB), "aside"), NodeNamed(node_bytes(DB), "web"), NodeNamed(node_bytes(WEB), "db")]
    (rule,) = after(after(draft(), SSH), *swap).config.acl

    assert (rule.sources, rule.destinations) == (["db"], ["web"])


# On the wire


def test_edits_travel_as_they_are() -> None:
    edits = Edits([SSH, RuleRemoved("r1"), RuleMoved("r1", 2), GroupSet("ops", ["web"]), GroupRemoved("ops")])
    assert read_edits(pack(edits)) == edits


def test_the_bytes_of_a_rule_and_of_the_edit_that_adds_it_stay_what_they_are() -> None:
    hours = Window(0b11111, 540, 1080)
    typed = RuleAdded(["a"], ["*"], True, [6], [(22, 80)], False, 5.0, hours, "n", 2, True)
    kept = Rule("r1", ["a"], ["*"], True, [6], [(22, 80)], False, 5.0, hours, "n")
    both = "91a161" + "91a12a" + "c3" + "9106" + "91921650" + "c2" + "cb4014000000000000" + "931fcd021ccd0438" + "a16e"

    assert pack(kept).hex() == "9a" + "a27231" + both
    assert pack(typed).hex() == "9c" + "0a" + both + "02" + "c3"


@given(st.lists(st.sampled_from([0, 1, 2, 3]), max_size=8))
def test_whatever_is_moved_the_same_rules_stay(places: list[int]) -> None:
    edited = after(draft(), SSH, DENY, SSH)
    for number, place in enumerate(places):
        moved = after(edited, RuleMoved(f"r{number % 3 + 1}", place))
        assert sorted(ids(moved)) == ["r1", "r2", "r3"]
        assert ids(moved)[(place or 3) - 1] == f"r{number % 3 + 1}"
        edited = moved
