"""The record of a lab: written first, read after a crash, never taken for another's."""

import os
import signal
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from pulse.errors import Conflict
from pulse.lab import state
from pulse.lab.state import Process, StateFile, all_states, create, end, identify, is_alive
from tests.people import NOBODY, run_as

IMPORTS = """
from pathlib import Path
from pulse.errors import SystemRefused
from pulse.lab.lab import clean, find
from pulse.lab.state import all_names
"""

TOLD = """\
lab x is another user's, who alone may enter, watch and remove it.
A lab that stays up is root's: run this with sudo.
"""


def test_what_is_noted_is_on_disk_at_once(tmp_path: Path) -> None:
    made = create(tmp_path)
    made.add_host("a", "pulse-x-a")

    (found,) = all_states(tmp_path)
    assert found.record == made.record
    assert found.record.hosts == {"a": "pulse-x-a"}
    assert found.record.keeper == identify(os.getpid())


def test_a_lab_is_its_makers_alone(tmp_path: Path) -> None:
    made = create(tmp_path)

    assert made.directory.stat().st_mode & 0o777 == 0o700


def test_a_name_that_is_taken_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda _: "beef")
    create(tmp_path)

    with pytest.raises(Conflict, match="beef already"):
        create(tmp_path)


@pytest.mark.parametrize("content", [None, b"", b'{"name": "x", "kee'])
def test_a_half_written_record_stands_for_a_lab_without_hosts(tmp_path: Path, content: bytes | None) -> None:
    made = create(tmp_path)
    file = made.directory / "state.json"
    file.unlink()
    if content is not None:
        file.write_bytes(content)

    (found,) = all_states(tmp_path)
    assert found.record == state.Record(made.record.name, None)


@pytest.mark.parametrize("asked", ["find()", "clean()", "find('x')", "clean('x')"])
def test_anothers_lab_is_named_and_neither_entered_nor_removed(asked: str) -> None:
    with TemporaryDirectory() as open_to_all:
        root = Path(open_to_all)
        root.chmod(0o755)
        (root / "x").mkdir(mode=0o700)
        StateFile(state.Record("x", None), root).keep(None)
        code = f"""
try:
    {asked.replace("()", "(None)").replace(")", ", root)")}
except SystemRefused as error:
    print(all_names(root), error)
"""
        done = run_as(NOBODY, IMPORTS, f"root = Path({open_to_all!r})\n{code}")
        assert done.stdout == f"['x'] {TOLD}", done.stderr
        assert (root / "x" / "state.json").exists()


def test_a_removed_lab_is_gone(tmp_path: Path) -> None:
    made = create(tmp_path)
    made.remove()

    assert all_states(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_process_is_ended_by_number_and_start() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        process = identify(child.pid)
        assert process is not None
        end([Process(process.pid, process.started + 1)], signal.SIGKILL)
        assert is_alive(process)

        end([process], signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
    assert not is_alive(process)
    end([process], signal.SIGKILL)


def test_a_process_nobody_has_taken_note_of_yet_is_no_process() -> None:
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert identify(child.pid) is None


def test_ended_processes_are_forgotten(tmp_path: Path) -> None:
    made = create(tmp_path)
    with subprocess.Popen(["sleep", "60"]) as first:
        made.add_process(first.pid)
        first.kill()
    with subprocess.Popen(["sleep", "60"]) as second:
        made.add_process(second.pid)
        assert [process.pid for process in made.record.processes] == [second.pid]
        second.kill()
