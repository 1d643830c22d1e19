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

ASSERTIONS_LIMIT: Final = 256


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
    """Those that do not hold, with the first pair of nodes each fails for."""
    modes: tuple[Callable[[Rule], bool], ...] = (as_if_open(wall), untimed)
    books = [Rulebook(rules, subjects, groups, mode) for mode in modes]
    found = (_breach(assertion, books) for assertion in assertions)
    return [each for each in found if each is not None]


def describe_assertion(assertion: Assertion) -> str:
    """`tag:dev → tag:prod tcp 22 must be denied`."""
    ports = [(assertion.port, assertion.port)] if assertion.port else []
    what = " ".join(filter(None, (protocols_text([assertion.protocol]), ports_text(ports))))
    verdict = "allowed" if assertion.allow else "denied"
    return f"{shown(assertion.source)} → {shown(assertion.destination)} {what} must be {verdict}"


def _breach(assertion: Assertion, books: Iterable[Rulebook]) -> Breach | None:
    for book in books:
        covering = book.covering(assertion.protocol, assertion.port)
        sides = enumerate((assertion.source, assertion.destination))
        sources, destinations = (_few(book, pattern, side, covering) for side, pattern in sides)
        for source in sources:
            for other in destinations:
                flow = (source, other, assertion.protocol, assertion.port)
                if source.node != other.node and book.allows(*flow) != assertion.allow:
                    return Breach(assertion, source, other, book.deciding(*flow))
    return None


def _few(book: Rulebook, pattern: str, side: int, covering: int) -> list[Subject]:
    """The nodes that a pattern fits; of those for which the same rules count two stand for all: one may meet itself."""
    alike: dict[int, list[Subject]] = {}
    for node in book.subjects:
        if book.fits(node, [pattern]):
            few = alike.setdefault(book.sides(node)[side] & covering, [])
            if len(few) < 2:
                few.append(node)
    return [node for few in alike.values() for node in few]
