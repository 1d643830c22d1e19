"""What a table shows: found, sorted, and changed where it must be."""

from pulse.tui.model import (
    SPARKS,
    Column,
    Line,
    Sorting,
    arranged,
    cut,
    fitted,
    line,
    needed,
    number,
    sparkline,
    update,
    wide,
    word,
)

A, B, C = (
    line(key, (key, word(key)), (str(rtt or "?"), number(rtt)))
    for key, rtt in (("beta", 2.0), ("Alpha", 10.0), ("gamma", None))
)


def keys(lines: list[Line]) -> list[str]:
    return [each.key for each in lines]


def test_without_an_order_lines_come_as_they_are_told() -> None:
    assert keys(arranged([A, B, C], "", Sorting())) == ["beta", "Alpha", "gamma"]


def test_words_sort_without_regard_to_case_and_numbers_by_their_size() -> None:
    assert keys(arranged([A, B, C], "", Sorting(0))) == ["Alpha", "beta", "gamma"]
    assert keys(arranged([A, B, C], "", Sorting(1))) == ["beta", "Alpha", "gamma"]


def test_what_is_not_known_is_last_either_way() -> None:
    assert keys(arranged([A, B, C], "", Sorting(1, falling=True))) == ["Alpha", "beta", "gamma"]


def test_every_word_of_the_filter_must_be_found_somewhere() -> None:
    assert keys(arranged([A, B, C], "ALP 10", Sorting())) == ["Alpha"]
    assert arranged([A, B, C], "alp 2", Sorting()) == []


def test_sorting_goes_round() -> None:
    assert [Sorting(at).next([0, 2]) for at in (None, 0, 2)] == [Sorting(0), Sorting(2), Sorting()]


def test_only_cells_that_changed_are_drawn() -> None:
    slower = line("beta", ("beta", word("beta")), ("3", number(3.0)))
    assert update([A, B], [slower, B]).cells == [("beta", 1, "3")]
    assert not update([A, B], [A, B]).cells


def test_other_lines_or_another_order_fill_the_table_anew() -> None:
    assert update([A, B], [B, A]).anew
    assert update([A], [A, B]).anew
    assert not update([], []).anew


def test_what_could_move_the_cursor_is_not_drawn() -> None:
    assert "\x1b" not in line("x", ("\x1b[2Jx", word("x"))).cells[0]


def test_a_sparkline_has_its_highest_value_at_the_top() -> None:
    assert sparkline([0, 1, 2]) == f"{SPARKS[0]}{SPARKS[4]}{SPARKS[-1]}"
    assert sparkline([0.0, 0.0]) == SPARKS[0] * 2
    assert sparkline([]) == ""


def test_a_text_is_cut_with_an_ellipsis_to_the_room_there_is() -> None:
    assert [cut("laptop", room) for room in (6, 5, 1)] == ["laptop", "lapt…", "…"]


def test_the_widest_column_gives_way_until_all_fit_and_none_becomes_unreadable() -> None:
    columns = (Column("NODE"), Column("RULE"), Column("UNSEEN"))
    lines = [line("a", ("a" * 10, word("a")), ("r" * 50, word("r")), ("x" * 90, word("x")))]

    needs = needed(columns, lines, [0, 1])

    assert needs == {0: 10, 1: 50}
    assert fitted(columns, needs, 80) == needs
    assert fitted(columns, needs, 40) == {0: 10, 1: 26}
    assert fitted(columns, needs, 5) == {0: 8, 1: 8}
    assert needed(columns, [], [0]) == {0: 4}


def test_a_figure_is_never_cut() -> None:
    columns = (Column("NODE"), Column("TX", figures=True))

    assert fitted(columns, {0: 10, 1: 30}, 42) == {0: 8, 1: 30}
    assert fitted(columns, {1: 30}, 10) == {1: 30}


def test_what_takes_two_characters_of_a_terminal_counts_as_two() -> None:
    assert wide("日本") == 4
    assert [cut("日本語", room) for room in (6, 5, 4, 2)] == ["日本語", "日本…", "日 …", " …"]
