"""A node and its router, as tests of port mapping speak of them."""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from random import Random
from typing import TypeVar

from pulse.core.facts import PortMapped
from pulse.core.paths.portmap import LEASE, Effect, Gateway, Grant, Mapper, PortMap

HOME = Gateway(IPv4Address("192.168.1.1"), IPv4Address("192.168.1.2"), "eth0")
CAFE = Gateway(IPv4Address("10.0.0.1"), IPv4Address("10.0.0.7"), "wlan0")
MESH = IPv4Network("100.64.0.0/16")
OUTER = IPv4Address("203.0.113.7")
GRANT = Grant(Mapper.PCP, OUTER, 8443, LEASE, 1000.0)

_E = TypeVar("_E")


@dataclass
class Node:
    """A machine, its clock, and all it wanted."""

    machine: PortMap = field(default_factory=lambda: PortMap(Random(1), lambda: MESH))
    now: float = 5000.0
    effects: list[Effect] = field(default_factory=list)

    def take(self, effects: list[Effect]) -> None:
        self.effects += effects

    def at(self, gateway: Gateway | None) -> "Node":
        """It has that gateway now."""
        self.take(self.machine.gateway_found(gateway, self.now))
        return self

    def mapped(self, grant: Grant = GRANT, gateway: Gateway = HOME) -> "Node":
        """The router answered with a grant."""
        self.take(self.machine.granted(gateway, grant, self.now))
        return self

    def refused(self, reason: str = "no", wait: float = 0.0) -> "Node":
        self.take(self.machine.refused(HOME, reason, wait, self.now))
        return self

    def looked(self, epoch: float | None, outer: IPv4Address | None = None) -> "Node":
        self.take(self.machine.looked(HOME, epoch, outer, self.now))
        return self

    def wakes(self) -> "Node":
        """Time passes until it wants to be woken."""
        due = self.machine.deadline()
        assert due is not None
        self.now = max(self.now, due)
        self.take(self.machine.tick(self.now))
        return self

    def sleeps(self, seconds: float) -> "Node":
        """So much time passes."""
        end = self.now + seconds
        while (due := self.machine.deadline()) is not None and due <= end:
            self.wakes()
        self.now = end
        return self

    def all(self, kind: type[_E]) -> list[_E]:
        """What it wanted of that kind since it was last asked about."""
        found: list[_E] = [each for each in self.effects if isinstance(each, kind)]
        self.effects = [each for each in self.effects if not isinstance(each, kind)]
        return found

    def told(self) -> list[str | None]:
        """What the mesh was told."""
        return [each.address for each in self.all(PortMapped)]


def home() -> Node:
    """A node whose router granted the port."""
    return Node().at(HOME).mapped()
