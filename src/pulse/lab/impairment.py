"""What a network does to packets, as a description says it, with its limits.

Invariant: an impairment that passed `check` can be made; each value is told by its place when it cannot.
"""

from typing import Final

import msgspec

from pulse.errors import ConfigError


class Impairment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What happens to packets on their way to a host; as it stands, nothing."""

    delay_ms: float = 0
    """How long each packet takes."""
    jitter_ms: float = 0
    """By how much more or less than that; order is kept."""
    reorder_percent: float = 0
    """The share of packets that is not delayed, and so overtakes others."""
    loss_percent: float = 0
    """The share of packets that does not arrive; neighbour discovery does."""
    burst: int = 1
    """How many packets in a row are lost, on average; 1 leaves it to chance."""
    rate_mbit: float = 0
    """Megabits a second that get through to each host, with a queue of 50 ms before it; 0 is no limit."""
    block_udp: bool = False
    """No UDP arrives."""

    @property
    def by_program(self) -> bool:
        """True if packets have to be looked at one by one, outside the kernel."""
        return self.delay_ms > 0 or self.burst > 1


NONE: Final = Impairment()

LIMITS: Final[dict[str, tuple[float, float]]] = {
    "delay_ms": (0, 10_000),
    "jitter_ms": (0, 10_000),
    "reorder_percent": (0, 100),
    "loss_percent": (0, 100),
    "burst": (1, 1_000),
    "rate_mbit": (0, 100_000),
}
"""The least and the greatest of each value."""

LEAST_RATE: Final = 0.01
"""Below this one packet takes longer than programs wait for it."""


def check(place: str, what: Impairment) -> None:
    """Refuse an impairment that cannot be made. Raises ConfigError with the place it was written at."""
    for name, (least, most) in LIMITS.items():
        value = getattr(what, name)
        if not least <= value <= most:
            raise ConfigError(f"{place}.{name}: {value:g} is not between {least:g} and {most:g}")
    if what.jitter_ms > what.delay_ms:
        raise ConfigError(f"{place}.jitter_ms: {what.jitter_ms:g} is more than the delay_ms it changes")
    if what.reorder_percent and not what.delay_ms:
        raise ConfigError(f"{place}.reorder_percent: without delay_ms there is nobody to overtake")
    most = 100 * what.burst / (what.burst + 1)
    if what.burst > 1 and not 0 < what.loss_percent <= most:
        raise ConfigError(f"{place}.burst: bursts of {what.burst} need a loss_percent above 0, up to {most:g}")
    if 0 < what.rate_mbit < LEAST_RATE:
        raise ConfigError(f"{place}.rate_mbit: {what.rate_mbit:g} is less than {LEAST_RATE:g}; 0 is no limit")
