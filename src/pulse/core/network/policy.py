"""The rules of a network config, and what they come to for the data plane.

The first rule that matches decides; without rules all is allowed, with any what matches none is not. Invariant: rules
are never fewer in the data plane than in the config: one whose time is not now stays there and fits nobody, so no list
of rules ends as an open network.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final

import msgspec

from pulse.core.cidr import Range
from pulse.core.effects import PolicyRule, RangesBehind
from pulse.core.messages import U8, Time, Wire, printable
from pulse.core.network.hours import Moment, Window
from pulse.core.network.patterns import NO_GROUPS, Patterns, Subject, Wearing
from pulse.core.types import Port, ShortText
from pulse.errors import ProtocolError

RULES_LIMIT: Final = 1024
"""Rules of one config."""

NOTE_LIMIT: Final = 200
"""Characters of a note."""

TCP: Final = 6

WITH_PORTS: Final = frozenset({TCP, 17, 33, 132, 136})
"""IP protocols whose packets name ports: TCP, UDP, DCCP, SCTP, UDP-Lite. The data plane knows the same."""

ALWAYS: Final = Moment(0.0, trusted=True)
"""For rules that time does not concern."""

Protocols = Annotated[list[U8], msgspec.Meta(max_length=32)]
Ports = Annotated[list[tuple[Port, Port]], msgspec.Meta(max_length=64)]
Note = Annotated[str, msgspec.Meta(max_length=NOTE_LIMIT)]


class Rule(Wire, frozen=True):
    """One rule; later releases append fields. Patterns are those of `core/network/patterns.py`."""

    id: ShortText
    sources: Patterns
    destinations: Patterns
    allow: bool
    protocols: Protocols = msgspec.field(default_factory=list)
    """IP protocols; none for any."""
    ports: Ports = msgspec.field(default_factory=list)
    """Destination ports, from and to; none for any."""
    redundant: bool = False
    """What it allows leaves over the two best ways at once, and so do the answers."""
    expires: Time | None = None
    """From then on it fits nobody."""
    window: Window | None = None
    """Outside it fits nobody."""
    note: Note = ""

    @property
    def is_timed(self) -> bool:
        """True if it counts at some times only."""
        return self.expires is not None or self.window is not None

    def applies(self, moment: Moment) -> bool:
        """True if it counts now: by a clock that may be wrong only if it denies."""
        if not self.is_timed:
            return True
        if not moment.trusted:
            return not self.allow
        if self.expires is not None and moment.wall >= self.expires:
            return False
        return self.window is None or self.window.is_open(moment.wall)

    def next_turn(self, wall: float) -> float | None:
        """When it next begins or ceases to count; None for never again."""
        if self.expires is not None and self.expires <= wall:
            return None
        turns = [self.window.next_turn(wall)] if self.window else []
        return min([*turns, *([self.expires] if self.expires is not None else [])], default=None)


Rules = Annotated[list[Rule], msgspec.Meta(max_length=RULES_LIMIT)]


def check_rules(rules: Sequence[Rule]) -> None:
    """Raise ProtocolError if the data plane would not take these rules."""
    for rule in rules:
        for low, high in rule.ports:
            if low > high:
                raise ProtocolError(f"rule {printable(rule.id)!r} has ports {low}-{high}, which are no range")


def compile_rules(
    rules: Sequence[Rule],
    subjects: Iterable[Subject],
    groups: Mapping[str, Sequence[str]] = NO_GROUPS,
    moment: Moment = ALWAYS,
    behind: Sequence[tuple[str, Range]] = (),
) -> tuple[PolicyRule, ...]:
    """The rules for the data plane: patterns as the handles of the nodes they fit now.

    `behind` are the approved ranges with the handles of the nodes that they lie behind.
    """
    wearing = Wearing.of(subjects, groups, behind)
    return tuple(_compiled(rule, wearing, applies=rule.applies(moment)) for rule in rules)


def _compiled(rule: Rule, wearing: Wearing, *, applies: bool) -> PolicyRule:
    def handles(patterns: Sequence[str]) -> tuple[str, ...] | None:
        found = wearing.handles(patterns, allow=rule.allow) if applies else ()
        return None if found is None else tuple(sorted(found))

    def behind(patterns: Sequence[str]) -> RangesBehind:
        return wearing.behind(patterns) if applies else RangesBehind()

    return PolicyRule(
        rule.allow,
        handles(rule.sources),
        handles(rule.destinations),
        tuple(rule.protocols),
        tuple(rule.ports),
        rule.redundant,
        rule.id,
        behind(rule.sources),
        behind(rule.destinations),
    )
