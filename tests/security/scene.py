"""What the tests of this folder have in common: an honest pair and a rogue on one network, and ways to look closely.

Invariant: what a daemon drops is compared reason by reason, so one packet too many fails a test too.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pulse.core.trust.certificates import Certificate, parse
from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from pulse.lab.plan import HostPlan, NetworkPlan, Plan
from tests.e2e.exchange import unharmed_flow
from tests.e2e.forgery import Wanted
from tests.e2e.mesh import PATIENCE, Node, Pair, bring_up
from tests.e2e.rogue import member_like
from tests.security.link import Link
from tests.security.rogue import Rogue

TOGETHER: Final = Plan(
    hosts={name: HostPlan() for name in ("a", "b", "r", "s")}, networks=(NetworkPlan(("a", "b", "r", "s")),)
)
"""Hosts a and b for the honest, r and s for the bad, all on one switch."""

_NUMBERS: Final = count(7)

STILL: Final = 0.5
"""Seconds without a change after which none is to come."""

OF_THE_KERNEL: Final = frozenset({"multicast"})
"""Reasons for drops that nobody here causes: the kernel says things on any interface."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A CA and a member, linked, and a rogue linked to the CA."""

    pair: Pair
    rogue: Rogue
    link: Link

    @property
    def ca(self) -> Node:
        """The victim."""
        return self.pair.ca

    @property
    def member(self) -> Node:
        """The bystander."""
        return self.pair.member

    def certificate(self, node: Node) -> Certificate:
        """What a node shows to whoever links with it."""
        return certificate(node)

    def new_link(self) -> Link:
        """Another link to the CA, which takes the place of the one before."""
        return self.rogue.dials(self.ca)


@contextmanager
def infiltrated(lab: Lab) -> Iterator[Scene]:
    """Bring up the pair and the rogue; at the end all must be well and no error logged."""
    pair = bring_up(lab, "--log-level", "debug")
    with Rogue(lab["r"], bad_member(pair.ca)) as rogue:
        link = rogue.dials(pair.ca)
        settle(pair.ca, pair.member)
        yield Scene(pair, rogue, link)
    assert pair.errors == []
    assert pair.ca.reaches(pair.member)


@contextmanager
def apart(one: Node, other: Node) -> Iterator[None]:
    """Meanwhile nothing passes between two hosts; they have to find another way."""
    for node, far in ((one, other), (other, one)):
        # By beacons they know each other's link-local addresses, too.
        beside = "ip6 saddr fe80::/10 meta l4proto { tcp, udp } drop"
        there = f"ip saddr {far.host.v4.ip} drop\nip6 saddr {far.host.v6.ip} drop\n{beside}"
        rules = f"table inet apart {{\nchain input {{\ntype filter hook input priority 0\n{there}\n}}\n}}"
        node.host.run(["nft", "-f", "-"], stdin=rules)
    try:
        yield
    finally:
        for node in (one, other):
            node.host.run(["nft", "delete", "table", "inet", "apart"])


def bad_member(ca: Node) -> Wanted:
    """A certificate of the CA's for a member with a key and an address that no other has."""
    good = member_like(ca)
    return replace(good, addresses=(f"10.100.7.{next(_NUMBERS)}", good.addresses[1]))


@contextmanager
def drops(node: Node, **expected: int) -> Iterator[None]:
    """Meanwhile the node drops that many packets for these reasons, and none for any other."""
    before = node.drops
    yield
    wait_until(lambda: _more(before, node.drops, expected), f"{node.host.name} drops {expected}", PATIENCE)
    assert _difference(before, node.drops) == expected


@contextmanager
def unmoved(*nodes: Node) -> Iterator[None]:
    """Meanwhile nothing changes at these nodes: who they are, whom they know, what CA and scribe said."""
    before = [state(node) for node in nodes]
    yield
    assert [state(node) for node in nodes] == before


@contextmanager
def unharmed(scene: Scene) -> Iterator[None]:
    """Meanwhile a flow from the member to the CA goes on, and nothing changes at either."""
    with ExitStack() as stack:
        stack.enter_context(unmoved(scene.ca, scene.member))
        stack.enter_context(unharmed_flow(scene.member, scene.ca))
        yield


def settle(*nodes: Node) -> None:
    """Wait until all these nodes know what there is to know: nothing changes any more."""
    seen: list[list[object]] = []

    def is_still() -> bool:
        seen.append([state(node) for node in nodes])
        time.sleep(STILL)
        return [state(node) for node in nodes] == seen[-1]

    wait_until(is_still, "the mesh has settled", PATIENCE)


def state(node: Node) -> list[object]:
    """All that others could want to change: identity, peers, and signed objects in their bytes."""
    status = node.status()
    peers = sorted((each.id, each.name, each.v4, each.v6, *each.roles) for each in status.peers)
    return [status.node, peers, files(node.host.data / "network"), files(node.host.data / "identity")]


def certificate(node: Node) -> Certificate:
    """A node's certificate, from its disk."""
    found = x509.load_pem_x509_certificate((node.host.data / "identity" / "certificate.pem").read_bytes())
    return parse(found.public_bytes(Encoding.DER))


def files(directory: Path) -> dict[str, bytes]:
    """Every file of a directory."""
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir()) if path.is_file()}


def memory(node: Node) -> int:
    """Bytes of memory its daemon holds."""
    for line in Path(f"/proc/{node.pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise LookupError("no VmRSS")


def told_since(node: Node, told: int, what: str, count: int = 1) -> None:
    """Wait until what its log has after `told` characters says so, that often."""
    wait_until(lambda: node.log[told:].count(what) >= count, f"{node.host.name} says: {what}", PATIENCE)


def _more(before: dict[str, int], now: dict[str, int], expected: dict[str, int]) -> bool:
    return all(now.get(reason, 0) - before.get(reason, 0) >= count for reason, count in expected.items())


def _difference(before: dict[str, int], now: dict[str, int]) -> dict[str, int]:
    changed = {reason: count - before.get(reason, 0) for reason, count in now.items() if reason not in OF_THE_KERNEL}
    return {reason: count for reason, count in changed.items() if count}
