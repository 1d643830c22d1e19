"""What the rules must always let pass, or never: kept in the network config, and no edit may break one.

Invariant: an assertion holds only if it does for all nodes it names, with every window open and with none.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Final, NamedTuple

import msgspec

from pulse.core.messages import U8, Wire
from pulse.core.network.patterns import Pattern, Subject
from pulse.core.network.policy import Rule
from pulse.core.network.rulebook import Rulebook, as_if_open, untimed
from pulse.core.network.ruletext import ports_text, protocols_text, shown
from pulse.core.types import Port, ShortText
from pulse.errors import Refused

ASSERTIONS_LIMIT: Final = 256

MOST_COMPARED: Final = 1_000_000
"""Pairs of nodes looked at for all of them: nobody waits for an edit longer than a second or two."""


class Assertion(Wire, frozen=True):
    """Every node that `source` fits may, or may not, reach every node that `destination` fits so."""

    id: ShortText
    source: Pattern
    destination: Pattern
    allow: bool
    protocol: U8
    port: Port = 0
    """0 for a protocol without."""


Assertions = Annotated[list[Assertion], msgspec.Meta(max_length=ASSERTIONS_LIMIT)]


class Breach(NamedTuple):
    """An assertion that does not hold, and two nodes that show it."""

    assertion: Assertion
    source: Subject
    destination: Subject
    place: int | None
    """Of the rule that decides there; None if none matches."""


def breaches(
    assertions: Sequence[Assertion],
    rules: Sequence[Rule],
    subjects: Sequence[Subject],
    groups: Mapping[str, Sequence[str]],
    wall: float,
) -> list[Breach]:
    """Those that do not hold, with the first pair of nodes each fails for. Raises Refused if they are too much work."""
    modes: tuple[Callable[[Rule], bool], ...] = (as_if_open(wall), untimed)
    books = [Rulebook(rules, subjects, groups, mode) for mode in modes]
    left = [MOST_COMPARED]
    found = (_breach(assertion, books, left) for assertion in assertions)
    return [each for each in found if each is not None]


def describe_assertion(assertion: Assertion) -> str:
    """`tag:dev → tag:prod tcp 22 must be denied`."""
    ports = [(assertion.port, assertion.port)] if assertion.port else []
    what = " ".join(filter(None, (protocols_text([assertion.protocol]), ports_text(ports))))
    verdict = "allowed" if assertion.allow else "denied"
    return f"{shown(assertion.source)} → {shown(assertion.destination)} {what} must be {verdict}"


def _breach(assertion: Assertion, books: Iterable[Rulebook], left: list[int]) -> Breach | None:
    for book in books:
        covering = book.covering(assertion.protocol, assertion.port)
        sources = _few(book, assertion.source, 0, covering)
        destinations = _few(book, assertion.destination, 1, covering)
        left[0] -= len(sources) * len(destinations)
        if left[0] < 0:
            raise Refused(
                f"the tests of these rules compare more than {MOST_COMPARED:,} pairs of nodes that rules tell apart.\n"
                "Have fewer of them, or tests that name fewer nodes"
            )
        for here, source in sources:
            for there, other in destinations:
                if source.node != other.node and book.lets_pass(here & there) != assertion.allow:
                    place = book.deciding(source, other, assertion.protocol, assertion.port)
                    return Breach(assertion, source, other, place)
    return None


def _few(book: Rulebook, pattern: str, side: int, covering: int) -> list[tuple[int, Subject]]:
    """The nodes that a pattern fits, with the rules that count for each on that side; of those for which the same
    rules count two stand for all: one may meet itself."""
    alike: dict[int, list[Subject]] = {}
    for node in book.named(pattern):
        few = alike.setdefault(book.sides(node)[side] & covering, [])
        if len(few) < 2:
            few.append(node)
    return [(rules, node) for rules, few in alike.items() for node in few]
