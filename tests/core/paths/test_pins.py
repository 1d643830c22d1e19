"""Pins: what a person chose, and what is said where it cannot be done."""

import pytest

from pulse.core.effects import INFO, WARNING, Log
from pulse.core.paths.pins import Pin, Pins, Standing, problem
from pulse.core.types import SHORT_ID
from tests.core.paths.atlas import who

NODE, RELAY, OTHER = who(1), who(2), who(3)
FIELDS = {"node": NODE[:SHORT_ID], "via": RELAY[:SHORT_ID]}


def test_a_pin_lasts_until_it_is_taken_back() -> None:
    pins = Pins()
    pins.changed({NODE: RELAY, OTHER: RELAY})
    assert pins.of(NODE) == Pin(RELAY, Standing.NOT_LINKED)
    assert pins.neighbours() == {RELAY}

    pins.changed({OTHER: RELAY})
    assert pins.of(NODE) is None
    assert dict(pins.all()) == {OTHER: RELAY}


def test_how_it_stands_is_said_once_each_time_it_changes() -> None:
    pins = Pins()
    pins.changed({NODE: RELAY})

    assert pins.stands(NODE, Standing.FOLLOWED) == [Log("pin followed", INFO, FIELDS)]
    assert pins.stands(NODE, Standing.FOLLOWED) == []
    assert pins.stands(NODE, Standing.FAILED) == [Log("pin not followed", WARNING, {**FIELDS, "reason": "failed"})]
    assert pins.of(NODE) == Pin(RELAY, Standing.FAILED)
    assert [log.event for log in pins.stands(NODE, Standing.FOLLOWED)] == ["pin followed"]


def test_other_pins_keep_what_is_known_of_them_and_one_that_names_another_neighbour_does_not() -> None:
    pins = Pins()
    pins.changed({NODE: RELAY, OTHER: RELAY})
    for node in (NODE, OTHER):
        pins.stands(node, Standing.FOLLOWED)

    pins.changed({NODE: OTHER, OTHER: RELAY})
    assert pins.of(NODE) == Pin(OTHER, Standing.NOT_LINKED)
    assert pins.of(OTHER) == Pin(RELAY, Standing.FOLLOWED)


@pytest.mark.parametrize(
    ("standing", "via", "reached", "said"),
    [
        (Standing.FOLLOWED, "relay", True, ""),
        (Standing.NOT_LINKED, "relay", True, "not linked with relay at present, so the best path is used"),
        (Standing.NOT_LINKED, "db", True, "not linked with db at present, so the best path is used"),
        (Standing.NOT_LINKED, "relay", False, "not linked with relay at present, and no other path leads there"),
        (
            Standing.NO_WAY,
            "relay",
            True,
            "relay has no way to db that is sure not to lead back here, so the best path is used",
        ),
        (Standing.FAILED, "relay", True, "the way over relay failed lately, so the best path is used"),
        (Standing.FAILED, "db", True, "its link failed lately, so the best path is used"),
    ],
)
def test_why_it_is_not_followed_is_said_with_what_serves_instead(
    standing: Standing, via: str, reached: bool, said: str
) -> None:
    assert problem(Pin(RELAY, standing), "db", via, reached=reached) == said
