"""Writes what docs/reference has of the code itself: cli.md, from the commands. `make reference`; with - prints it."""

import sys
from pathlib import Path

from pulse.cli.app import app

CLI = Path(__file__).parents[1] / "docs" / "reference" / "cli.md"

PREFACE = """\
<!-- Written by `make reference` from the commands themselves; a test keeps it current. -->

"""


def cli() -> str:
    """All commands with their help, as Markdown."""
    return PREFACE + app.generate_docs(output_format="markdown", usage_name="pulse").rstrip() + "\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["-"]:
        print(cli(), end="")
    else:
        CLI.write_text(cli(), encoding="utf-8")
