"""What comes of edits before they are in force: flows gained and lost, assertions broken, a connection closed.

Invariant: no edit breaks an assertion that held before it, and only one that is forced closes the connection it is
typed through.
"""

from collections.abc import Callable
from typing import Final

from pulse.core.messages import U8, Wire
from pulse.core.network.assertions import Breach, breaches, describe_assertion
from pulse.core.network.draft import Draft
from pulse.core.network.explain import called
from pulse.core.network.hours import Moment
from pulse.core.network.policy import TCP, Rule
from pulse.core.network.reach import Difference, compare
from pulse.core.network.rulebook import Rulebook, as_if_open, at
from pulse.core.network.ruletext import describe
from pulse.core.trust.identity import node_bytes
from pulse.core.trust.members import Members
from pulse.core.types import Digest, Port
from pulse.errors import Conflict, NotFound, Refused

PAIRS_TOLD: Final = 100
"""Pairs of nodes that are told to have gained, or lost; all are counted."""


class Through(Wire, frozen=True):
    """The connection that edits are typed through: it had better live on."""

    source: Digest
    destination: Digest
    protocol: U8
    port: Port


def through(members: Members, source: str, destination: str, port: int) -> Through | None:
    """The TCP connection between two IP addresses, if both are in the mesh."""
    try:
        ends = [node_bytes(members.resolve(each).node_id) for each in (source, destination)]
    except (NotFound, Conflict):
        return None
    return Through(ends[0], ends[1], TCP, port)


def book(draft: Draft, applies: Callable[[Rule], bool]) -> Rulebook:
    """The rules of a draft, for the nodes as it names them."""
    return Rulebook(draft.config.acl, draft.roll.subjects, draft.config.groups, applies)


def difference(before: Draft, after: Draft, wall: float) -> Difference:
    """What nodes may that they could not, and no more what they could; as if every window were open."""
    mode = as_if_open(wall)
    return compare(book(before, mode), book(after, mode), PAIRS_TOLD)


def check_assertions(before: Draft, after: Draft, wall: float) -> None:
    """Raise Refused if an assertion holds no more, or a new one does not."""
    broken = {each.assertion for each in _breaches(before, wall) if each.assertion in before.config.tests}
    for breach in _breaches(after, wall):
        if breach.assertion not in broken:
            raise Refused(_broken(after, breach))


def check_through(before: Draft, after: Draft, through: Through, wall: float) -> None:
    """Raise Refused if the connection that `after` is typed through passes now and would not then."""
    now = at(Moment(wall, trusted=True))
    old, new = book(before, now), book(after, now)
    nodes = {node_bytes(each.node): each for each in new.subjects}
    source, destination = nodes.get(through.source), nodes.get(through.destination)
    if source is None or destination is None:
        return
    flow = (source, destination, through.protocol, through.port)
    if old.allows(*flow) and not new.allows(*flow):
        raise Refused(
            f"this would close the connection it is typed through ({called(source)} → {called(destination)} "
            f"port {through.port}), so nothing is changed.\nAllow that first, or say --force"
        )


def _breaches(draft: Draft, wall: float) -> list[Breach]:
    config = draft.config
    return breaches(config.tests, config.acl, draft.roll.subjects, config.groups, wall) if config.tests else []


def _broken(after: Draft, breach: Breach) -> str:
    test = breach.assertion
    rules, place = after.config.acl, breach.place
    by = "no rule matches" if rules else "there are no rules"
    if place is not None:
        by = f"rule {place + 1}, {describe(rules[place])}"
    verdict = "denied" if test.allow else "allowed"
    return (
        f"test {test.id} would fail: {describe_assertion(test)}, "
        f"and {called(breach.source)} → {called(breach.destination)} would be {verdict} ({by}).\n"
        f"Nothing is changed. If the test is wrong, take it back first: pulse acl test remove {test.id}"
    )
