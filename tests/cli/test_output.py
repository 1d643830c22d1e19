"""Tables, pairs and JSON, in a pipe and on a terminal."""

import pytest

from pulse.cli import output

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


def test_a_terminal_gets_the_same_words(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    output.print_table(HEADER, ROWS)

    assert capsys.readouterr().out.split() == ["NODE", "RTT", "relay-01", "22.8", "ms", "a", "8.1", "ms"]


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
