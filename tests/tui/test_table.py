"""Columns of words and of figures."""

from pulse.tui.model import Column
from pulse.tui.table import figure, text


def test_figures_stand_to_the_right_and_words_do_not() -> None:
    assert text("NODE") == Column("NODE", figures=False, wide=0)
    assert figure("TX", 110) == Column("TX", figures=True, wide=110)
