"""Other users of this machine, for what must be refused to them."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

NOBODY = 65534
SRC = Path(__file__).parent.parent / "src"

_BECOME = """
import os, sys
uid, groups, imports, code = int(sys.argv[1]), eval(sys.argv[2]), sys.argv[3], sys.argv[4]
del sys.argv[1:5]
exec(imports)
os.setgroups(groups)
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
exec(code)
"""
"""Python and its packages may lie where only root can read, so what is needed is imported first."""


def becoming(uid: int, imports: str, code: str, *arguments: str, groups: Sequence[int] = ()) -> list[str]:
    """The command line of Python that runs `imports` as root, then `code` as another user."""
    return [sys.executable, "-c", _BECOME, str(uid), repr([*groups]), imports, code, *arguments]


def run_as(
    uid: int, imports: str, code: str, *arguments: str, groups: Sequence[int] = ()
) -> subprocess.CompletedProcess[str]:
    """Run that and wait for its end; skips for people without root."""
    if os.geteuid() != 0:
        pytest.skip("needs root: becomes another user")
    return subprocess.run(
        becoming(uid, imports, code, *arguments, groups=groups),
        env={"PYTHONPATH": str(SRC), "HOME": "/nonexistent", "PATH": os.environ["PATH"]},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
