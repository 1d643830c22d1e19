"""Figures of a path: what went over it itself first, then probes, then what others announce; else nothing."""

import pytest

from pulse.core.paths.figures import Figures, PathSample, figures
from pulse.core.paths.probe import Quality
from pulse.core.paths.routing import Path
from pulse.core.types import LinkId, NodeId

ALICE, RELAY = NodeId("a" * 64), NodeId("b" * 64)
FIRST = Quality(0.01, 0.002, 0.03)
OVER = Path(LinkId(1), RELAY, (RELAY, ALICE), latency=0.05, loss=0.2, score=1.0)


def sample(
    rtt: float | None = None, loss: float = 0.0, reported: float | None = None, *, suspect: bool = False
) -> PathSample:
    return PathSample(ALICE, LinkId(1), rtt, loss, suspect, reported)


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        (None, Figures(0.01, 0.002, 0.03)),
        (sample(), Figures(0.01, 0.002, 0.03)),
        (sample(loss=0.5, reported=0.5), Figures(0.01, 0.002, 0.5)),
        (sample(loss=0.0, reported=0.0), Figures(0.01, 0.002, 0.0)),
    ],
    ids=["nothing", "no report", "lossy", "lossless"],
)
def test_a_direct_path_is_its_link_but_loses_what_its_records_lost(
    measured: PathSample | None, expected: Figures
) -> None:
    assert figures(FIRST, measured, direct=True) == expected


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        (None, Figures(0.05, None, 0.2)),
        (sample(), Figures(0.05, None, 0.2)),
        (sample(loss=0.1, reported=0.1), Figures(0.05, None, 0.1)),
        (sample(rtt=0.04, loss=0.0), Figures(0.04, None, 0.0)),
        (sample(rtt=0.04, loss=0.1, reported=0.1), Figures(0.04, None, 0.1)),
    ],
    ids=["nothing", "no echo", "reports alone", "probes", "both"],
)
def test_a_relayed_path_is_what_was_announced_until_it_was_measured(
    measured: PathSample | None, expected: Figures
) -> None:
    assert figures(FIRST, measured, OVER, direct=False) == expected


def test_of_a_relayed_path_that_nobody_reckons_with_nothing_is_made_up() -> None:
    assert figures(FIRST, sample(), direct=False) == Figures()
    assert figures(FIRST, sample(rtt=0.04, loss=0.1), direct=False) == Figures(0.04, None, 0.1)


@pytest.mark.parametrize("direct", [True, False])
def test_a_path_is_suspect_if_it_or_its_first_link_is(*, direct: bool) -> None:
    assert not figures(FIRST, sample(), direct=direct).suspect
    assert figures(FIRST, sample(suspect=True), direct=direct).suspect
    assert figures(Quality(suspect=True), None, direct=direct).suspect
