"""Labs that tests, the demo and the benches share: who has a cable to whom.

Invariant: hosts pass nothing on in the kernel, so what gets further than one cable went over the mesh, or out through a
NAT and back.
"""

from typing import Final

from pulse.lab.plan import HostPlan, Nat, NetworkPlan, Plan


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


def nat(a: Nat = Nat.PORT_RESTRICTED, b: Nat = Nat.PORT_RESTRICTED) -> Plan:
    """Two public hosts, hub and far, and two at home, a behind nat-a and b behind nat-b."""
    return Plan(
        {
            "hub": HostPlan(),
            "far": HostPlan(),
            "nat-a": HostPlan(nat=a),
            "nat-b": HostPlan(nat=b),
            "a": HostPlan(),
            "b": HostPlan(),
        },
        (NetworkPlan(("hub", "far", "nat-a", "nat-b")), NetworkPlan(("nat-a", "a")), NetworkPlan(("nat-b", "b"))),
    )


def cgnat(home: Nat = Nat.PORT_RESTRICTED, carrier: Nat = Nat.PORT_RESTRICTED) -> Plan:
    """Two public hosts, hub and far; a and b at two homes, nat-a and nat-b, of one carrier that has a NAT too."""
    return Plan(
        {
            "hub": HostPlan(),
            "far": HostPlan(),
            "carrier": HostPlan(nat=carrier, hairpin=True),
            "nat-a": HostPlan(nat=home),
            "nat-b": HostPlan(nat=home),
            "a": HostPlan(),
            "b": HostPlan(),
        },
        (
            NetworkPlan(("hub", "far", "carrier")),
            NetworkPlan(("carrier", "nat-a", "nat-b")),
            NetworkPlan(("nat-a", "a")),
            NetworkPlan(("nat-b", "b")),
        ),
    )


ROAMING: Final = Plan(
    {
        "hub": HostPlan(),
        "far": HostPlan(),
        "home": HostPlan(nat=Nat.PORT_RESTRICTED),
        "cafe": HostPlan(router=True),
        "laptop": HostPlan(),
    },
    (NetworkPlan(("hub", "far", "home", "cafe")), NetworkPlan(("home", "laptop")), NetworkPlan(("cafe", "laptop"))),
)
"""Two public hosts, and a laptop that is at home behind a NAT, or at a cafe where anybody reaches it (`laptop.py`)."""
