"""Fec: what each path gets for its losses, without flapping."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.paths.fec import CALM, FORGOTTEN, Fec, Level, Loss, Protection, level_of
from pulse.core.types import LinkId
from tests.authority import node

ALICE, BOB = node("alice"), node("bob")
LINK, OTHER = LinkId(1), LinkId(2)


class Path:
    """One path, sampled each second."""

    def __init__(self, *, has_second: bool = False) -> None:
        self.fec, self.now, self.has_second = Fec(), 0.0, has_second
        self.changes: list[tuple[int, bool]] = []
        """Parity and duplicate, each time it changed."""

    def loses(self, loss: float | None, seconds: int = 1, burst: float = 1.0) -> tuple[int, bool]:
        """So much is lost for so long; what it gets then."""
        for _ in range(seconds):
            self.now += 1
            table = self.fec.sampled([Loss(ALICE, LINK, loss, burst, self.has_second)], self.now)
            if table is not None:
                self.changes.append((table[0].parity, table[0].duplicate) if table else (0, False))
        return self.changes[-1] if self.changes else (0, False)


@pytest.mark.parametrize(
    ("loss", "parity"),
    [(0.0, 0), (0.00099, 0), (0.001, 2), (0.0099, 2), (0.01, 4), (0.029, 4), (0.03, 8), (0.059, 8), (0.06, 8), (1, 8)],
)
def test_parity_follows_the_table(loss: float, parity: int) -> None:
    assert Path().loses(loss) == (parity, False)


def test_losses_in_a_row_weigh_more_but_never_make_all_go_twice() -> None:
    for loss, burst, parity in ((0.0005, 2.0, 2), (0.01, 3.0, 8), (0.004, 2.0, 2), (0.004, 2.6, 4), (0.001, 100.0, 2)):
        assert Path().loses(loss, burst=burst) == (parity, False)
    assert Path(has_second=True).loses(0.05, burst=8.0) == (8, False)


def test_above_six_percent_all_goes_twice_where_there_is_a_second_path() -> None:
    assert Path(has_second=True).loses(0.06) == (0, True)
    assert Path(has_second=True).loses(0.0599) == (8, False)


def test_more_is_given_at_once_and_less_only_after_ten_calm_samples() -> None:
    path = Path()
    assert [path.loses(loss) for loss in (0.002, 0.02, 0.04)] == [(2, False), (4, False), (8, False)]
    assert path.loses(0.0, CALM - 1) == (8, False)
    assert path.loses(0.03) == (8, False)
    assert path.loses(0.0, CALM - 1) == (8, False)
    assert path.loses(0.0) == (0, False)


def test_what_is_left_is_what_would_have_done_for_all_calm_samples() -> None:
    path = Path()
    path.loses(0.05)
    path.loses(0.0005, CALM - 1)
    assert path.loses(0.015) == (4, False)


@pytest.mark.parametrize("limit", [0.001, 0.01, 0.03])
def test_a_loss_that_wavers_about_a_limit_changes_nothing_once_it_was_above(limit: float) -> None:
    path = Path()
    for loss in itertools.islice(itertools.cycle((1.2 * limit, 0.8 * limit, 0.5 * limit, 0.9 * limit)), 1000):
        path.loses(loss)

    assert len(path.changes) == 1


def test_what_goes_twice_is_measured_ever_more_rarely() -> None:
    path = Path(has_second=True)
    for _ in range(600):
        # What goes twice tells nothing of its losses; what does not, does after four seconds.
        twice = path.changes[-1:] == [(0, True)]
        path.loses(None if twice else 0.1, 1 if twice else 4)

    times = [duplicate for _, duplicate in path.changes]
    assert times == [index % 2 == 0 for index in range(len(times))]
    assert 3 <= len(times) <= 15


def test_a_path_that_tells_nothing_keeps_what_it_has_for_a_minute() -> None:
    path = Path()
    path.loses(0.02)
    assert path.loses(None, int(FORGOTTEN) - 1) == (4, False)
    assert path.loses(None) == (0, False)
    assert path.loses(0.002) == (2, False)


def test_paths_are_apart_and_one_that_is_gone_is_forgotten() -> None:
    fec = Fec()
    both = [Loss(BOB, OTHER, 0.02, 1.0, False), Loss(ALICE, LINK, 0.002, 1.0, False)]
    told = {Protection(BOB, OTHER, 4, False), Protection(ALICE, LINK, 2, False)}
    assert set(fec.sampled(both, 1.0) or ()) == told
    assert fec.sampled(both, 2.0) is None
    assert fec.sampled(both[:1], 3.0) == (Protection(BOB, OTHER, 4, False),)
    assert fec.sampled([both[0], Loss(ALICE, LINK, 0.0, 1.0, False)], 4.0) is None
    assert fec.sampled([], 5.0) == ()


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=200))
def test_no_path_gets_less_than_its_last_figure_asks_for(losses: list[float | None]) -> None:
    path = Path()
    parity = {Level.NOTHING: 0, Level.LITTLE: 2, Level.MORE: 4, Level.MUCH: 8, Level.DUPLICATE: 8}
    for loss in losses:
        got, _ = path.loses(loss)
        if loss is not None:
            assert got >= parity[level_of(loss)]

    # Between two changes for the better there are ten samples.
    falls = sum(after < before for (before, _), (after, _) in itertools.pairwise([(0, False), *path.changes]))
    assert falls <= len(losses) / CALM + len(losses) / FORGOTTEN
