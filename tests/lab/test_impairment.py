"""The limits of impairments, each told by its place."""

import pytest

from pulse.errors import ConfigError
from pulse.lab.impairment import LIMITS, NONE, Impairment, check


@pytest.mark.parametrize(
    ("what", "complaint"),
    [
        (Impairment(delay_ms=-1), r"here.delay_ms: -1 is not between 0 and 10000"),
        (Impairment(delay_ms=10_001), r"here.delay_ms: 10001 is not between"),
        (Impairment(loss_percent=100.5), r"here.loss_percent: 100.5 is not between 0 and 100"),
        (Impairment(loss_percent=float("nan")), r"here.loss_percent: nan is not between"),
        (Impairment(delay_ms=5, reorder_percent=101), r"here.reorder_percent: 101 is not between"),
        (Impairment(burst=0), r"here.burst: 0 is not between 1 and 1000"),
        (Impairment(rate_mbit=-2), r"here.rate_mbit: -2 is not between"),
        (Impairment(rate_mbit=0.001), r"here.rate_mbit: 0.001 is less than 0.01; 0 is no limit"),
        (Impairment(delay_ms=5, jitter_ms=6), r"here.jitter_ms: 6 is more than the delay_ms it changes"),
        (Impairment(jitter_ms=6), r"here.jitter_ms: 6 is more than the delay_ms it changes"),
        (Impairment(reorder_percent=5), r"here.reorder_percent: without delay_ms there is nobody to overtake"),
        (Impairment(burst=4), r"here.burst: bursts of 4 need a loss_percent above 0, up to 80"),
        (Impairment(burst=4, loss_percent=81), r"here.burst: bursts of 4 need a loss_percent above 0, up to 80"),
    ],
)
def test_what_cannot_be_made_is_told_by_its_place(what: Impairment, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        check("here", what)


def test_the_limits_themselves_are_fine() -> None:
    check("here", NONE)
    check("here", Impairment(10_000, 10_000, 100, 99.9, 1_000, 100_000, block_udp=True))
    check("here", Impairment(loss_percent=100))
    assert set(LIMITS) == set(Impairment.__struct_fields__) - {"block_udp"}
