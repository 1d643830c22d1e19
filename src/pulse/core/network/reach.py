"""What the rules let pass between two nodes, and what an edit of them gives and takes.

Whole sets of flows are compared, not samples: protocols that no rule names are one, with ports and without. Invariant:
a flow is gained if the rules of before deny it and those of after allow it, and no other way; times are taken as if
every window were open.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, NamedTuple

from pulse.core.network.patterns import Subject
from pulse.core.network.policy import WITH_PORTS, Rule
from pulse.core.network.rulebook import Rulebook

OTHERS: Final = -1
"""All protocols with ports that no rule names."""
PORTLESS: Final = -2
"""All others that no rule names."""

Span = tuple[int, int]
Spans = tuple[Span, ...]
"""Ports, from and to, ordered and apart."""
ALL: Final[Spans] = ((0, 65535),)

MOST_COMPARED: Final = 10_000
"""Sets of rules compared for one edit; above it the edit is told in part, for nobody waits longer than two seconds."""

Flows = Mapping[int, Spans]
"""Ports by protocol; a protocol without ports has all or none."""


class Change(NamedTuple):
    """Flows from one node to another that an edit gives or takes."""

    source: Subject
    destination: Subject
    flows: Flows


@dataclass(frozen=True, slots=True)
class Difference:
    """What an edit gives and takes, a pair of nodes each; so many are told of each."""

    gained: list[Change] = field(default_factory=list)
    lost: list[Change] = field(default_factory=list)
    gained_pairs: int = 0
    lost_pairs: int = 0
    whole: bool = True
    """All pairs are counted; else there are more."""
    named: tuple[int, ...] = field(default=(), compare=False)
    """Protocols that some rule names: what is not said of one of them is not gained, or not lost."""


def compare(before: Rulebook, after: Rulebook, most: int) -> Difference:
    """What changes between the nodes, which both know; of pairs that gain or lose, `most` are told each."""
    comparison = _Comparison(before, after)
    gained, lost = _Pairs(most), _Pairs(most)
    for sources, destinations, key in comparison.touched():
        if len(comparison.known) >= MOST_COMPARED:
            return Difference(gained.told, lost.told, gained.count, lost.count, False, comparison.named)
        for flows, pairs in zip(comparison.changed(key), (gained, lost), strict=True):
            if flows:
                pairs.add(sources, destinations, flows)
    return Difference(gained.told, lost.told, gained.count, lost.count, True, comparison.named)


def anything(book: Rulebook, fitting: int) -> bool:
    """True if rules that fit two nodes let anything at all pass from the one to the other."""
    return bool(_flows(book, fitting, _named(book.rules)))


_Key = tuple[int, int]
"""Bits of rules before and after."""


class _Comparison:
    """Two rulebooks beside each other: nodes for which the same rules count are one, and what the edit left alone is
    not looked at."""

    def __init__(self, before: Rulebook, after: Rulebook) -> None:
        self._books = before, after
        self.named = tuple(_named([*before.rules, *after.rules]))
        self._head, self._tail = _common(before.rules, after.rules)
        self._opened = bool(before.rules) != bool(after.rules)
        self.known: dict[_Key, tuple[Flows, Flows]] = {}
        """What is gained and lost where these rules fit."""

    def touched(self) -> Iterator[tuple[list[Subject], list[Subject], _Key]]:
        """Sources, destinations and the rules that fit both, for all that the edit may have changed."""
        before, after = self._books
        sides = [(subject, before.sides(subject), after.sides(subject)) for subject in before.subjects]
        sources, destinations = (
            _alike((subject, (old[side], new[side])) for subject, old, new in sides) for side in (0, 1)
        )
        near = {key: nodes for key, nodes in destinations.items() if self._is_near(key)}
        moved = {key: nodes for key, nodes in destinations.items() if self._is_moved(key)}
        for source, nodes in sources.items():
            others = destinations if self._is_moved(source) else near if self._is_near(source) else moved
            for other, them in others.items():
                yield nodes, them, (source[0] & other[0], source[1] & other[1])

    def changed(self, key: _Key) -> tuple[Flows, Flows]:
        """What is gained and lost where these rules fit."""
        if key not in self.known:
            old, new = (_flows(book, bits, self.named) for book, bits in zip(self._books, key, strict=True))
            self.known[key] = _less(new, old), _less(old, new)
        return self.known[key]

    def _is_moved(self, key: _Key) -> bool:
        """True if rules that the edit left alone fit other nodes by it, or a network was opened or closed."""
        (old, new), (first, last) = key, self._books
        head = (1 << self._head) - 1
        ends = old >> len(first.rules) - self._tail, new >> len(last.rules) - self._tail
        return self._opened or old & head != new & head or ends[0] != ends[1]

    def _is_near(self, key: _Key) -> bool:
        """True if a rule that the edit is about fits, or the node is moved."""
        return self._is_moved(key) or any(
            bits >> self._head & (1 << len(book.rules) - self._head - self._tail) - 1
            for bits, book in zip(key, self._books, strict=True)
        )


def _common(before: Sequence[Rule], after: Sequence[Rule]) -> tuple[int, int]:
    """How many rules at the head, and then at the tail, are the same in both."""
    shorter = min(len(before), len(after))
    head = next((place for place in range(shorter) if before[place] != after[place]), shorter)
    left = shorter - head
    tail = next((place for place in range(left) if before[-1 - place] != after[-1 - place]), left)
    return head, tail


@dataclass(slots=True)
class _Pairs:
    """Pairs of nodes that gain, or lose; so many of them are told."""

    most: int
    told: list[Change] = field(default_factory=list)
    count: int = 0

    def add(self, sources: Sequence[Subject], destinations: Sequence[Subject], flows: Flows) -> None:
        both = {each.node for each in sources} & {each.node for each in destinations}
        self.count += len(sources) * len(destinations) - len(both)
        pairs = ((one, other) for one in sources for other in destinations if one.node != other.node)
        self.told += [Change(one, other, flows) for one, other in islice(pairs, self.most - len(self.told))]


def _alike(keys: Iterable[tuple[Subject, _Key]]) -> dict[_Key, list[Subject]]:
    """Nodes for which the same rules count, together."""
    found: dict[_Key, list[Subject]] = {}
    for subject, key in keys:
        found.setdefault(key, []).append(subject)
    return found


def _named(rules: Iterable[Rule]) -> list[int]:
    return [*sorted({protocol for rule in rules for protocol in rule.protocols}), OTHERS, PORTLESS]


def _flows(book: Rulebook, fitting: int, protocols: Sequence[int]) -> Flows:
    if not book.rules:
        return dict.fromkeys(protocols, ALL)
    rules = [book.rules[place] for place in book.in_order(fitting)]
    found = {protocol: _ports(rules, protocol) for protocol in protocols}
    return {protocol: spans for protocol, spans in found.items() if spans}


def _ports(rules: Sequence[Rule], protocol: int) -> Spans:
    """What these rules, all of which fit the nodes, allow of one protocol."""
    left, allowed = ALL, list[Span]()
    for rule in rules:
        if rule.protocols and protocol not in rule.protocols:
            continue
        if rule.ports and not (protocol in WITH_PORTS or protocol == OTHERS):
            continue
        taken = _both(left, joined(rule.ports)) if rule.ports else left
        if rule.allow:
            allowed += taken
        left = without(left, taken)
        if not left:
            break
    return joined(allowed)


def _less(flows: Flows, others: Flows) -> Flows:
    rest = {protocol: without(spans, others.get(protocol, ())) for protocol, spans in flows.items()}
    return {protocol: spans for protocol, spans in rest.items() if spans}


def joined(spans: Iterable[Span]) -> Spans:
    """The same ports, ordered, those that touch as one."""
    found: list[Span] = []
    for low, high in sorted(spans):
        if found and low <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(high, found[-1][1])
        else:
            found.append((low, high))
    return tuple(found)


def _both(one: Spans, other: Spans) -> Spans:
    return tuple(
        (max(low, least), min(high, most))
        for low, high in one
        for least, most in other
        if max(low, least) <= min(high, most)
    )


def without(spans: Spans, taken: Spans) -> Spans:
    """The ports of one that are not of the other."""
    left = list(spans)
    for least, most in taken:
        left = [
            part
            for low, high in left
            for part in ((low, min(high, least - 1)), (max(low, most + 1), high))
            if part[0] <= part[1]
        ]
    return tuple(left)
