"""Looks that are drawn once, or again and again."""

import pytest

from pulse.cli import watching


def looks(count: int) -> list[int]:
    return [*range(count)]


def test_one_look_is_drawn_and_returned(capsys: pytest.CaptureFixture[str]) -> None:
    assert watching.show(lambda: 7, print, json=False, watch=False) == 7
    assert capsys.readouterr().out == "7\n"


@pytest.mark.parametrize("json", [True, False])
def test_in_a_pipe_looks_follow_one_another(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], json: bool
) -> None:
    monkeypatch.setattr("pulse.cli.watching.time.sleep", lambda _: None)
    left = looks(3)

    with pytest.raises(IndexError):
        watching.show(lambda: left.pop(0), print, json=json, watch=True)

    assert capsys.readouterr().out == "0\n1\n2\n"


def test_a_terminal_is_cleared_before_each_look(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pulse.cli.watching.time.sleep", lambda _: None)
    monkeypatch.setattr(watching, "is_terminal", lambda: True)
    left = looks(2)

    with pytest.raises(IndexError):
        watching.show(lambda: left.pop(0), print, json=False, watch=True)

    clear = "\x1b[H\x1b[2J"
    assert capsys.readouterr().out == f"{clear}0\n{clear}1\n"
