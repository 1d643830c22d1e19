"""Labs that tests, the demo and the benches share: who has a cable to whom.

Invariant: hosts pass nothing on in the kernel, so what gets further than one cable went over the mesh.
"""

from typing import Final

from pulse.lab.plan import HostPlan, NetworkPlan, Plan


def joined(*networks: tuple[str, ...]) -> Plan:
    """A plan of hosts that are no routers, by the networks they are on; the first named is the first host."""
    names = dict.fromkeys(name for network in networks for name in network)
    return Plan({name: HostPlan() for name in names}, tuple(NetworkPlan(network) for network in networks))


RELAY: Final = joined(("relay", "left"), ("relay", "right"))
"""One host in public, and two on networks of their own that reach nobody else."""

TWO_RELAYS: Final = joined(
    ("relay", "left"), ("relay", "right"), ("spare", "left"), ("spare", "right"), ("relay", "spare")
)
"""The same twice: either relay joins left and right."""

CHAIN: Final = joined(("a", "r1"), ("r1", "r2"), ("r2", "r3"), ("r3", "b"))
"""Each host reaches the next one only."""


def star(count: int) -> Plan:
    """A switch with that many hosts: h0, h1, …"""
    return joined(tuple(f"h{number}" for number in range(count)))
