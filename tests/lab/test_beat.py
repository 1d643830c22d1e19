"""A beat is heard, and so is its absence."""

import time
from collections.abc import Iterator

import pytest

from pulse.lab.beat import Beat, beating
from pulse.lab.lab import Lab
from tests.namespace import require_root


@pytest.fixture
def lab() -> Iterator[Lab]:
    require_root()
    with Lab() as lab:
        yield lab


@pytest.mark.parametrize("version", ["v4", "v6"])
def test_beats_arrive(lab: Lab, version: str) -> None:
    with beating(lab["a"], lab["b"], str(getattr(lab["b"], version).ip), interval=0.001) as beat:
        beat.wait_more(50)
    heard = len(beat.arrivals)
    assert beat.sent - beat.lost == heard

    assert heard >= 50
    time.sleep(0.05)
    assert len(beat.arrivals) == heard


def test_a_silence_is_measured(lab: Lab) -> None:
    with beating(lab["a"], lab["b"], str(lab["b"].v4.ip)) as beat:
        beat.wait_more()
        before = time.monotonic()
        lab.cut("a", "b")
        time.sleep(0.5)
        lab.mend("a", "b")
        beat.wait_more()

    assert 0 < beat.lost < beat.sent
    assert 0.4 < beat.longest_gap(before) < 30


def test_the_longest_silence_is_one_that_ended_in_that_time() -> None:
    beat = Beat([1.0, 1.5, 1.6, 3.0, 3.1])

    assert beat.longest_gap(0.0) == pytest.approx(1.4)
    assert beat.longest_gap(0.0, 2.0) == pytest.approx(0.5)
    assert beat.longest_gap(3.05) == pytest.approx(0.1)
    assert beat.longest_gap(9.0) == 0.0
