"""What docs/reference has of the code itself is what the code says now."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_reference_of_commands_is_current() -> None:
    # In a process of its own: the commands' names are read off that of the program.
    command = [sys.executable, str(ROOT / "tools" / "reference.py"), "-"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said == (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8"), "type: make reference"
