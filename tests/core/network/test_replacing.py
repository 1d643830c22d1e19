"""Rules, tests and groups replaced as a whole: ids stay with what stays, and words that mean nobody are refused."""

from dataclasses import replace

import pytest
from msgspec import structs

from pulse.core.messages import pack
from pulse.core.network.assertions import Assertion
from pulse.core.network.draft import Draft
from pulse.core.network.edits import Edits, read_edits
from pulse.core.network.naming import NamingReplaced, NodeNamed
from pulse.core.network.netconfig import GONE_LIMIT
from pulse.core.network.policy import Rule
from pulse.core.network.replacing import RulingReplaced
from pulse.core.network.ruling import AssertionAdded, AssertionRemoved, GroupSet, RuleRemoved
from pulse.core.trust.identity import node_bytes
from pulse.errors import ConfigError, Conflict, NotFound, PulseError, Refused
from tests.authority import NOW
from tests.core.network.drafts import CAM, DB, after, draft
from tests.core.network.nodes import rule

FIRST = rule("web", "db", id="r1", expires=NOW + 60.25)
SECOND = rule("tag:front", "*", id="r7", allow=False)
STATED = AssertionAdded("web", "db", allow=True, protocol=6, port=22)
DENIED = Assertion("t1", "db", "web", True, 6, 22)


def whole(before: Draft, *rules: Rule, tests: list[Assertion] | None = None, ahead: bool = False) -> Draft:
    return after(before, RulingReplaced([*rules], tests or before.config.tests, before.config.groups, ahead))


def test_what_stays_keeps_its_id_also_if_a_file_says_none() -> None:
    before = draft(FIRST, SECOND)
    in_seconds = structs.replace(FIRST, expires=float(int(NOW + 60)))

    assert whole(before, in_seconds, SECOND) == before
    assert whole(before, structs.replace(in_seconds, id=""), structs.replace(SECOND, id="")) == before


def test_what_is_new_gets_an_id_that_nobody_had() -> None:
    made = whole(draft(FIRST, SECOND), rule("db", "web", id=""), structs.replace(SECOND, id=""), rule("*", "*", id=""))
    assert [each.id for each in made.config.acl] == ["r8", "r7", "r9"]
    assert [each.id for each in whole(draft(), rule("db", "web", id="to-web")).config.acl] == ["to-web"]


def test_an_id_of_its_own_that_is_gone_is_never_given_again_however_it_went() -> None:
    ssh = rule("web", "db", id="ssh")
    other = structs.replace(DENIED, allow=False)
    stated = Assertion("holds", "web", "db", True, 6, 22)
    before = whole(draft(), FIRST, ssh, tests=[stated])
    for gone in (whole(before, FIRST, tests=[other]), after(before, RuleRemoved("ssh"), AssertionRemoved("holds"))):
        assert (gone.config.gone_rules, gone.config.gone_tests) == (["ssh"], ["holds"])
        later = after(gone, NodeNamed(node_bytes(CAM), "eye"))
        for wanted in (RulingReplaced([ssh], [], {}), RulingReplaced([FIRST], [stated], {})):
            with pytest.raises(Refused, match=r"(rule ssh|test holds): no .* in force has that id: it was another's"):
                after(later, wanted)
        assert [each.id for each in whole(later, structs.replace(ssh, id="ssh-2"), tests=[other]).config.acl] == [
            "ssh-2"
        ]
    assert whole(before, FIRST, ssh, tests=[stated]) == before


def test_there_are_only_so_many_ids_of_their_own() -> None:
    before = draft()
    before = replace(before, config=structs.replace(before.config, gone_rules=[f"old-{n}" for n in range(GONE_LIMIT)]))
    with pytest.raises(Refused, match="1024 rules with ids of their own are gone"):
        whole(before, rule("web", "db", id="new"))
    assert [each.id for each in whole(before, rule("web", "db", id="")).config.acl] == ["r1"]


def test_a_rule_that_changes_keeps_the_id_it_is_written_with() -> None:
    (changed,) = whole(draft(FIRST), structs.replace(FIRST, note="x")).config.acl
    assert (changed.id, changed.note, changed.expires) == ("r1", "x", NOW + 60.25)


@pytest.mark.parametrize(
    ("wanted", "error", "said"),
    [
        (rule("webb", "db", id=""), NotFound, 'rule 1: no node is called "webb". Did you mean web'),
        (rule("web", "tag:none", id="r5"), NotFound, r"rule 1 \(r5\): no node has the tag"),
        (rule("group:gone", "db", id=""), NotFound, "there is no group"),
        (rule("web", "db", id="7"), Refused, "begins with a letter"),
        (rule("web", "db", id="", protocols=[1], ports=[(22, 22)]), ConfigError, "1 has no ports"),
        (rule("web", "db", id="", note="\x1b[2J"), Refused, "plain text"),
    ],
)
def test_a_rule_that_means_nothing_refuses_all(wanted: Rule, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        whole(draft(FIRST), wanted)


def test_an_id_is_said_once() -> None:
    with pytest.raises(Conflict, match=r"rule 2 .*another one has that id"):
        whole(draft(FIRST), FIRST, structs.replace(SECOND, id="r1"))


def test_words_that_meant_nobody_before_may_stay_and_new_ones_are_said_to_be_ahead() -> None:
    waiting = rule("tag:contractor", "late", id="r1")
    assert whole(draft(waiting), waiting) == draft(waiting)
    with pytest.raises(NotFound, match="tag"):
        whole(draft(), waiting)
    assert whole(draft(), waiting, ahead=True).config.acl == [waiting]


def test_a_name_that_goes_takes_its_rules_along_or_refuses_them() -> None:
    before = draft(FIRST)
    renamed = NamingReplaced({node_bytes(DB): "store"}, {node_bytes(DB): ["prod"]})
    groups = RulingReplaced([structs.replace(FIRST, destinations=["store"])], [], {})

    assert after(before, renamed, groups).config.acl[0].destinations == ["store"]
    with pytest.raises(NotFound, match='no node is called "db"'):
        after(before, renamed, RulingReplaced([FIRST], [], {}))
    (followed,) = after(before, renamed, groups, NodeNamed(node_bytes(DB), "shop")).config.acl
    assert followed.destinations == ["shop"]


def test_globs_become_the_ids_that_are_known() -> None:
    (found,) = whole(draft(), rule(f"{CAM[:6]}*", "db", id="")).config.acl
    assert found.sources == [CAM]


def test_groups_are_judged_before_rules_use_them() -> None:
    made = after(draft(), RulingReplaced([rule("group:ops", "db", id="")], [], {"ops": ["web", "tag:prod"]}))
    assert made.config.groups == {"ops": ["web", "tag:prod"]}
    for groups in ({"ops": ["group:other"], "other": ["web"]}, {"ops": ["*"]}, {"Ops": ["web"]}, {"ops": ["nobody"]}):
        with pytest.raises(PulseError, match="group "):
            after(draft(), RulingReplaced([], [], groups))
    used = after(draft(), GroupSet("ops", ["web"]))
    with pytest.raises(NotFound, match="no group"):
        after(used, RulingReplaced([rule("group:ops", "db", id="")], [], {}))


def test_a_test_that_would_fail_refuses_all() -> None:
    before = after(draft(rule("web", "db", id="r1")), AssertionAdded("web", "db", True, 6, 22))
    with pytest.raises(Refused, match="test t1 would fail"):
        whole(before, SECOND)
    # A test of the file counts, too, whatever was stated before.
    stated = RulingReplaced([rule("web", "db", id="")], [Assertion("", "web", "db", False, 6, 22)], {})
    with pytest.raises(Refused, match="test t1 would fail"):
        after(draft(), stated)


def test_it_travels() -> None:
    said = Edits([RulingReplaced([FIRST, SECOND], [Assertion("t1", "web", "db", True, 6, 22)], {"ops": ["web"]}, True)])
    assert read_edits(pack(said)) == said


def test_what_is_new_never_gets_the_id_of_one_that_is_gone() -> None:
    before = draft(rule("web", "db", id="r1"), rule("db", "web", id="r2"))
    gone = whole(before, rule("web", "db", id="r1"))

    assert [each.id for each in whole(gone, rule("web", "db", id="r1"), rule("db", "web", id="")).config.acl] == [
        "r1",
        "r3",
    ]


def test_an_id_that_was_anothers_is_refused_by_name() -> None:
    gone = whole(draft(FIRST, SECOND), SECOND)

    for odd in ("r1", "r01", "r5"):
        with pytest.raises(Refused, match=rf"rule 2 \({odd}\): no rule in force has that id: it was another's"):
            whole(gone, SECOND, rule("db", "web", id=odd))
    with pytest.raises(Refused, match=r"test 1 \(t1\): no test in force"):
        after(after(draft(), STATED, AssertionRemoved("t1")), RulingReplaced([], [DENIED], {}))
    with pytest.raises(Refused, match="goes up to 999999999999"):
        whole(gone, SECOND, rule("db", "web", id=f"r{2**53 - 1}"))
    assert [each.id for each in whole(gone, SECOND, rule("db", "web", id="r8")).config.acl] == ["r7", "r8"]
