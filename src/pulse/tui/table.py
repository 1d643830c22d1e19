"""What a view of `pulse top` is: its columns, how it is filled, and how often it is looked at.

Invariant: nothing is judged in a view; sentences and states are the node's own words.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from pulse.client import Client
from pulse.schemas.scribe import MeshState
from pulse.tui.model import Column, Line
from pulse.tui.rates import Rates

LIVELY: Final = 1.0
SLOW: Final = 5.0
QUIET: Final = 30.0
"""Seconds between two looks: at what moves all the time, at what moves now and then, and at what changes by events
alone, which are followed."""


@dataclass(slots=True)
class Memory:
    """What is kept between two looks."""

    rates_in: Rates = field(default_factory=Rates)
    rates_out: Rates = field(default_factory=Rates)
    ends: dict[str, float] = field(default_factory=dict)
    """Seconds left of certificates, by node."""
    ends_asked: float | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A view: its name, its columns, and how it is filled."""

    name: str
    columns: tuple[Column, ...]
    ask: Callable[[Client, MeshState, Memory], list[Line]]
    empty: str
    """What is said where there is nothing to show."""
    every: float = QUIET


def text(title: str, wide: int = 0) -> Column:
    """A column of words, on screens of `wide` characters or more."""
    return Column(title, wide=wide)


def figure(title: str, wide: int = 0) -> Column:
    """A column of figures, on screens of `wide` characters or more."""
    return Column(title, figures=True, wide=wide)
