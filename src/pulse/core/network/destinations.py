"""Where a node connects to for others, and where it never does (protocol §10).

Names are resolved where the connection is made, and every address of a name is judged before one is dialled: a name
that is public now and 127.0.0.1 the next moment opens nothing. Invariant: what is dialled was judged, as an address.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from pulse.core import addresses
from pulse.core.messages import shortened
from pulse.core.network.ranges import EMBEDDING
from pulse.errors import ConfigError

IPAddress = IPv4Address | IPv6Address

HOST_LIMIT: Final = 255
"""Characters of a host: as long as a name can be."""

METADATA: Final = frozenset(
    map(ip_address, ("169.254.169.254", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16"))
)
"""Where clouds tell a machine its secrets (AWS, Google, Alibaba, Azure)."""

NOT_APPROVED: Final = "not this node, and not approved for it"

_THIS_NETWORK: Final = IPv4Network("0.0.0.0/8")


@dataclass(frozen=True, slots=True)
class Destination:
    """A host, by name or address as the node that dials sees it, and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        """`host:port`."""
        return addresses.join(self.host, self.port)


@dataclass(frozen=True, slots=True)
class Premises:
    """What a node that dials for others knows of itself."""

    own: frozenset[IPAddress]
    """The addresses of its interfaces."""
    ports: frozenset[int] = frozenset()
    """Where pulse itself listens."""
    leads_to: Callable[[IPAddress], bool] = lambda _: False
    """True for what lies behind it and was approved for it, as others know it."""
    behind: Callable[[IPAddress], IPAddress] = lambda address: address
    """What is dialled for an address that others know: another one where a range is mapped."""
    everywhere: bool = True
    """It leads to the Internet, so that others may have it look up names."""
    mesh: Sequence[IPv4Network | IPv6Network] = ()
    """The mesh's own ranges: whoever is there is asked, and no node lends another its right to reach a third one."""

    def is_of_mesh(self, address: IPAddress) -> bool:
        """True for a mesh address."""
        return any(address in each for each in self.mesh)


def parse_destination(text: str) -> Destination:
    """`host:port` as a person writes it; without a host the node itself (`:22`). Raises ConfigError."""
    try:
        host, port = addresses.split(text.strip())
    except ValueError:
        host, port = "", 0
    if not port or len(host) > HOST_LIMIT:
        raise ConfigError(f'"{shortened(text)}" is no destination. Write host:port, such as localhost:22')
    return Destination(host or "localhost", port)


def address_of(host: str) -> IPAddress | None:
    """The address that a host is; None if it is a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def judge(address: IPAddress, port: int, premises: Premises, *, loopback: bool, itself: bool = True) -> str | None:
    """Why this address is not dialled for another node; None if it is.

    `loopback` says that loopback may be, and `itself` that the node's own addresses may; an exit leads away from it.
    """
    dialled = premises.behind(address)
    never = _never(address) or _never(dialled)
    if never:
        return never
    ours = address.is_loopback or address in premises.own
    if (ours or dialled in premises.own) and port in premises.ports:
        return "a port of pulse itself"
    if address.is_loopback:
        return None if loopback else "loopback"
    if ours and itself:
        return None
    if not ours and premises.is_of_mesh(address):
        return "another node of the mesh"
    return None if premises.leads_to(address) else NOT_APPROVED


def _never(address: IPAddress) -> str | None:
    if address.is_loopback:
        return None
    if address in METADATA:
        return "cloud metadata"
    if isinstance(address, IPv6Address):
        if not address.is_unspecified and any(address in each for each in EMBEDDING):
            return "an IPv4 address inside an IPv6 one"
    elif address in _THIS_NETWORK:
        return "no address of a host"
    if address.is_unspecified or address.is_multicast or address.is_reserved:
        return "no address of a host"
    return "link-local" if address.is_link_local else None
