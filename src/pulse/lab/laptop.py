"""A host that goes from one network to another, as a laptop does: one cable at a time, and other addresses.

Invariant: it has the cable of the place it is at and no other, and all it sends leaves over the router there, by IPv4.
"""

from dataclasses import dataclass, field
from ipaddress import IPv4Interface
from typing import Final

from pulse.errors import NotFound
from pulse.lab import namespaces
from pulse.lab.host import Host
from pulse.lab.lab import Lab
from pulse.lab.plan import Port

_OTHERS: Final = 100
"""Where on a network its other addresses begin."""


@dataclass(slots=True)
class Laptop:
    """A host with a cable to each of several routers, at one of which it is."""

    lab: Lab
    host: Host
    place: str
    """The router there."""
    _addresses: dict[str, IPv4Interface] = field(default_factory=dict)
    """By place, once they are others than at first."""

    @classmethod
    def at(cls, lab: Lab, host: str, place: str) -> "Laptop":
        """The host, with the cable to that router alone. Raises NotFound if there is none."""
        made = cls(lab, lab[host], place)
        ours, _ = made._cable(place)
        for port in made.host.ports:
            if port != ours:
                namespaces.set_down(made.host.namespace, port.interface)
        made._leave_over(place)
        return made

    @property
    def address(self) -> IPv4Interface:
        """What it has where it is."""
        return self._addresses.get(self.place, self._cable(self.place)[0].v4)

    def carry_to(self, place: str) -> None:
        """Pull the cable, and plug in the one to another router. Raises NotFound."""
        old, new = self._cable(self.place)[0], self._cable(place)[0]
        namespaces.set_down(self.host.namespace, old.interface)
        namespaces.set_up(self.host.namespace, new.interface)
        self.place = place
        self._leave_over(place)

    def renumber(self) -> None:
        """Take its address away, and give it another one on the same network."""
        before, (port, _) = self.address, self._cable(self.place)
        network = before.network
        number = max(_OTHERS, int(before.ip) - int(network.network_address)) + 1
        after = self._addresses[self.place] = IPv4Interface((network[number], network.prefixlen))
        device = port.interface
        namespaces.batch(
            self.host.namespace, [f"address delete {before} dev {device}", f"address add {after} dev {device}"]
        )
        self._leave_over(self.place)

    def _leave_over(self, place: str) -> None:
        _, router = self._cable(place)
        namespaces.batch(self.host.namespace, [f"route replace default via {router.v4.ip}"])

    def _cable(self, place: str) -> tuple[Port, Port]:
        """Our end of the cable to a router, and the far one."""
        if place in self.lab.hosts:
            for ours in self.host.ports:
                for theirs in self.lab[place].ports:
                    if ours.network == theirs.network:
                        return ours, theirs
        raise NotFound(f"no cable joins {self.host.name} and {place}")
