"""Why a flow is allowed or denied: the rule that decides it, and of those that do not the nearest.

Invariant: the verdict is the rulebook's; what is said beside it only ever names what a rule lacks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from pulse.core.network.hours import Moment
from pulse.core.network.patterns import CIDR, GROUP, TAG, Subject
from pulse.core.network.policy import Rule
from pulse.core.network.rulebook import Rulebook, covers
from pulse.core.network.ruletext import PROTOCOLS, ports_text, protocols_text, shown
from pulse.core.trust.identity import is_tag

NEAR: Final = 2
"""What a rule may lack at most to be called near."""


class Flow(NamedTuple):
    """What is asked: may this node send that to the other?"""

    source: Subject
    destination: Subject
    protocol: int
    port: int


class Lack(NamedTuple):
    """One thing that keeps a rule from deciding, and the command that would change it; empty if there is none."""

    text: str
    fix: str = ""
    far: int = 0
    """Of two rules that lack as much the one meant for other ports is further than one for other nodes, and both are
    further than one whose time or turn it is not."""


class Miss(NamedTuple):
    """A rule that would allow the flow but for these."""

    place: int
    lacks: tuple[Lack, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the rules say of a flow."""

    allowed: bool
    place: int | None
    """Of the rule that decides; None if no rule matches, or there is none."""
    nearest: Miss | None
    fix: str
    """A command that would allow it; empty if it is allowed."""


def explain(book: Rulebook, flow: Flow, moment: Moment) -> Explanation:
    """The verdict of the rules of that moment, and what is nearest to another one."""
    if not book.rules:
        return Explanation(True, None, None, "")
    place = book.deciding(*flow)
    if place is not None and book.rules[place].allow:
        return Explanation(True, place, None, "")
    nearest = _nearest(book, flow, place, moment)
    return Explanation(False, place, nearest, _fix(flow, place, nearest))


def called(subject: Subject) -> str:
    """What a rule may call a node."""
    return subject.name or subject.node[:12]


def _nearest(book: Rulebook, flow: Flow, place: int | None, moment: Moment) -> Miss | None:
    misses = [
        Miss(number, tuple(_lacks(book, number, flow, place, moment)))
        for number, rule in enumerate(book.rules)
        if rule.allow
    ]
    near = min(misses, key=_distance, default=None)
    return near if near and len(near.lacks) <= NEAR else None


def _distance(miss: Miss) -> tuple[int, int]:
    return len(miss.lacks), sum(lack.far for lack in miss.lacks)


def _lacks(book: Rulebook, number: int, flow: Flow, place: int | None, moment: Moment) -> Iterator[Lack]:
    """All that keeps an allowing rule from deciding the flow."""
    rule = book.rules[number]
    for subject, patterns in ((flow.source, rule.sources), (flow.destination, rule.destinations)):
        if not book.fits(subject, patterns):
            yield _wrong_node(subject, patterns)
    if not covers(rule, flow.protocol, flow.port):
        yield Lack(f"it is for {_what(rule)}", far=2)
    if not rule.applies(moment):
        yield _wrong_time(rule, moment)
    if place is not None and number > place:
        yield Lack(f"rule {place + 1} stands before it", f"pulse acl move {number + 1} {place + 1}")


def _wrong_node(subject: Subject, patterns: Sequence[str]) -> Lack:
    name = called(subject)
    tag = next((each.removeprefix(TAG) for each in patterns if each.startswith(TAG)), "")
    if is_tag(tag):
        return Lack(f"{name} lacks tag:{tag}", f"pulse tag {name} {tag}", far=1)
    group = next((each for each in patterns if each.startswith(GROUP)), "")
    if group:
        return Lack(f"{name} is not in {shown(group)}", far=1)
    if patterns and all(each.startswith(CIDR) for each in patterns):
        ranges = " or ".join(shown(each).removeprefix(CIDR) for each in patterns)
        return Lack(f"{name} ({subject.handle}) is not in {ranges}", far=1)
    return Lack(f"{name} is not {' or '.join(map(shown, patterns)) or 'anybody'}", far=1)


def _wrong_time(rule: Rule, moment: Moment) -> Lack:
    if not moment.trusted:
        return Lack("it has times, and the clock of this node cannot be trusted")
    if rule.expires is not None and moment.wall >= rule.expires:
        return Lack("its time is over")
    return Lack(f"its window is closed ({rule.window})")


def _what(rule: Rule) -> str:
    return " ".join(filter(None, (protocols_text(rule.protocols), ports_text(rule.ports))))


def _fix(flow: Flow, place: int | None, nearest: Miss | None) -> str:
    if nearest is not None and len(nearest.lacks) == 1 and nearest.lacks[0].fix:
        return nearest.lacks[0].fix
    before = "" if place is None else f" --at {place + 1}"
    return f"pulse acl add --from {called(flow.source)} --to {called(flow.destination)}{_flags(flow)}{before}"


def _flags(flow: Flow) -> str:
    name = next((name for name, numbers in PROTOCOLS.items() if flow.protocol in numbers), str(flow.protocol))
    return f" --proto {name}" + (f" --ports {flow.port}" if flow.port else "")
