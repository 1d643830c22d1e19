"""`pulse logs`: the end of the file, followed into a new one, and nothing in it that moves a terminal."""

import json
import logging
import subprocess
from pathlib import Path

import pytest

from pulse.logs import KeptFile
from tests.cli.shell import Shell


@pytest.fixture
def log(shell: Shell) -> Path:
    shell.data_dir.mkdir(mode=0o700)
    path = shell.data_dir / "pulse.log"
    path.write_text("".join(f"line {number}\n" for number in range(1, 101)))
    return path


def test_fifty_lines_are_shown_unless_told(shell: Shell, log: Path) -> None:
    assert shell.node("logs").out.splitlines() == [f"line {number}" for number in range(51, 101)]
    assert shell.node("logs", "-n", "2").out == "line 99\nline 100\n"
    assert shell.node("logs", "-n", "0").out == ""


def test_nothing_in_it_moves_the_terminal(shell: Shell, log: Path) -> None:
    log.write_bytes(b"a\x1b[2Jb\xff\n")

    assert shell.node("logs").out == "a\N{REPLACEMENT CHARACTER}[2Jb\N{REPLACEMENT CHARACTER}\n"


@pytest.mark.parametrize("moved", [True, False])
def test_follow_goes_on_with_new_lines_and_in_a_file_begun_anew(shell: Shell, log: Path, moved: bool) -> None:
    command = shell.command("logs", "-f", "-n", "1", "--data-dir", str(shell.data_dir))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=shell.variables()) as following:
        assert following.stdout is not None
        assert following.stdout.readline() == "line 100\n"
        with log.open("a") as file:
            file.write("line 101\n")
        assert following.stdout.readline() == "line 101\n"
        if moved:
            log.rename(log.with_suffix(".old"))
        log.write_text("begun anew\n")
        assert following.stdout.readline() == "begun anew\n"
        following.terminate()


def test_without_a_log_it_says_where_it_looked(shell: Shell) -> None:
    done = shell.node("logs")

    assert done.code == 4
    assert f"looked for {shell.data_dir}/pulse.log" in done.err
    assert "journalctl" in done.err


def test_a_negative_number_of_lines_is_refused(shell: Shell, log: Path) -> None:
    assert shell.node("logs", "--lines=-1").code == 2


def test_the_newest_lines_are_shown_over_the_border_of_files(shell: Shell, log: Path) -> None:
    log.rename(f"{log}.2")
    Path(f"{log}.1").write_text("middle\n")
    log.write_text("new\n")

    assert shell.node("logs", "-n", "4").out == "line 99\nline 100\nmiddle\nnew\n"
    assert shell.node("logs", "-n", "2").out == "middle\nnew\n"


def test_follow_misses_no_line_though_files_are_begun_one_after_the_other(shell: Shell) -> None:
    shell.data_dir.mkdir(mode=0o700)
    file = KeptFile(shell.data_dir / "pulse.log", 2000, 50)
    file.setFormatter(logging.Formatter("%(message)s"))

    def write(*numbers: int) -> None:
        for number in numbers:
            file.emit(logging.makeLogRecord({"msg": f"line {number:040}"}))

    write(0)
    command = shell.command("logs", "-f", "-n", "1", "--data-dir", str(shell.data_dir))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=shell.variables()) as following:
        assert following.stdout is not None
        assert following.stdout.readline() == f"line {0:040}\n"
        write(*range(1, 500))
        lines = [following.stdout.readline() for _ in range(1, 500)]
        following.terminate()
    file.close()

    assert lines == [f"line {number:040}\n" for number in range(1, 500)]
    assert len(list(shell.data_dir.iterdir())) > 5


def test_json_has_time_level_and_text(shell: Shell, log: Path) -> None:
    log.write_text('2026-11-22T10:00:00.123Z INFO link opened node=4b\nTraceback\n{"time":"t"}\n')

    assert [json.loads(line) for line in shell.node("logs", "--json").out.splitlines()] == [
        {"time": "2026-11-22T10:00:00.123Z", "level": "INFO", "text": "link opened node=4b"},
        {"time": None, "level": None, "text": "Traceback"},
        {"time": "t"},
    ]
