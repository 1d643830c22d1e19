"""Tables, pairs and JSON, in a pipe and on a terminal."""

import io

import pytest

from pulse.cli import output
from pulse.wording import DASH

HEADER = ("NODE", "RTT")
ROWS = [("relay-01", "22.8 ms"), ("a", "8.1 ms")]


def test_a_plain_table_is_aligned_and_not_cut() -> None:
    assert output.plain_lines(HEADER, ROWS, frozenset({"RTT"})) == [
        "NODE          RTT",
        "relay-01  22.8 ms",
        "a          8.1 ms",
    ]


def test_a_plain_table_ends_no_line_in_spaces() -> None:
    assert all(line == line.rstrip() for line in output.plain_lines(("A", "B"), [("1", "")]))


def test_names_are_cut_the_widest_first_until_the_table_fits() -> None:
    header, elastic = ("NODE", "ADDRESS", "VIA"), frozenset({"NODE", "VIA"})
    rows = [("n" * 40, "10.100.41.7", "v" * 20), ("short", "10.100.41.8", "-")]
    (first, second) = output.fitted(header, rows, elastic, 47)

    assert second == ["short", "10.100.41.8", "-"]
    assert first == ["n" * 15 + "…", "10.100.41.7", "v" * 15 + "…"]
    assert max(map(len, output.plain_lines(header, [first, second]))) == 47


def test_names_are_never_cut_beyond_recognition_and_nothing_else_is_cut() -> None:
    (row,) = output.fitted(("NODE", "ADDRESS"), [("n" * 40, "a" * 40)], frozenset({"NODE"}), 20)
    assert row == ["n" * 7 + "…", "a" * 40]

    (row,) = output.fitted(("NODE", "ADDRESS"), [("n" * 40, "a" * 40)], frozenset(), 20)
    assert row == ["n" * 40, "a" * 40]


def test_a_terminal_gets_the_same_words(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    output.print_table(HEADER, ROWS)

    assert capsys.readouterr().out.split() == ["NODE", "RTT", "relay-01", "22.8", "ms", "a", "8.1", "ms"]


def test_nobodys_words_take_a_column_away(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    monkeypatch.setattr(output, "width", lambda: 40)
    monkeypatch.setenv("NO_COLOR", "1")
    output.print_table(
        ("#", "FROM", "NOTE"), [("1", "web", "x" * 250), ("2", "db", "報告" * 30)], elastic=frozenset({"NOTE"})
    )
    title, first, second = capsys.readouterr().out.splitlines()
    assert (title.split(), first.split()[:2], second.split()[:2]) == (["#", "FROM", "NOTE"], ["1", "web"], ["2", "db"])
    assert [output.cells_of(each) for each in (first, second)] == [40, 40]

    output.print_table(("NAME", "TYPE"), [("x" * 250, "TXT")])
    assert capsys.readouterr().out.split()[-1] == "TXT"


def test_columns_stand_below_each_other_whatever_the_script() -> None:
    lines = output.plain_lines(("NODE", "RTT"), [("報告", "1 ms"), ("relay", "2 ms")])
    assert [output.cells_of(each[: each.index("ms")]) for each in lines[1:]] == [9, 9]


def test_what_does_not_fit_beside_goes_below() -> None:
    assert output.beside("All well.", "mynet").endswith("mynet")
    assert len(output.beside("All well.", "mynet")) == output.PIPE_WIDTH
    assert output.beside("x" * 60, "y" * 30) == "x" * 60 + "\n" + "y" * 30


def test_a_value_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json({"a": [1, "ä"]})

    assert capsys.readouterr().out == '{"a":[1,"ä"]}\n'


def test_pairs_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_pairs([("node", "1"), ("addresses", "2")])

    assert capsys.readouterr().out == "node       1\naddresses  2\n"


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not output.is_colourful()
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert output.is_colourful()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not output.is_colourful()


def test_json_is_escaped_where_utf8_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "takes_utf8", lambda: False)
    output.print_json({"a": [1, "ä😀"]})

    assert capsys.readouterr().out == '{"a":[1,"\\u00e4\\ud83d\\ude00"]}\n'


def test_what_a_locale_has_not_got_is_written_with_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(pipe, encoding="latin-1"))
    output.write_plainly()
    print(f"{DASH} a → b … ä 猫", flush=True)

    assert pipe.getvalue().decode("latin-1") == "- a -> b ... ä ?\n"
