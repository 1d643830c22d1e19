"""What an exit needs of this machine, and what one that is gone left: forwarding, a firewall, no other exit."""

from contextlib import closing
from pathlib import Path
from typing import Any

from pulse.errors import SystemRefused
from pulse.net import soleexit, sysctl
from pulse.net.exitrules import TABLE
from pulse.net.nftables import Nftables
from pulse.store import undo


def state() -> dict[str, Any]:
    """What `Machine` says of it, by field."""
    found: dict[str, Any] = {"forwarding": {version: sysctl.forwards(version) for version in (4, 6)}}
    try:
        with closing(Nftables(TABLE)) as firewall:
            found["exit_table"] = firewall.is_there()
        found["exit_holder"] = soleexit.holder() or ""
    except SystemRefused:
        pass
    return found


def undo_problem(data_dir: Path) -> str:
    """Why nobody can tell what is to be put back on this machine; empty if that can be told."""
    return undo.load(data_dir)[1] or "" if data_dir.is_dir() else ""
