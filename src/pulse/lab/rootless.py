"""Labs without root: this program once more, inside a user namespace where it is root and may build what it likes.

Invariant: nothing made there outlives the program, for it dies with the namespace; so a lab that is to stay needs root.
"""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pulse.errors import SystemRefused
from pulse.interpreter import program

_INSIDE: Final = "PULSE_LAB_USER_NAMESPACE"
_UNSHARE: Final = ["unshare", "--user", "--map-root-user", "--net", "--mount"]
_NET_ADMIN, _SYS_ADMIN = 12, 21


def is_root() -> bool:
    """True if this process may make network namespaces and mounts."""
    return os.geteuid() == 0 and _has_capabilities(Path("/proc/self/status").read_text(encoding="ascii"))


def is_inside() -> bool:
    """True if this is the program's second start, in a user namespace of its own."""
    return _INSIDE in os.environ


def require_root(what: str) -> None:
    """Refuse what must outlive this program. Raises SystemRefused."""
    if is_inside() or not is_root():
        raise SystemRefused(f"{what} needs root, for without it a lab ends with its program.\nRun it with sudo.")


def enter_user_namespace(arguments: Sequence[str]) -> None:
    """Return if labs can be built here; else run `pulse` with these arguments where they can, and never return.

    Raises SystemRefused if the system forbids user namespaces.
    """
    if is_inside():
        _own_run_directory()
    elif not is_root():
        _try_unshare()
        os.environ[_INSIDE] = "1"
        os.execvp(_UNSHARE[0], [*_UNSHARE, *program("pulse", *arguments)])


def _try_unshare() -> None:
    tried = subprocess.run([*_UNSHARE, "true"], capture_output=True, text=True, check=False, timeout=10)
    if tried.returncode:
        raise SystemRefused(
            f"a lab needs root here, for this system gives its users no namespaces ({tried.stderr.strip()}).\n"
            "Run it with sudo."
        )


def _own_run_directory() -> None:
    """Cover /run, which belongs to the true root, with one of ours: names of namespaces and labs live there."""
    command = ["mount", "-t", "tmpfs", "-o", "mode=755", "pulse-lab", "/run"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    if done.returncode:
        raise SystemRefused(f"cannot have a /run of our own: {done.stderr.strip()}.\nRun it with sudo.")


def _has_capabilities(status: str) -> bool:
    effective = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    bits = int(effective.split()[1], 16)
    return all(bits >> capability & 1 for capability in (_NET_ADMIN, _SYS_ADMIN))
