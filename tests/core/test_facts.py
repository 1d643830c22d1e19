"""Facts: values that nobody can change once they are told."""

from dataclasses import FrozenInstanceError, fields, is_dataclass
from typing import get_args

import pytest

from pulse.core import facts
from pulse.core.facts import Fact, LinkDown
from pulse.core.types import LinkId
from tests.authority import node


@pytest.mark.parametrize("kind", get_args(Fact), ids=lambda kind: str(kind.__name__))
def test_every_fact_is_a_small_value(kind: type) -> None:
    assert is_dataclass(kind)
    assert "__slots__" in vars(kind)
    assert all(field.init for field in fields(kind))


def test_a_fact_cannot_be_changed_after_it_was_told() -> None:
    fact = LinkDown(LinkId(1), node("alice"), "idle")
    with pytest.raises(FrozenInstanceError):
        fact.reason = "other"  # type: ignore[misc]


def test_no_fact_is_left_out_of_the_list() -> None:
    parts = {facts.PeerHello, facts.LinkSample}
    declared = {each for each in vars(facts).values() if isinstance(each, type) and each.__module__ == facts.__name__}

    assert declared - parts == set(get_args(Fact))
