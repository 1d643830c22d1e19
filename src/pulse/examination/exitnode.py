"""What an exit needs of this machine, and what one that is gone left: forwarding, a firewall, no other exit."""

from contextlib import closing
from typing import Any

from pulse.errors import SystemRefused
from pulse.net import soleexit, sysctl
from pulse.net.exitrules import TABLE
from pulse.net.nftables import Nftables


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
