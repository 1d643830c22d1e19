"""The rules of a network config, and what they come to for the data plane.

The first rule that matches decides; without rules all is allowed, with any what matches none is not. Invariant: what
this release cannot read only ever denies: a pattern of an unknown form is nobody where a rule allows, and everybody
where it denies.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Final, NamedTuple

import msgspec

from pulse.core.effects import PolicyRule
from pulse.core.messages import U8, Wire, printable
from pulse.core.trust.identity import is_tag
from pulse.core.types import NodeId, Port, ShortText, is_node_id, is_node_name
from pulse.errors import ProtocolError

RULES_LIMIT: Final = 1024
"""Rules of one config."""

ANYBODY: Final = "*"
TAG: Final = "tag:"

_Pattern = Annotated[str, msgspec.Meta(max_length=80)]
_Patterns = Annotated[list[_Pattern], msgspec.Meta(max_length=256)]
_Protocols = Annotated[list[U8], msgspec.Meta(max_length=32)]
_Ports = Annotated[list[tuple[Port, Port]], msgspec.Meta(max_length=64)]


class Rule(Wire, frozen=True):
    """One rule. A pattern is `*`, a whole node id, a name or `tag:x`; later releases append fields."""

    id: ShortText
    sources: _Patterns
    destinations: _Patterns
    allow: bool
    protocols: _Protocols = msgspec.field(default_factory=list)
    """IP protocols; none for any."""
    ports: _Ports = msgspec.field(default_factory=list)
    """Destination ports, from and to; none for any."""
    redundant: bool = False
    """What it allows leaves over the two best ways at once, and so do the answers."""


Rules = Annotated[list[Rule], msgspec.Meta(max_length=RULES_LIMIT)]


class Subject(NamedTuple):
    """A node, as rules see it."""

    node: NodeId
    handle: str
    name: str | None
    """The one signed for it; what a machine asked to be called never matches a rule."""
    tags: tuple[str, ...]


def check_rules(rules: Sequence[Rule]) -> None:
    """Raise ProtocolError if the data plane would not take these rules."""
    for rule in rules:
        for low, high in rule.ports:
            if low > high:
                raise ProtocolError(f"rule {printable(rule.id)!r} has ports {low}-{high}, which are no range")


def compile_rules(rules: Sequence[Rule], subjects: Iterable[Subject]) -> tuple[PolicyRule, ...]:
    """The rules for the data plane: patterns as the handles of the nodes they fit now."""
    wearing: dict[str, set[str]] = {}
    for each in subjects:
        for pattern in (each.node, *([each.name] if each.name else []), *(TAG + tag for tag in each.tags)):
            wearing.setdefault(pattern, set()).add(each.handle)
    return tuple(_compiled(rule, wearing) for rule in rules)


def _compiled(rule: Rule, wearing: dict[str, set[str]]) -> PolicyRule:
    def handles(patterns: Sequence[str]) -> tuple[str, ...] | None:
        if ANYBODY in patterns or (not rule.allow and not all(map(_is_known, patterns))):
            return None
        return tuple(sorted(set[str]().union(*(wearing.get(pattern, ()) for pattern in patterns))))

    return PolicyRule(
        rule.allow,
        handles(rule.sources),
        handles(rule.destinations),
        tuple(rule.protocols),
        tuple(rule.ports),
        rule.redundant,
    )


def _is_known(pattern: str) -> bool:
    """True if this release knows what a pattern of that form fits."""
    is_tagged = pattern.startswith(TAG) and is_tag(pattern.removeprefix(TAG))
    return is_tagged or is_node_id(pattern) or is_node_name(pattern)
