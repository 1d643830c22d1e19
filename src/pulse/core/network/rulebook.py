"""Which rule decides a flow: the rules as bit sets of the nodes they fit, for questions instead of packets.

Invariant: it decides as the data plane does with the compiled rules of the same moment.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pulse.core.cidr import Range
from pulse.core.network.destinations import IPAddress
from pulse.core.network.hours import Moment
from pulse.core.network.patterns import NO_GROUPS, Subject, Wearing, ranges_named
from pulse.core.network.policy import WITH_PORTS, Rule


class Verdict(NamedTuple):
    """What the rules say of a flow."""

    allowed: bool
    rule: str | None = None
    """The id of the rule that decides; empty if none matched, None if there was none to ask."""


@dataclass(frozen=True, slots=True)
class Rulebook:
    """Rules, and whom they fit."""

    rules: Sequence[Rule]
    subjects: Sequence[Subject]
    groups: Mapping[str, Sequence[str]] = field(default_factory=lambda: NO_GROUPS)
    applies: Callable[[Rule], bool] = lambda _: True
    """Whether a rule counts; by default as if all times were now."""
    _wearing: Wearing = field(init=False, repr=False, compare=False)
    _sources: "_Bits" = field(init=False, repr=False, compare=False)
    _destinations: "_Bits" = field(init=False, repr=False, compare=False)
    _ranges: tuple[tuple[int, tuple[Range, ...]], ...] = field(init=False, repr=False, compare=False)
    """Which rules name ranges as their destinations, and which."""

    def __post_init__(self) -> None:
        wearing = Wearing.of(self.subjects, self.groups)
        counting = [(place, rule) for place, rule in enumerate(self.rules) if self.applies(rule)]
        sources = [(place, wearing.handles(rule.sources, allow=rule.allow)) for place, rule in counting]
        destinations = [(place, wearing.handles(rule.destinations, allow=rule.allow)) for place, rule in counting]
        named = ((place, ranges_named(rule.destinations)) for place, rule in counting)
        object.__setattr__(self, "_ranges", tuple(each for each in named if each[1]))
        object.__setattr__(self, "_wearing", wearing)
        object.__setattr__(self, "_sources", _Bits.of(sources))
        object.__setattr__(self, "_destinations", _Bits.of(destinations))

    def fitting(self, source: Subject, destination: Subject, beyond: IPAddress | None = None) -> int:
        """The rules whose two sides fit these nodes, a bit each, the first one lowest.

        Of an address `beyond` the destination, to which that node leads, also those that name a range with it.
        """
        there = self._destinations.get(destination)
        if beyond is not None:
            there |= sum(1 << place for place, named in self._ranges if any(beyond in each for each in named))
        return self._sources.get(source) & there

    def sides(self, subject: Subject) -> tuple[int, int]:
        """The rules that fit it as a source, and those that fit it as a destination."""
        return self._sources.get(subject), self._destinations.get(subject)

    def covering(self, protocol: int, port: int) -> int:
        """The rules that are for that protocol and port, whoever speaks to whom."""
        return sum(1 << place for place, rule in enumerate(self.rules) if covers(rule, protocol, port))

    def fits(self, subject: Subject, patterns: Sequence[str]) -> bool:
        """True if these patterns of a rule that allows fit the node."""
        handles = self._wearing.handles(patterns, allow=True)
        return handles is None or subject.handle in handles

    def named(self, pattern: str) -> list[Subject]:
        """The nodes that a pattern of a rule that allows fits."""
        handles = self._wearing.handles([pattern], allow=True)
        return [each for each in self.subjects if handles is None or each.handle in handles]

    def in_order(self, fitting: int) -> Iterator[int]:
        """The places of those rules."""
        while fitting:
            lowest = fitting & -fitting
            yield lowest.bit_length() - 1
            fitting ^= lowest

    def deciding(
        self, source: Subject, destination: Subject, protocol: int, port: int, beyond: IPAddress | None = None
    ) -> int | None:
        """The place of the rule that decides the flow; None if none matches."""
        for place in self.in_order(self.fitting(source, destination, beyond)):
            if covers(self.rules[place], protocol, port):
                return place
        return None

    def lets_pass(self, fitting: int) -> bool:
        """True if the first of those rules, which are all for one protocol and port, allows, or there are no rules."""
        return self.rules[next(self.in_order(fitting))].allow if fitting else not self.rules

    def allows(self, source: Subject, destination: Subject, protocol: int, port: int) -> bool:
        """True if the flow is allowed in its own direction."""
        return self.verdict(source, destination, protocol, port).allowed

    def verdict(
        self, source: Subject, destination: Subject, protocol: int, port: int, beyond: IPAddress | None = None
    ) -> Verdict:
        """Whether it is, and by which rule."""
        if not self.rules:
            return Verdict(True)
        place = self.deciding(source, destination, protocol, port, beyond)
        return Verdict(False, "") if place is None else Verdict(self.rules[place].allow, self.rules[place].id)


@dataclass(frozen=True, slots=True)
class _Bits:
    """One side of all rules: the rules that fit everybody, and by handle those that fit a node."""

    anybody: int
    by_handle: Mapping[str, int]

    @classmethod
    def of(cls, sides: Iterable[tuple[int, frozenset[str] | None]]) -> "_Bits":
        """Of each rule's place, and the handles it fits there; None for everybody."""
        anybody, by_handle = 0, dict[str, int]()
        for place, handles in sides:
            if handles is None:
                anybody |= 1 << place
            for handle in handles or ():
                by_handle[handle] = by_handle.get(handle, 0) | 1 << place
        return cls(anybody, by_handle)

    def get(self, subject: Subject) -> int:
        return self.anybody | self.by_handle.get(subject.handle, 0)


def covers(rule: Rule, protocol: int, port: int) -> bool:
    """True if the rule is for that protocol and port, whoever speaks to whom."""
    if rule.protocols and protocol not in rule.protocols:
        return False
    if not rule.ports:
        return True
    return protocol in WITH_PORTS and any(low <= port <= high for low, high in rule.ports)


def at(moment: Moment) -> Callable[[Rule], bool]:
    """Rules count as their times say at that moment."""
    return lambda rule: rule.applies(moment)


def as_if_open(wall: float) -> Callable[[Rule], bool]:
    """Rules count as if every window were open; those that ended do not."""
    return lambda rule: rule.expires is None or wall < rule.expires


def untimed(rule: Rule) -> bool:
    """Only rules that time does not concern count."""
    return not rule.is_timed
