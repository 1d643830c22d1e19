"""The two rules that lead to our table, and where they stand among those of other programs.

The first keeps routes of the host that say more than its default one, the second leads all but our own packets to the
table. Invariant: a rule counts as ours only if it says the whole of what we say, under our protocol; no rule of another
program is asked between the two, nor before them at their priorities, while there is a place without.
Layouts: linux/fib_rules.h.
"""

import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from pulse.net.netlink import MAIN_TABLE, RTPROT_PULSE, table_of
from pulse.net.nlattr import attribute, attributes_in, number, unpack

TABLE: Final = 0x7075
"""28789: "pu"."""

MARK: Final = 0x70756C73
"""What our own sockets bear; `socket/mark.rs` of the data plane sets it."""

HOME: Final = 18100
"""Priority of the first rule; the second follows it. Before the host's own (32766), behind those that people write."""

PLACES: Final = range(HOME, HOME - 16, -2)
"""Where the first may stand: a place that another program's rule has is left for the one before it."""

FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)

_PRIORITY, _FWMARK, _SUPPRESS, _TABLE, _FWMASK, _PAD, _PROTOCOL = 6, 10, 14, 15, 16, 18, 21
_TO_TABLE, _INVERT = 1, 2
_OURS: Final = bytes([RTPROT_PULSE])
_NO_SUPPRESSION: Final = b"\xff" * 4
_UNWRITTEN: Final = frozenset({_PRIORITY, _TABLE, _PAD, _PROTOCOL})
"""What is compared by itself, or not at all."""


class Part(IntEnum):
    """Which of the two, as an offset to the priority of the first."""

    KEEP = 0
    LEAD = 1


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the kernel; `part` is None for one of another program."""

    family: int
    priority: int
    part: Part | None


def read(body: bytes) -> Rule:
    """The rule that a message of the kernel is about."""
    attributes = attributes_in(body, 12)
    priority = unpack(attributes.get(_PRIORITY, bytes(4)))
    if attributes.get(_PROTOCOL) != _OURS:
        return Rule(body[0], priority, None)
    said = _meaning(body)
    part = next((each for each in Part if said == _meaning(written(Rule(body[0], priority, each)))), None)
    return Rule(body[0], priority, part)


def written(rule: Rule) -> bytes:
    """The message about a rule of ours."""
    invert = _INVERT if rule.part is Part.LEAD else 0
    said = struct.pack("=BBBBBBBBI", rule.family, 0, 0, 0, 0, 0, 0, _TO_TABLE, invert)
    said += number(_PRIORITY, rule.priority) + attribute(_PROTOCOL, _OURS)
    if rule.part is Part.KEEP:
        return said + number(_TABLE, MAIN_TABLE) + number(_SUPPRESS, 0)
    return said + number(_TABLE, TABLE) + number(_FWMARK, MARK) + number(_FWMASK, 0xFFFFFFFF)


def changes(rules: Sequence[Rule], family: int, *, wanted: bool) -> tuple[list[Rule], list[Rule]]:
    """What to add, then what to take away, of all rules of a family in the order in which they are asked."""
    ours = [each for each in rules if each.part is not None]
    if not wanted:
        return [], ours
    pair = [Rule(family, _place(rules) + part, part) for part in Part]
    return [each for each in pair if each not in ours], [each for each in ours if each not in pair]


def in_the_way(rules: Iterable[Rule], family: int) -> list[int]:
    """Priorities of other programs' rules that are asked where ours are to stand, if ours have no place without.

    `rules` are all of a host in the order in which they are asked.
    """
    there = [each for each in rules if each.family == family]
    if any(_stands(place, there) for place in PLACES):
        return []
    return sorted({each.priority for each in there if each.part is None and HOME <= each.priority <= HOME + 1})


def _place(rules: Sequence[Rule]) -> int:
    """Where ours stand, else where they can."""
    taken = {each.priority for each in rules if each.part is None}
    standing = (place for place in PLACES if _stands(place, rules))
    free = (place for place in PLACES if not taken & {place, place + 1})
    return next(standing, next(free, HOME))


def _stands(place: int, rules: Sequence[Rule]) -> bool:
    """True if at these two priorities ours are asked first, the one after the other."""
    near = [each for each in rules if place <= each.priority <= place + 1]
    return [(each.part, each.priority) for each in near[: len(Part)]] == [(part, place + part) for part in Part]


def _meaning(body: bytes) -> tuple[object, ...]:
    """All that a rule says, but where it stands and who made it; zeros are as good as not said, with one exception."""
    attributes = attributes_in(body, 12)
    table = table_of(body, attributes)
    suppressed = attributes.pop(_SUPPRESS, _NO_SUPPRESSION)
    said = sorted((kind, value) for kind, value in attributes.items() if kind not in _UNWRITTEN and any(value))
    return body[1:4], body[7], body[8:12], table, suppressed, tuple(said)
