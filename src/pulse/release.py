"""Which pulse this is: its version, and the commit it was built of.

What is installed carries the commit in a file that the build wrote (tools/backend.py); a checkout has it in git's own
files. Invariant: no program is run to find out, and what is not known is never guessed.
"""

import re
from importlib import metadata
from pathlib import Path
from typing import Final

DISTRIBUTION: Final = "pulse-mesh"
COMMIT_FILE: Final = "commit"
"""Beside this module, where pulse was built."""

DIGITS: Final = 12
"""Of a commit, where it is shown to people."""

_PACKAGE: Final = Path(__file__).parent
_COMMIT: Final = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?\+?")


def version() -> str:
    """The release; raises `PackageNotFoundError` where pulse is not installed."""
    return metadata.version(DISTRIBUTION)


def commit(package: Path = _PACKAGE) -> str:
    """All digits of the commit, then `+` if it was built with changes that no commit has; empty if nobody knows."""
    checkout = package.parents[1]
    git = checkout / ".git"
    if git.exists() and (checkout / "pyproject.toml").exists():
        return _valid(_head(git))
    return _valid(_text(package / COMMIT_FILE))


def shown(commit: str) -> str:
    """As it is told to people."""
    return commit[:DIGITS] + "+" * commit.endswith("+") if commit else "unknown"


def _head(git: Path) -> str:
    """What HEAD is, by git's files: a directory, or a file that says where a work tree has its own."""
    here = git if git.is_dir() else git.parent / _text(git).removeprefix("gitdir: ")
    head = _text(here / "HEAD")
    if not head.startswith("ref: "):
        return head
    reference = head.removeprefix("ref: ")
    shared = here / _text(here / "commondir")
    return _text(here / reference) or _text(shared / reference) or _packed(shared, reference)


def _packed(git: Path, reference: str) -> str:
    lines = (line.split(" ") for line in _text(git / "packed-refs").splitlines())
    return next((words[0] for words in lines if words[1:] == [reference]), "")


def _valid(text: str) -> str:
    return text if _COMMIT.fullmatch(text) else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
