"""Real nodes on lab hosts, as end-to-end tests speak of them."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

from pulse import schemas
from pulse.client import connect
from pulse.lab.host import Host, Output, wait_until
from pulse.lab.lab import Lab
from pulse.lab.plan import HostPlan, NetworkPlan, Plan
from pulse.lab.state import identify

PORT = 8443
PATIENCE = 30.0
"""Seconds anything may take: ten times what it should, so a guard against hanging only."""

WITH_STRANGER = Plan(
    hosts={"a": HostPlan(), "b": HostPlan(), "s": HostPlan()},
    networks=(NetworkPlan(("a", "b")), NetworkPlan(("a", "s"))),
)
"""Host a has a cable to b, and another one to s, who does not belong."""


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

    def kill(self) -> None:
        """End the daemon as a power cut would: kill -9."""
        daemon = self.pid
        os.kill(daemon, signal.SIGKILL)
        wait_until(lambda: not is_alive(daemon), f"the daemon of {self.host.name} is gone", PATIENCE)

    @property
    def pid(self) -> int:
        """The daemon's process."""
        return int((self.host.data / "lock").read_text(encoding="ascii"))

    @property
    def log(self) -> str:
        """All its log has."""
        return (self.host.data / "pulse.log").read_text(encoding="utf-8")

    @property
    def drops(self) -> dict[str, int]:
        """Packets it dropped, by reason; only reasons there were."""
        return self.status().drops

    def dropped(self, reason: str, act: Callable[[], object], count: int = 1) -> int:
        """How many packets more it drops for that reason by `act`, once there are `count`."""
        before = self.drops.get(reason, 0)
        act()
        wait_until(
            lambda: self.drops.get(reason, 0) >= before + count, f"{self.host.name} drops for {reason}", PATIENCE
        )
        return self.drops[reason] - before

    def pings(self, address: str, *flags: str) -> Output:
        """What three pings of an address came to, whatever it is."""
        return self.host.run(["ping", "-c", "3", "-i", "0.2", "-W", "2", *flags, address], check=False)

    def shouts(self, address: str, *flags: str) -> None:
        """Send three pings to an address that will not answer, and wait for nothing."""
        self.host.run(["ping", "-q", "-c", "3", "-i", "0.01", "-W", "0.1", *flags, address], check=False)

    def reaches(self, other: "Node") -> bool:
        """True if pings to both mesh addresses of the other are answered."""
        node = other.status().node
        return all(self.pings(address).code == 0 for address in (node.v4, node.v6))

    def status(self) -> schemas.Status:
        """What it says of the mesh."""
        with connect(self.host.data, {}) as client:
            return client.status()

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

    def tries(self, *arguments: str) -> Output:
        """What a command that may fail came to."""
        return self.host.pulse(*arguments, check=False)

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

    @property
    def errors(self) -> list[str]:
        """Lines in the logs that mean something is broken."""
        lines = [line for node in (self.ca, self.member) for line in node.log.splitlines()]
        return [line for line in lines if " ERROR " in line or "Traceback" in line]


def is_alive(pid: int) -> bool:
    """True while that process runs."""
    return identify(pid) is not None


def bring_up(lab: Lab, *flags: str) -> Pair:
    """Make a mesh of hosts a (the CA) and b, and wait until they are linked."""
    ca, member = Node(lab["a"]), Node(lab["b"])
    ca.start("--ca", "--network", "test", *flags)
    member.join(ca, ca.token("--max-uses", "1"))
    member.start(*flags)
    member.wait_linked(ca)
    ca.wait_linked(member)
    return Pair(lab, ca, member)
