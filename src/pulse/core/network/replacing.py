"""All rules, tests and groups put in place of those there are: what a file of the whole network says of them.

Invariant: a rule or a test that stays as it was keeps its id, and one that is new never gets that of another,
nor of one that is gone.
"""

import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final, TypeVar

from msgspec import structs

from pulse.core.messages import Wire, pack, printable
from pulse.core.network.assertions import Assertion, Assertions
from pulse.core.network.draft import Draft
from pulse.core.network.netconfig import GONE_LIMIT
from pulse.core.network.patterns import GROUP, Groups
from pulse.core.network.policy import Rule, Rules, check_rules
from pulse.core.network.ruletext import check_fit, check_note
from pulse.core.network.ruling import (
    HIGHEST_NUMBER,
    group_members,
    highest_number,
    last_number,
    new_number,
    number_of,
    tested_side,
)
from pulse.core.network.words import Words, check_group_name
from pulse.errors import Conflict, PulseError, Refused

_ID: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}")

_ANOTHERS: Final = "no {called} in force has that id: it was another's, whose hits and log lines it names. Leave it out"

_Item = TypeVar("_Item", Rule, Assertion)


class RulingReplaced(Wire, frozen=True, tag=17):
    """Have these rules, tests and groups and no others; patterns as people type them, no id for what is new."""

    rules: Rules
    tests: Assertions
    groups: Groups
    ahead: bool = False
    """Names and tags that nobody has yet are meant."""


def replaced(before: Draft, draft: Draft, edit: RulingReplaced) -> Draft:
    """`draft` with these rules; `before` is the config in force, whose ids stay. Raises Refused, NotFound, Conflict."""
    config = draft.config
    kept = _idle(before)
    named = replace(draft, config=structs.replace(config, groups=edit.groups))
    words = Words(named, edit.ahead, kept)
    groups: dict[str, list[str]] = {}
    for name, members in edit.groups.items():
        with _said_of(f"group {printable(name)[:80]}"):
            check_group_name(name)
            groups[name] = group_members(words, members)
    old = before.config
    _check_own("rule", config.gone_rules, old.acl, edit.rules)
    _check_own("test", config.gone_tests, old.tests, edit.tests)
    rules = _numbered(old.acl, edit.rules, "rule", config.last_rule, lambda each: _rule(words, each))
    tests = _numbered(old.tests, edit.tests, "test", config.last_test, lambda each: _test(words, each))
    check_rules(rules)
    last_rule = _counted("r", config.last_rule, old.acl, rules)
    last_test = _counted("t", config.last_test, old.tests, tests)
    changed = structs.replace(config, acl=rules, tests=tests, groups=groups, last_rule=last_rule, last_test=last_test)
    return replace(draft, config=changed)


def remembered(before: Draft, after: Draft) -> Draft:
    """`after`, in which ids without a number that are gone since `before` are kept in mind."""
    old, new = before.config, after.config
    rules = _gone("r", new.gone_rules, old.acl, new.acl)
    tests = _gone("t", new.gone_tests, old.tests, new.tests)
    return replace(after, config=structs.replace(new, gone_rules=rules, gone_tests=tests))


def check_left(before: Draft, edit: RulingReplaced) -> None:
    """Raise Refused if all rules or all tests would go: so does what a file says that was cut off before them."""
    for called, old, new in (("rules", before.config.acl, edit.rules), ("tests", before.config.tests, edit.tests)):
        if old and not new:
            means = ": everybody could reach everybody" if called == "rules" else ""
            raise Refused(
                f"no {called} are left of {len(old)}{means}. Is the file whole?\nIf it is meant, say so: --force"
            )


def _gone(letter: str, known: Sequence[str], old: Sequence[_Item], new: Sequence[_Item]) -> list[str]:
    left = {each.id for each in new}
    fresh: list[str] = [each.id for each in old if each.id not in left and number_of(letter, each.id) is None]
    return [*fresh, *known][:GONE_LIMIT]


def _counted(letter: str, last: int, old: Sequence[_Item], new: Sequence[_Item]) -> int:
    """The highest number that any of these ever had; the same as before if nothing changes."""
    return last if old == new else max(last_number(letter, last, old), highest_number(letter, new))


def _idle(before: Draft) -> frozenset[str]:
    """Names and tags of rules in force that mean nobody: those of nodes still to join, or gone; they may stay."""
    config, words = before.config, Words(before)
    said = {
        *(pattern for rule in config.acl for pattern in (*rule.sources, *rule.destinations)),
        *(pattern for test in config.tests for pattern in (test.source, test.destination)),
        *(member for members in config.groups.values() for member in members),
    }
    return frozenset(each for each in said if not each.startswith(GROUP) and not words.is_known(each))


def _rule(words: Words, rule: Rule) -> Rule:
    check_note(rule.note)
    check_fit(rule.protocols, rule.ports)
    return structs.replace(
        rule,
        sources=words.read(rule.sources),
        destinations=words.read(rule.destinations),
        redundant=rule.redundant and rule.allow,
    )


def _test(words: Words, test: Assertion) -> Assertion:
    check_fit([test.protocol], [(test.port, test.port)] if test.port else [])
    source, destination = tested_side(words, test.source), tested_side(words, test.destination)
    return structs.replace(test, source=source, destination=destination)


def _numbered(
    old: Sequence[_Item], wanted: Sequence[_Item], called: str, last: int, read: Callable[[_Item], _Item]
) -> list[_Item]:
    """The wanted ones as they are kept, each with its id: its own, that of the same one in force, or the next."""
    known: dict[str, _Item] = {each.id: each for each in old}
    claimed: set[str] = set()
    found: list[_Item] = []
    highest = last_number(called[0], last, old)
    for number, each in enumerate(wanted, 1):
        with _said_of(f"{called} {number}{f' ({printable(each.id)[:80]})' if each.id else ''}"):
            _check_id(each.id, known, claimed)
            if each.id not in known:
                _check_number(called, each.id, highest)
            found.append(read(each))
    unclaimed: dict[bytes, list[_Item]] = {}
    for each in old:
        if each.id not in claimed:
            unclaimed.setdefault(_content(each), []).append(each)
    taken = {*claimed, *known}
    return [_identified(each, known, unclaimed, taken, called[0], highest) for each in found]


def _identified(
    new: _Item,
    known: Mapping[str, _Item],
    unclaimed: Mapping[bytes, list[_Item]],
    taken: set[str],
    letter: str,
    last: int,
) -> _Item:
    old = known.get(new.id)
    if old is not None:
        # In whole seconds a file says the moment at which a rule ends; the rule itself may know it better.
        return old if _content(old) == _content(new) else new
    if new.id:
        return new
    if same := unclaimed.get(_content(new)):
        return same.pop(0)
    made = structs.replace(new, id=f"{letter}{new_number(letter, last, taken)}")
    taken.add(made.id)
    return made


def _content(item: Rule | Assertion) -> bytes:
    """All of it but its id, in whole seconds."""
    if isinstance(item, Rule) and item.expires is not None:
        return pack(structs.replace(item, id="", expires=float(int(item.expires))))
    return pack(structs.replace(item, id=""))


def _check_id(text: str, known: Container[str], claimed: set[str]) -> None:
    """Raise Refused for an id that is none, Conflict for one that was said before; an empty one says nothing."""
    if text and not _ID.fullmatch(text) and text not in known:
        raise Refused("an id has lower case letters, digits, - and _, and begins with a letter. A new one needs none")
    if text in claimed:
        raise Conflict("another one has that id. What is new needs none")
    if text:
        claimed.add(text)


def _check_own(called: str, gone: Sequence[str], old: Sequence[_Item], wanted: Sequence[_Item]) -> None:
    """Raise Refused for an id without a number that another one had which is gone, or that nobody could remember."""
    letter = called[0]
    known = {each.id for each in old}
    fresh = [each.id for each in wanted if each.id not in known and each.id and number_of(letter, each.id) is None]
    for text in fresh:
        if text in gone:
            raise Refused(f"{called} {printable(text)[:80]}: {_ANOTHERS.format(called=called)}")
    own = sum(number_of(letter, each) is None for each in known)
    if fresh and len(gone) + own + len(fresh) > GONE_LIMIT:
        raise Refused(
            f"{len(gone)} {called}s with ids of their own are gone, which are never given again, and {GONE_LIMIT} are "
            "remembered. Leave the ids of new ones out: they are numbered"
        )


def _check_number(called: str, text: str, highest: int) -> None:
    """Raise Refused for a number that another one had which is gone, or that nobody would count up to."""
    number = number_of(called[0], text)
    if number is None:
        return
    if number <= highest:
        raise Refused(_ANOTHERS.format(called=called))
    if number > HIGHEST_NUMBER:
        raise Refused(f"the number of an id goes up to {HIGHEST_NUMBER}. Leave it out")


@contextmanager
def _said_of(what: str) -> Iterator[None]:
    """Errors inside say first what they are about."""
    try:
        yield
    except PulseError as error:
        raise type(error)(f"{what}: {error}") from error
