"""A machine with the programs that a test adds, and no others of their kind."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pulse.net import programs

Programs = Callable[[str, str], None]
"""Adds a program: its name, and its script."""


def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Adds programs to this machine, of which it has none of its own kind."""
    place = tmp_path / "bin"
    place.mkdir()
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")
    monkeypatch.setattr(programs, "_PATH", "/bin")

    def add(name: str, script: str) -> None:
        (place / name).write_text(f"#!/bin/sh\n{script}\n")
        (place / name).chmod(0o755)

    return add
