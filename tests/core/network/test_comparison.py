"""Two configs side by side: every difference is told, in the section it is in, and nothing else."""

from msgspec import structs

from pulse.core.network.assertions import Assertion
from pulse.core.network.comparison import compared
from pulse.core.network.draft import Draft
from pulse.core.network.edits import Edit
from pulse.core.network.naming import NamingReplaced
from pulse.core.network.replacing import RulingReplaced
from pulse.core.network.routes import Route
from pulse.core.network.sections import RoutesReplaced, TemplateSet, ZonesReplaced
from pulse.core.network.templates import Template
from pulse.core.network.zones import ZoneRecord
from pulse.core.trust.identity import node_bytes
from tests.core.network.drafts import DB, WEB, after, draft
from tests.core.network.nodes import rule

RULES = [rule("web", "db", id=f"r{number}", note=f"n{number}") for number in range(1, 5)]
RENAMED = NamingReplaced({node_bytes(DB): "store"}, {node_bytes(WEB): ["front", "edge"]})


def told(before: Draft, *edits: Edit) -> list[tuple[str, str, str, str]]:
    return [(*each[:1], each.change.value, *each[2:]) for each in compared(before, after(before, *edits))]


def ruled(*rules: object) -> RulingReplaced:
    return RulingReplaced([*rules], [], {})  # type: ignore[list-item]  # any rule will do


def test_of_two_that_are_alike_nothing_is_told() -> None:
    assert compared(draft(*RULES), draft(*RULES)) == []


def test_every_section_tells_what_came_and_what_went() -> None:
    before = draft()
    found = told(
        before,
        RENAMED,
        RulingReplaced([rule("web", "store", id="")], [Assertion("", "web", "store", True, 6, 22)], {"ops": ["web"]}),
        TemplateSet("web", Template(["web"])),
        ZonesReplaced([ZoneRecord("x", "A", "10.9.0.1")]),
        RoutesReplaced([Route(node_bytes(DB), "10.7.7.0/24")], {"10.8.0.0/16": "site"}),
    )
    assert found == [
        ("names", "changed", f"{DB[:12]} is store", f"{DB[:12]} is db"),
        ("tags", "removed", "db: prod", ""),
        ("tags", "added", "web: front edge", ""),
        ("groups", "added", "ops: web", ""),
        ("acl", "added", "r1: allow web → store", ""),
        ("tests", "added", "t1: web → store tcp 22 must be allowed", ""),
        ("templates", "added", "web: tags web", ""),
        ("zones", "added", "x.pulse A 10.9.0.1, ttl 60 s", ""),
        ("routes", "added", "store: 10.7.7.0/24, not approved", ""),
        ("auto_approve", "added", "10.8.0.0/16: tag:site", ""),
    ]


def test_a_rule_that_only_moved_is_told_alone() -> None:
    one, two, three, four = RULES
    assert told(draft(*RULES), ruled(four, one, two, three)) == [
        ("acl", "moved", "r4: allow web → db (n4) (now number 1)", "")
    ]


def test_a_rule_that_changed_is_told_as_it_was() -> None:
    one, *others = RULES
    assert told(draft(*RULES), ruled(structs.replace(one, allow=False), *others)) == [
        ("acl", "changed", "r1: deny web → db (n1)", "r1: allow web → db (n1)")
    ]


def test_what_a_config_brought_with_it_is_shown_without_tricks() -> None:
    (change,) = compared(draft(), draft(rule("web", "db", note="\x1b[2J\nacl")))
    assert not {"\x1b", "\n"} & {*change.line}
