"""What pulse starts of itself is this installation, wherever it is started."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pulse.interpreter import program
from tests.ports import free_port

PLANTED = "raise SystemExit('planted code ran')"


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A directory like /tmp, in which somebody left modules with the names of those that pulse loads."""
    for name in ("argparse", "asyncio", "msgspec", "json", "pulse", "selectors"):
        (tmp_path / f"{name}.py").write_text(PLANTED)
    return tmp_path


def test_modules_that_lie_around_are_not_loaded(planted: Path) -> None:
    command = program("pulse", "version")
    typed = [each for each in command if each != "-P"]

    done = subprocess.run(command, cwd=planted, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("pulse ")
    would_be = subprocess.run(typed, cwd=planted, capture_output=True, text=True, check=False)
    assert "planted code ran" in would_be.stderr


def test_a_node_started_where_modules_lie_around_does_not_load_them(planted: Path, tmp_path: Path) -> None:
    """By the command that people type: the node in the background is a process of its own."""
    pulse = Path(sys.executable).with_name("pulse")
    data, place = tmp_path / "data", f"127.0.0.1:{free_port()}"
    try:
        done = subprocess.run(
            [pulse, "start", "--ca", "--listen", place, "--addr", place, "--data-dir", data],
            cwd=planted, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"},
        )  # fmt: skip
        assert done.returncode == 0, done
    finally:
        subprocess.run([pulse, "stop", "--data-dir", data], cwd=planted, capture_output=True, check=False)
