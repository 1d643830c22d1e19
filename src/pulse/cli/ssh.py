"""The SSH connection that a command is typed through, so that no rule closes it by mistake.

Invariant: nothing is opened but what the kernel tells of our own ancestors.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pulse.schemas.policy import Connection

VARIABLE: Final = "SSH_CONNECTION"
DEEPEST: Final = 16
"""Ancestors looked at: sudo and the like keep the variable from us."""

_FIELDS: Final = 4


def connection(environment: Mapping[str, str] = os.environ, proc: Path = Path("/proc")) -> Connection | None:
    """The addresses of both ends and the server's port; None outside of SSH."""
    told = environment.get(VARIABLE) or _inherited(proc, os.getppid())
    words = told.split()
    if len(words) != _FIELDS or not words[3].isdecimal() or int(words[3]) > 65535:
        return None
    return Connection(words[0].partition("%")[0], words[2].partition("%")[0], int(words[3]))


def _inherited(proc: Path, parent: int) -> str:
    """The variable of the nearest ancestor that has it."""
    for _ in range(DEEPEST):
        try:
            variables = (proc / str(parent) / "environ").read_bytes().split(b"\0")
            status = (proc / str(parent) / "status").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        found = [each for each in variables if each.startswith(VARIABLE.encode() + b"=")]
        if found:
            return found[0].partition(b"=")[2].decode(errors="replace")
        parents = [line.split()[1] for line in status.splitlines() if line.startswith("PPid:")]
        if not parents or parents[0] == "0":
            return ""
        parent = int(parents[0])
    return ""
