"""Effects: values with nothing hidden, in the same words as `logging`."""

import logging
from dataclasses import FrozenInstanceError, is_dataclass
from typing import get_args

import pytest

from pulse.core import effects
from pulse.core.effects import (
    DEBUG,
    ERROR,
    INFO,
    WARNING,
    Attempt,
    Effect,
    Hop,
    Log,
    Owner,
    PolicyRule,
    RangesBehind,
    RangeServed,
    RangeUse,
)


@pytest.mark.parametrize("kind", get_args(Effect), ids=lambda kind: str(kind.__name__))
def test_every_effect_is_a_small_value(kind: type) -> None:
    assert is_dataclass(kind)
    assert "__slots__" in vars(kind)


def test_an_effect_cannot_be_changed_on_its_way() -> None:
    log = Log("link up")
    with pytest.raises(FrozenInstanceError):
        log.event = "link down"  # type: ignore[misc]


def test_no_effect_is_left_out_of_the_list() -> None:
    declared = {
        each for each in vars(effects).values() if isinstance(each, type) and each.__module__ == effects.__name__
    }

    parts = {Attempt, Hop, Owner, PolicyRule, RangesBehind, RangeServed, RangeUse}
    assert declared - parts == set(get_args(Effect))


def test_severities_are_those_of_logging() -> None:
    assert (DEBUG, INFO, WARNING, ERROR) == (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)
