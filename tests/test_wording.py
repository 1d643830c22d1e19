"""How figures read."""

from itertools import pairwise

import pytest

from pulse.wording import DASH, milliseconds, percent, size, speed


def test_what_is_not_known_has_a_dash_and_what_is_has_a_unit() -> None:
    assert (milliseconds(None), percent(None), speed(None)) == (DASH, DASH, DASH)
    assert (milliseconds(0.0228), percent(0.004)) == ("22.8 ms", "0.4 %")
    assert speed(4100.0) == "4.1 kB/s"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999.4, "999 B"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"), (2**53, "9.0 PB")],
)
def test_sizes_have_three_digits_and_a_unit(count: float, text: str) -> None:
    assert size(count) == text


def test_a_size_never_reads_less_than_a_smaller_one() -> None:
    units = ["B", "kB", "MB", "GB", "TB", "PB"]
    read = [size(10**power * 9.9995).split() for power in range(15)]
    values = [float(number) * 1000 ** units.index(unit) for number, unit in read]

    assert all(one < two for one, two in pairwise(values))
