"""Secrets leave the command line."""

import os
import sys
from pathlib import Path

import pytest

from pulse.cli.argv import revealed, spelled_out, withdraw_secrets
from pulse.errors import ConfigError

TOKEN = "-Xr8abcdefghijklmnopqrstuvwxyz0123456789"


class Executed(Exception):
    """The process would have become another."""


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    arguments: list[str] = []

    def execv(_: str, given: list[str]) -> None:
        arguments.extend(given)
        raise Executed

    monkeypatch.setattr(os, "execv", execv)
    return arguments


@pytest.mark.parametrize(
    "terms", ["good for 1 hour and one machine, called db", "good until it is revoked and 2 machines"]
)
def test_what_an_invite_is_good_for_may_be_pasted_with_it(terms: str) -> None:
    for invite in ("pls_a", "/dev/fd/3"):
        assert spelled_out(["join", invite, *terms.split(), "--name", "x"]) == ["join", invite, "--name", "x"]
    assert spelled_out(["join", "pls_a", "good", "luck"]) == ["join", "pls_a", "good", "luck"]


@pytest.mark.parametrize("typed", [[], ["status"], ["join", "relay:1", "--token-file", "x"], ["--token", "-"]])
def test_without_a_secret_nothing_happens(executed: list[str], typed: list[str]) -> None:
    withdraw_secrets(typed)

    assert executed == []


@pytest.mark.parametrize(
    "typed", [["--ca", "--token", TOKEN], ["--ca-token", TOKEN], ["--token=" + TOKEN], ["join", "pls_" + TOKEN]]
)
def test_a_secret_moves_into_a_pipe(executed: list[str], monkeypatch: pytest.MonkeyPatch, typed: list[str]) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["python", "/bin/pulse", *typed])

    with pytest.raises(Executed):
        withdraw_secrets(typed)

    assert executed[:2] == ["python", "/bin/pulse"]
    assert TOKEN not in " ".join(executed)
    assert revealed(executed[-1].partition("=")[2] or executed[-1]).removeprefix("pls_") == TOKEN


def test_a_secret_that_has_moved_stays_where_it_is(executed: list[str]) -> None:
    withdraw_secrets(["--token", "/dev/fd/7"])

    assert executed == []


def test_a_pipe_is_read_once_and_closed() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"secret\n")
    os.close(writer)

    assert revealed(f"/dev/fd/{reader}") == "secret"
    with pytest.raises(ConfigError, match=rf"^--token: /dev/fd/{reader} cannot be read$"):
        revealed(f"/dev/fd/{reader}", "--token")


def test_an_empty_standard_input_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    with empty.open(encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdin", stream)

        with pytest.raises(ConfigError, match=r"^--token: standard input is empty$"):
            revealed("-", "--token")


def test_other_words_stand_for_themselves() -> None:
    assert revealed("relay.example.com:443") == "relay.example.com:443"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["--tcp"], ["--tcp=127.0.0.1:7000"]),
        (["start", "--tcp", "--tun"], ["start", "--tcp=127.0.0.1:7000", "--tun"]),
        (["--tcp", ":7001"], ["--tcp", ":7001"]),
        (["--tcp", "off"], ["--tcp", "off"]),
        (["--tcp=[::1]:7001"], ["--tcp=[::1]:7001"]),
        ([], []),
    ],
)
def test_a_tunnel_listener_without_a_value_has_the_usual_one(typed: list[str], meant: list[str]) -> None:
    assert spelled_out(typed) == meant
