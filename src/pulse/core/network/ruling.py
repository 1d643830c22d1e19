"""Edits of rules, of what they must always hold, and of groups.

Words are read where the edit is made, on the scribe: globs become the ids known there. Invariant: an edit whose words
are not all known changes nothing, and no two rules, nor two assertions, ever share an id: not even with one that is
gone, under whose id flows were counted and logged.
"""

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Final

import msgspec
from msgspec import structs

from pulse.core.likeness import meant
from pulse.core.messages import U8, U53, Time, Wire
from pulse.core.network.assertions import ASSERTIONS_LIMIT, Assertion
from pulse.core.network.draft import Draft
from pulse.core.network.hours import Window
from pulse.core.network.netconfig import Config
from pulse.core.network.patterns import GROUP, GROUPS_LIMIT, Pattern, Patterns
from pulse.core.network.policy import RULES_LIMIT, Note, Ports, Protocols, Rule
from pulse.core.network.ruletext import check_fit, check_note
from pulse.core.network.words import Words, check_group_name
from pulse.core.trust.members import rule_name
from pulse.core.types import NodeId, Port, ShortText
from pulse.errors import NotFound, Refused

AT_THE_END: Final = 0
"""The place behind all other rules; the first has number 1."""

HIGHEST_NUMBER: Final = 10**12 - 1
"""Of an id that counts: each took an edit, so a config that says more was not counted up to."""


class RuleAdded(Wire, frozen=True, tag=10):
    """Add a rule; patterns as people type them."""

    sources: Patterns
    destinations: Patterns
    allow: bool
    protocols: Protocols = msgspec.field(default_factory=list)
    ports: Ports = msgspec.field(default_factory=list)
    redundant: bool = False
    expires: Time | None = None
    window: Window | None = None
    note: Note = ""
    place: U53 = AT_THE_END
    ahead: bool = False
    """Names and tags that nobody has yet are meant."""


class RuleRemoved(Wire, frozen=True, tag=11):
    """Take a rule away."""

    id: ShortText


class RuleMoved(Wire, frozen=True, tag=12):
    """Put a rule elsewhere; `place` is the number it has then."""

    id: ShortText
    place: U53


class AssertionAdded(Wire, frozen=True, tag=13):
    """State what rules must always let pass, or never."""

    source: Pattern
    destination: Pattern
    allow: bool
    protocol: U8
    port: Port = 0


class AssertionRemoved(Wire, frozen=True, tag=14):
    """State it no more."""

    id: ShortText


class GroupSet(Wire, frozen=True, tag=15):
    """Say who is in a group, all of them; it is made if it is not there."""

    name: ShortText
    members: Annotated[list[Pattern], msgspec.Meta(max_length=256)]
    ahead: bool = False


class GroupRemoved(Wire, frozen=True, tag=16):
    """Take a group away."""

    name: ShortText


RulingEdit = RuleAdded | RuleRemoved | RuleMoved | AssertionAdded | AssertionRemoved | GroupSet | GroupRemoved


def ruled(draft: Draft, edit: RulingEdit) -> Draft:
    """The draft after `edit`. Raises Refused, NotFound or Conflict."""
    match edit:
        case RuleAdded():
            return _added(draft, edit)
        case RuleRemoved(rule_id):
            return _removed(draft, _rule(draft, rule_id))
        case RuleMoved(rule_id, place):
            return _moved(draft, _rule(draft, rule_id), place)
        case AssertionAdded():
            return _asserted(draft, edit)
        case AssertionRemoved(assertion_id):
            return _unasserted(draft, assertion_id)
        case GroupSet():
            return _grouped(draft, edit)
        case GroupRemoved(name):
            return _ungrouped(draft, name)


def followed(before: Draft, after: Draft, nodes: Iterable[NodeId]) -> Draft:
    """`after`, in which nodes have other names, with rules, tests and groups that go on meaning them.

    Raises Refused if one of those means a node that has no name any more.
    """
    moved = {old: _called(after, node) for node in nodes if (old := _called(before, node)) is not None}
    moved = {old: new for old, new in moved.items() if new != old}
    if not moved:
        return after

    def read(patterns: Iterable[str]) -> list[str]:
        return [_moved_to(moved, each) for each in patterns]

    config = after.config
    acl = [
        structs.replace(each, sources=read(each.sources), destinations=read(each.destinations)) for each in config.acl
    ]
    tests = [
        structs.replace(each, source=read([each.source])[0], destination=read([each.destination])[0])
        for each in config.tests
    ]
    groups = {name: read(members) for name, members in config.groups.items()}
    return _changed(after, structs.replace(config, acl=acl, tests=tests, groups=groups))


def _called(draft: Draft, node: NodeId) -> str | None:
    """The name by which rules know a node."""
    certificate = draft.members.get(node)
    return rule_name(certificate, draft.naming) if certificate else draft.naming.names.get(node)


def _moved_to(moved: Mapping[str, str | None], pattern: str) -> str:
    found = moved.get(pattern, pattern)
    if found is None:
        raise Refused(f"rules, tests or groups name {pattern}, which nobody would be called any more. Edit them first")
    return found


def _added(draft: Draft, edit: RuleAdded) -> Draft:
    rules = draft.config.acl
    if len(rules) >= RULES_LIMIT:
        raise Refused(f"the network config has {RULES_LIMIT} rules already, and holds no more")
    check_fit(edit.protocols, edit.ports)
    check_note(edit.note)
    words = Words(draft, edit.ahead)
    number = new_number("r", last_number("r", draft.config.last_rule, rules), {each.id for each in rules})
    rule = Rule(
        f"r{number}",
        words.read(edit.sources),
        words.read(edit.destinations),
        edit.allow,
        edit.protocols,
        edit.ports,
        edit.redundant and edit.allow,
        edit.expires,
        edit.window,
        edit.note,
    )
    return _with_rules(draft, _put(rules, rule, edit.place), number)


def _removed(draft: Draft, rule: Rule) -> Draft:
    rules = draft.config.acl
    return _with_rules(
        draft, [each for each in rules if each is not rule], last_number("r", draft.config.last_rule, rules)
    )


def _moved(draft: Draft, rule: Rule, place: int) -> Draft:
    others = [each for each in draft.config.acl if each is not rule]
    return _with_rules(draft, _put(others, rule, place))


def _put(rules: Sequence[Rule], rule: Rule, place: int) -> list[Rule]:
    """The rules with another one at this place."""
    if place > len(rules) + 1:
        raise Refused(f"there is no place {place}: with this one there are {len(rules) + 1} rules. See: pulse acl list")
    before = len(rules) if place == AT_THE_END else place - 1
    return [*rules[:before], rule, *rules[before:]]


def _rule(draft: Draft, rule_id: str) -> Rule:
    found = next((each for each in draft.config.acl if each.id == rule_id), None)
    if found is None:
        raise NotFound(f'there is no rule "{rule_id}". See them: pulse acl list')
    return found


def _asserted(draft: Draft, edit: AssertionAdded) -> Draft:
    tests = draft.config.tests
    if len(tests) >= ASSERTIONS_LIMIT:
        raise Refused(f"the network config has {ASSERTIONS_LIMIT} tests already, and holds no more")
    check_fit([edit.protocol], [(edit.port, edit.port)] if edit.port else [])
    words = Words(draft)
    source, destination = tested_side(words, edit.source), tested_side(words, edit.destination)
    number = new_number("t", last_number("t", draft.config.last_test, tests), {each.id for each in tests})
    new = Assertion(f"t{number}", source, destination, edit.allow, edit.protocol, edit.port)
    return _changed(draft, structs.replace(draft.config, tests=[*tests, new], last_test=number))


def _unasserted(draft: Draft, assertion_id: str) -> Draft:
    tests = draft.config.tests
    left = [each for each in tests if each.id != assertion_id]
    if len(left) == len(tests):
        raise NotFound(f'there is no test "{assertion_id}". See them: pulse acl test')
    return _changed(
        draft, structs.replace(draft.config, tests=left, last_test=last_number("t", draft.config.last_test, tests))
    )


def _grouped(draft: Draft, edit: GroupSet) -> Draft:
    check_group_name(edit.name)
    members = group_members(Words(draft, edit.ahead), edit.members)
    groups = {**draft.config.groups, edit.name: members}
    if len(groups) > GROUPS_LIMIT:
        raise Refused(f"the network config has {GROUPS_LIMIT} groups already, and holds no more")
    return _changed(draft, structs.replace(draft.config, groups=groups))


def _ungrouped(draft: Draft, name: str) -> Draft:
    config = draft.config
    if name not in config.groups:
        raise NotFound(f'there is no group "{name}".{meant(name, config.groups)} See them: pulse groups')
    users = [f"rule {each.id}" for each in config.acl if GROUP + name in (*each.sources, *each.destinations)]
    users += [f"test {each.id}" for each in config.tests if GROUP + name in (each.source, each.destination)]
    if users:
        raise Refused(f"group {name} is in use: {', '.join(users[:8])}. Remove what uses it first")
    groups = {each: members for each, members in config.groups.items() if each != name}
    return _changed(draft, structs.replace(config, groups=groups))


def _with_rules(draft: Draft, rules: list[Rule], last: int | None = None) -> Draft:
    last = draft.config.last_rule if last is None else last
    return _changed(draft, structs.replace(draft.config, acl=rules, last_rule=last))


def _changed(draft: Draft, config: Config) -> Draft:
    return replace(draft, config=config)


def group_members(words: Words, typed: Iterable[str]) -> list[str]:
    """Members of a group as it keeps them; raises what reading words does, or Refused."""
    members = words.read(typed)
    if unfit := [each for each in members if each.startswith((GROUP, "cidr:", "*"))]:
        raise Refused(f"{unfit[0]} cannot be in a group: its members are names, ids and tags")
    return members


def tested_side(words: Words, typed: str) -> str:
    """One side of a test as it is kept; raises what reading words does, or Refused."""
    pattern, *more = words.read([typed])
    if more:
        raise Refused("a test names one node on each side, a tag, a group or *: a glob of ids is not kept. Use a tag")
    return pattern


def new_number(letter: str, last: int, taken: Container[str]) -> int:
    """The number of the next id: one that none ever had."""
    number = last + 1
    while f"{letter}{number}" in taken:
        number += 1
    return number


def last_number(letter: str, last: int, given: Sequence[Rule] | Sequence[Assertion]) -> int:
    """The highest number there ever was; where none was kept, or none that can be, the highest there is."""
    return last if 0 < last <= HIGHEST_NUMBER else highest_number(letter, given)


def highest_number(letter: str, given: Sequence[Rule] | Sequence[Assertion]) -> int:
    """The highest number in ids of that kind."""
    numbers = (number_of(letter, each.id) for each in given)
    return max((each for each in numbers if each is not None and each <= HIGHEST_NUMBER), default=0)


def number_of(letter: str, text: str) -> int | None:
    """The number in an id that is a letter and a number; None for any other."""
    found = re.fullmatch(rf"{letter}([0-9]{{1,64}})", text)
    return int(found[1]) if found else None
