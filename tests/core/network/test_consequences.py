"""Consequences: an edit that breaks a test, or the connection it is typed through, changes nothing."""

import pytest

from pulse.core.network.consequences import Through, difference
from pulse.core.network.draft import Draft
from pulse.core.network.edits import Edit, Edits, edited
from pulse.core.network.naming import NodeUntagged
from pulse.core.network.ruletext import flows_text
from pulse.core.network.ruling import AssertionAdded, AssertionRemoved, RuleAdded, RuleRemoved
from pulse.core.trust.identity import node_bytes
from pulse.errors import Refused
from tests.authority import NOW
from tests.core.network.drafts import CAM, DB, WEB, after, draft

SSH = RuleAdded(["web"], ["tag:prod"], allow=True, protocols=[6], ports=[(22, 22)])
MUST = AssertionAdded("web", "db", True, 6, 22)
NEVER = AssertionAdded("*", "tag:prod", False, 6, 23)


def typed(before: Draft, *edits: Edit, force: bool = False, port: int = 22) -> Draft:
    """Edits that are typed on db, over a connection from web."""
    through = Through(node_bytes(WEB), node_bytes(DB), 6, port)
    return edited(before, Edits([*edits], force=force, through=through), NOW)


def test_what_is_gained_and_lost_is_told_by_pairs() -> None:
    closed = after(draft(), RuleAdded(["web"], ["web"], allow=True))
    found = difference(closed, after(closed, SSH), NOW)

    assert [(each.source.node, each.destination.node, flows_text(each.flows)) for each in found.gained] == [
        (WEB, DB, "tcp 22")
    ]
    assert found.lost == []


def test_a_tag_gives_what_its_rules_allow() -> None:
    ruled = after(draft(), SSH)
    found = difference(ruled, after(ruled, NodeUntagged(node_bytes(DB), "prod")), NOW)

    assert [(each.source.node, each.destination.node) for each in found.lost] == [(WEB, DB)]


def test_an_edit_that_breaks_a_test_names_it_and_the_rule() -> None:
    tested = after(draft(), SSH, MUST, NEVER)

    with pytest.raises(Refused, match=r"test t1 would fail: web → db tcp 22 must be allowed, .* denied \(no rule"):
        after(tested, RuleRemoved("r1"), RuleAdded(["web"], ["web"], allow=True))
    with pytest.raises(Refused, match=r"test t2 .*allowed \(rule 2, allow \* → \*\)\.\n.*pulse acl test remove t2"):
        after(tested, RuleAdded(["*"], ["*"], allow=True))
    with pytest.raises(Refused, match=r"test t1 .*denied"):
        after(tested, NodeUntagged(node_bytes(DB), "prod"))
    without = after(tested, AssertionRemoved("t2"), RuleAdded(["*"], ["*"], allow=True))
    assert without.config.tests == tested.config.tests[:1]


def test_a_test_that_fails_from_the_first_is_not_taken_and_one_that_failed_before_stops_nobody() -> None:
    with pytest.raises(Refused, match=r"test t1 would fail: .*there are no rules"):
        after(draft(), NEVER)

    timed = after(draft(), RuleAdded(["*"], ["db"], allow=True, expires=NOW + 5.0), SSH)
    with pytest.raises(Refused, match="test t1"):
        after(timed, NEVER)
    over = after(timed, NEVER, wall=NOW + 6.0)
    assert len(after(over, SSH).config.acl) == 3, "the clock went back, and what fails has failed before"


def test_an_edit_that_closes_the_connection_it_is_typed_through_needs_force() -> None:
    open_to_all = draft()

    with pytest.raises(Refused, match=r"close the connection it is typed through \(web → db port 22\).*\n.*--force"):
        typed(open_to_all, RuleAdded(["*"], ["db"], allow=False))
    with pytest.raises(Refused, match="close the connection"):
        typed(after(open_to_all, SSH), NodeUntagged(node_bytes(DB), "prod"))
    assert typed(open_to_all, RuleAdded(["*"], ["db"], allow=False), force=True).config.acl != []
    assert typed(open_to_all, SSH, RuleAdded(["*"], ["db"], allow=False)).config.acl != []


def test_a_connection_that_did_not_pass_is_not_closed_nor_one_of_strangers() -> None:
    shut = after(draft(), RuleAdded([CAM], ["web"], allow=True))
    assert typed(shut, RuleRemoved("r1"), RuleAdded(["*"], ["web"], allow=True)).config.acl != []

    stranger = Through(bytes(32), node_bytes(DB), 6, 22)
    assert edited(draft(), Edits([RuleAdded(["*"], ["db"], allow=False)], through=stranger), NOW).config.acl != []
