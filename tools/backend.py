"""How pip, uv and others build pulse (PEP 517): by maturin, with the commit put where `pulse version` finds it.

Invariant: the file is there while a wheel or an sdist is made, and a checkout is as before when that is done; an sdist
keeps the one it came with.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import maturin
from maturin import *  # noqa: F403  what else PEP 517 asks for is asked of it as it is

ROOT = Path(__file__).parents[1]
FILE = ROOT / "src" / "pulse" / "commit"


def build_wheel(directory: str, settings: dict[str, Any] | None = None, metadata: str | None = None) -> str:
    """A wheel in that directory; returns its name."""
    with _commit_written():
        return maturin.build_wheel(directory, settings, metadata)


def build_sdist(directory: str, settings: dict[str, Any] | None = None) -> str:
    """An sdist in that directory; returns its name."""
    with _commit_written():
        return maturin.build_sdist(directory, settings)


@contextmanager
def _commit_written() -> Iterator[None]:
    if not (ROOT / ".git").exists():
        yield
        return
    FILE.write_text(_commit() + "\n", encoding="ascii")
    try:
        yield
    finally:
        FILE.unlink()


def _commit() -> str:
    """All digits, and `+` if what is built is not what was committed; empty, with a word about why, if git will not."""
    try:
        commit = _git("rev-parse", "HEAD")
        return commit + "+" * bool(_git("status", "--porcelain"))
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"note: pulse will not know of which commit it was built: {error}", file=sys.stderr)
        return ""


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
