"""Whether two machines must, may or cannot have a direct link, by the NATs before them (RFC 5128 §3.3, RFC 4787).

Each knows where nodes on the Internet see the other, and sends there. Invariant: what is said here follows from classes
and places alone; no NAT is asked whom it knows.
"""

from dataclasses import dataclass
from enum import Enum

from tests.sim.nat import Depends, Kind
from tests.sim.underlay import Machine, Segment


class Direct(Enum):
    """What becomes of two nodes that want a direct link."""

    MUST = "must"
    MAY = "may"
    """It depends on who sends first, or on who else is about."""
    CANNOT = "cannot"


@dataclass(frozen=True, slots=True)
class _Outside:
    """A machine, as those beyond its NATs meet it."""

    moves: bool
    """It is seen elsewhere by each: where others see it is not where it comes from."""
    is_strict: bool
    """It lets in only those it sent to, port and all."""
    is_shut: bool
    """Where others see it, it does not hear those it sends to."""


def between(one: Machine, other: Machine) -> Direct:
    """What the networks between two machines allow, given both are seen by somebody on the Internet."""
    if any(segment in other.segments for segment in one.segments):
        return Direct.MUST
    if one.way_out is None or other.way_out is None:
        return Direct.CANNOT
    here, there = one.way_out[0], other.way_out[0]
    if here.carrier is not None and here.carrier == there.carrier and not here.carrier.nat.hairpin:
        return Direct.CANNOT
    verdict = _judge(_outside(here), _outside(there))
    return Direct.MAY if verdict is Direct.CANNOT and _may_be_told_on(here, there) else verdict


def kinds(segment: Segment) -> tuple[Kind, ...]:
    """The NATs on the way out of a segment, from inside."""
    if segment.public:
        return ()
    return (segment.nat,) if segment.carrier is None else (segment.nat, segment.carrier.nat)


def _judge(ours: _Outside, theirs: _Outside) -> Direct:
    if not (ours.moves or theirs.moves):
        return Direct.MUST
    if ours.moves and theirs.moves:
        return Direct.CANNOT if ours.is_shut and theirs.is_shut else Direct.MAY
    fixed = theirs if ours.moves else ours
    return Direct.CANNOT if fixed.is_strict else Direct.MUST


def _outside(segment: Segment) -> _Outside:
    moves = is_shut = False
    for kind in kinds(segment):
        moves |= kind.mapping is not Depends.NOTHING
        # From here on another outer port leads to each: what was sent to them gives no right to come in by this one.
        is_shut |= moves and kind.filtering is not Depends.NOTHING
    return _Outside(moves, any(kind.filtering is Depends.PORT for kind in kinds(segment)), is_shut)


def _may_be_told_on(here: Segment, there: Segment) -> bool:
    """True if a customer of the same carrier may see one of them where the other would: both have one IP."""
    by_address = any(kind.mapping is Depends.ADDRESS for segment in (here, there) for kind in kinds(segment))
    return by_address and not (here.carrier is there.carrier is None)
