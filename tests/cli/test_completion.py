"""Completion in the shells themselves: commands, flags and values are offered, and another shell is refused."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.shell import Shell

PATIENCE = 30.0

BASH = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _pulse; printf "%s\n" "${COMPREPLY[@]}"'
FISH = 'source "$argv[1]"; complete -C "$argv[2]"'


def script(shell: Shell, name: str, path: Path) -> Path:
    done = shell.pulse("completion", name)
    assert done.code == 0, done.err
    path.write_text(done.out)
    return path


TYPED = [
    ("pulse st", {"start", "stats", "status", "stop"}),
    ("pulse acl a", {"add"}),
    ("pulse acl add --fr", {"--from"}),
    ("pulse completion z", {"zsh"}),
]


@pytest.mark.parametrize(("line", "offered"), TYPED)
def test_bash_offers_what_there_is(shell: Shell, tmp_path: Path, line: str, offered: set[str]) -> None:
    place = script(shell, "bash", tmp_path / "pulse")
    said = subprocess.run(
        ["bash", "-c", BASH, "bash", place, *line.split()], capture_output=True, text=True, check=True
    )
    assert {*said.stdout.split()} == offered, said


@pytest.mark.parametrize(("line", "offered"), TYPED)
def test_fish_offers_what_there_is(shell: Shell, tmp_path: Path, line: str, offered: set[str]) -> None:
    place = script(shell, "fish", tmp_path / "pulse.fish")
    said = subprocess.run(["fish", "-N", "-c", FISH, place, line], capture_output=True, text=True, check=True)
    # Beside them fish offers files, in the directory it is in.
    there = {each.name for each in Path.cwd().iterdir()}
    assert {each.split("\t")[0].removesuffix("/") for each in said.stdout.splitlines()} - there == offered, said


def test_zsh_completes_what_is_typed(shell: Shell, tmp_path: Path) -> None:
    """In a terminal, as a person types: with the one key that completes."""
    script(shell, "zsh", tmp_path / "_cyclopts_pulse")
    (tmp_path / ".zshrc").write_text(f"fpath=({tmp_path} $fpath)\nautoload -Uz compinit\ncompinit -u -D\nPROMPT='> '\n")
    tmux = [shutil.which("tmux") or "tmux", "-S", str(tmp_path / "tmux")]

    def screen() -> str:
        return subprocess.run([*tmux, "capture-pane", "-p"], capture_output=True, text=True, check=False).stdout

    def wait_shown(text: str) -> None:
        end = time.monotonic() + PATIENCE
        while text not in screen():
            assert time.monotonic() < end, screen()
            time.sleep(0.05)

    environment = {**os.environ, "ZDOTDIR": str(tmp_path), "TERM": "xterm"}
    subprocess.run([*tmux, "new-session", "-d", "-x", "120", "zsh", "-d", "-i"], check=True, env=environment)
    try:
        wait_shown(">")
        subprocess.run([*tmux, "send-keys", "pulse acl ad", "Tab"], check=True)
        wait_shown("> pulse acl add")
        subprocess.run([*tmux, "send-keys", "--", "--no", "Tab"], check=True)
        wait_shown("> pulse acl add --note")
    finally:
        subprocess.run([*tmux, "kill-server"], check=True)


def test_another_shell_is_refused_with_those_there_are(shell: Shell) -> None:
    done = shell.pulse("completion", "tcsh")
    assert done.code == 2
    assert '"bash", "zsh", "fish"' in done.err
