"""Pulse on the hosts of a lab: a mesh brought up, and what its nodes say of one another.

Invariant: nodes are asked over their control sockets, for a process for each look would disturb what is watched.
"""

import os
import signal
from typing import Final

from pulse.client import connect
from pulse.errors import PulseError
from pulse.lab.host import Host, wait_until
from pulse.lab.state import identify
from pulse.schemas.node import PeerRow, Status

PORT: Final = 8443
"""Where nodes of a lab listen."""


def found(host: Host, *flags: str) -> None:
    """Start the first node of a network, its CA."""
    host.pulse("start", "--ca", "--tun", "--listen", f":{PORT}", *flags)


def admit(host: Host, ca: Host, door: Host | None = None) -> None:
    """Make a machine a member over `door` (the CA if left out), and start it."""
    join(host, ca, door)
    start(host)


def join(host: Host, ca: Host, door: Host | None = None) -> None:
    """Make a machine a member over `door` (the CA if left out)."""
    token = ca.pulse("token", "create", "--max-uses", "1").stdout.split()[-1]
    host.pulse("join", f"{host.way_to(door or ca)}:{PORT}", "--token", token)


def start(host: Host) -> None:
    """Start a member; returns when it is up."""
    host.pulse("start", "--tun", "--listen", f":{PORT}")


def power_off(host: Host) -> None:
    """End its daemon as a power cut would: kill -9. Raises PulseError if none runs."""
    daemon = tell(host, signal.SIGKILL)
    wait_until(lambda: identify(daemon) is None, f"the daemon of {host.name} is gone")


def tell(host: Host, number: signal.Signals) -> int:
    """Send a signal to the daemon of a host; returns its process. Raises PulseError if none runs."""
    daemon = host.pulse_pid
    if identify(daemon) is None:
        raise PulseError(f"no pulse runs on {host.name}")
    os.kill(daemon, number)
    return daemon


def status(host: Host) -> Status:
    """What the node of a host says of the mesh. Raises PulseError if it does not answer."""
    with connect(host.data) as client:
        return client.status()


def row(host: Host, other: str) -> PeerRow | None:
    """How the node of a host sees another, if it knows it."""
    return next((peer for peer in status(host).peers if peer.name == other), None)


def wait_paths(host: Host, *others: str) -> None:
    """Wait until the node of a host has a path to each of the others."""

    def there() -> bool:
        return set(others) <= {peer.name for peer in status(host).peers if peer.reached}

    wait_until(there, f"{host.name} has paths to {', '.join(others)}")
