"""What a node says to who started it, and a join to who asked for it: one object on a pipe, not over the API.

Fields are append-only.
"""

from pulse.schemas.node import NodeIdentity
from pulse.schemas.structs import View


class Started(View, frozen=True):
    """What a node says once it is up."""

    node: NodeIdentity
    listen: str
    advertised: list[str]
    tun: str
    made: bool
    """True if this start made the network."""
    data_dir: str
    invite: str = ""
    """For the first node: a line to paste on the next machine, good for an hour and one machine."""
    sockets: str = "udp+tcp"
    """What listens: `udp+tcp`, or `udp` where another program has the TCP port."""
    api: str = ""
    """Where the API over TCP listens; empty if it does not."""
    api_problem: str = ""
    """Why it does not, though it would by default; keys are shown to nobody there."""
    dns: str = ""
    """Where the DNS server listens; empty if there is none."""
    dns_problem: str = ""
    """Why it does not listen where it would by default."""
    metrics: str = ""
    """Where metrics alone are told; empty if they are not."""
    socks: str = ""
    """Where the SOCKS proxy listens; empty if it does not."""


class Joined(View, frozen=True):
    """What a machine is after it joined."""

    node: NodeIdentity
    not_after: float
    pinned: bool
    address: str
    """The node it joined by."""
    data_dir: str
