"""What a check of `pulse doctor` says: what is wrong, how bad that is, and what to do; or that it could not look."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class Gravity(IntEnum):
    """How bad it is; the worst come first."""

    NOTE = 0
    """Worth knowing; all is well all the same."""
    WARNING = 1
    """It works, but worse than it could, or not for much longer."""
    BROKEN = 2
    """Something that was asked for does not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be."""

    check: str
    gravity: Gravity
    what: str
    fix: str


@dataclass(frozen=True, slots=True)
class Unseen:
    """A check could not look."""

    why: str


Said = Iterator[Finding | Unseen]

SEE_LOG: Final = "see the node's log: pulse logs"


def told(check: str, gravity: Gravity, problem: str, *, meaning: str = "", otherwise: str = SEE_LOG) -> Finding:
    """A problem that others put in words, after what it means: its first line; the rest is what to do, if it says."""
    what, _, fix = problem.partition("\n")
    return Finding(check, gravity, f"{meaning}{what}", fix or otherwise)
