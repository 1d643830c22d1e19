"""How figures read."""

from pulse.wording import DASH, milliseconds, percent


def test_what_is_not_known_has_a_dash_and_what_is_has_a_unit() -> None:
    assert (milliseconds(None), percent(None)) == (DASH, DASH)
    assert (milliseconds(0.0228), percent(0.004)) == ("22.8 ms", "0.4 %")
