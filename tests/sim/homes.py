"""Homes made up from a seed: networks behind NATs of every kind, some of them customers of one carrier.

Invariant: homes number their machines alike, and the same chance draws the same homes.
"""

from random import Random

from tests.sim.nat import Depends, Kind
from tests.sim.underlay import Carrier, Segment

MOST = 5


def draw(chance: Random) -> list[Segment]:
    """A few homes."""
    carrier = Carrier("carrier", _kind(chance)) if chance.random() < 0.3 else None
    return [_home(number, carrier, chance) for number in range(chance.randint(1, MOST))]


def _home(number: int, carrier: Carrier | None, chance: Random) -> Segment:
    prefix = "192.168" if number < 2 else f"10.{number}"
    return Segment(f"home {number}", prefix, nat=_kind(chance), carrier=chance.choice((carrier, None)))


def _kind(chance: Random) -> Kind:
    mapping, filtering = chance.choice(tuple(Depends)), chance.choice(tuple(Depends))
    return Kind(mapping, filtering, hairpin=chance.random() < 0.7)
