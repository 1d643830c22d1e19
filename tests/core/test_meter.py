"""Rates of what is counted."""

from pulse.core.meter import Meter
from pulse.core.stats import Counts
from tests.core.test_stats import DB, WEB


def test_a_rate_is_taken_over_the_last_look_that_is_long_enough_ago() -> None:
    meter = Meter()
    assert meter.rates({WEB: Counts(5)}, 0.0) == {}
    meter.looked({WEB: Counts(100, 10)}, 0.0)
    assert meter.rates({WEB: Counts(100, 10)}, 1.0) == {}
    assert meter.rates({WEB: Counts(300, 10), DB: Counts(0, 40)}, 4.0) == {WEB: (50.0, 0.0), DB: (0.0, 10.0)}

    meter.looked({WEB: Counts(300, 10)}, 4.0)
    assert meter.rates({WEB: Counts(300, 10)}, 5.0) == {WEB: (40.0, 0.0)}
    assert meter.rates({WEB: Counts(300, 10)}, 6.0) == {WEB: (0.0, 0.0)}
