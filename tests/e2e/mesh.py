"""Real nodes on lab hosts, as end-to-end tests speak of them."""

from dataclasses import dataclass

import msgspec

from pulse import schemas
from pulse.lab.host import Host, wait_until
from pulse.lab.lab import Lab

PORT = 8443
PATIENCE = 30.0
"""Seconds anything may take: ten times what it should, so a guard against hanging only."""


@dataclass(frozen=True, slots=True)
class Node:
    """A pulse on one host of the lab."""

    host: Host

    @property
    def underlay(self) -> str:
        """`address:port` its neighbours reach it at."""
        return f"{self.host.v4.ip}:{PORT}"

    def start(self, *flags: str) -> None:
        """Start the daemon with a TUN device; returns when it is up."""
        self.host.pulse("start", "--tun", "--addr", self.underlay, "--listen", f":{PORT}", *flags)

    def stop(self) -> None:
        """Stop the daemon."""
        self.host.pulse("stop")

    def status(self) -> schemas.Status:
        """What it says of the mesh."""
        return msgspec.json.decode(self.host.pulse("status", "--json").stdout, type=schemas.Status)

    @property
    def v4(self) -> str:
        """Its IPv4 address in the mesh."""
        return self.status().node.v4

    @property
    def v6(self) -> str:
        """Its IPv6 address in the mesh."""
        return self.status().node.v6

    def token(self, *flags: str) -> str:
        """Mint a token; this node has to be the CA."""
        return self.host.pulse("token", "create", *flags).stdout.split()[-1]

    def join(self, door: "Node", token: str) -> None:
        """Become a member over `door`."""
        self.host.pulse("join", door.underlay, "--token", token)

    def wait_linked(self, *others: "Node") -> None:
        """Wait until there is a link to each of the others."""
        names = {other.host.name for other in others}

        def linked() -> bool:
            return names <= {peer.name for peer in self.status().peers if peer.link != "-"}

        wait_until(linked, f"{self.host.name} has links to {', '.join(sorted(names))}", PATIENCE)


@dataclass(frozen=True, slots=True)
class Pair:
    """A CA and a member, linked, each with a TUN device."""

    lab: Lab
    ca: Node
    member: Node


def bring_up(lab: Lab) -> Pair:
    """Make a mesh of hosts a (the CA) and b, and wait until they are linked."""
    ca, member = Node(lab["a"]), Node(lab["b"])
    ca.start("--ca", "--network", "test")
    member.join(ca, ca.token("--max-uses", "1"))
    member.start()
    member.wait_linked(ca)
    ca.wait_linked(member)
    return Pair(lab, ca, member)
