"""Two nodes behind NATs of every class: which pairs get a direct link, and what `pulse why` says of the others.

Invariant: between a case and the next all mappings are forgotten and both daemons have died, as by a power cut.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Final

import pytest

from pulse.calls.why import WhyCalls
from pulse.client import connect
from pulse.core.why import Code
from pulse.lab import topologies
from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from pulse.lab.plan import Firewall, Nat, Plan
from pulse.schemas.paths import Why
from tests.e2e.mesh import PATIENCE, Node, errors_of
from tests.namespace import require_root

PAIRS: Final = tuple(combinations_with_replacement(Nat, 2))

PUNCHED, REACHABLE = "direct_quic", "quic"

BLOCK: Final = (40_000, 41_023)
"""Ports of a carrier's customer (RFC 7422). Guesses among all find one of 128 in 7 attempts of 8, which is no test."""


def verdict_of(one: Nat, other: Nat) -> Code:
    """What the classes of two NATs allow (RFC 5128 §3.3)."""
    if (one, other) == (Nat.SYMMETRIC, Nat.SYMMETRIC):
        return Code.SYMMETRIC_NATS
    return Code.SYMMETRIC_NAT if {one, other} == {Nat.SYMMETRIC, Nat.PORT_RESTRICTED} else Code.DIRECT


@dataclass(frozen=True, slots=True)
class Homes:
    """Two nodes at home, and a mesh in public."""

    lab: Lab
    a: Node
    b: Node

    def met(self, *flags: str) -> None:
        """Both homes come up and there is traffic between them, over whatever leads there."""
        for node in (self.a, self.b):
            node.start(*flags)
        # A relay may still tell of its link to a home that lost power, and lead packets there for some seconds.
        self.a.wait_reaches(self.b)

    def why(self) -> Why:
        """What a says of its way to b."""
        with connect(self.a.host.data) as client:
            return WhyCalls(client).why(self.b.host.name)

    def wait_verdict(self, code: Code, patience: float = PATIENCE) -> Why:
        """Wait until that is why."""
        wait_until(lambda: self.why().code == code, f"why is {code}", patience)
        return self.why()

    def die(self) -> None:
        """Both homes lose power."""
        for node in (self.a, self.b):
            node.kill()


def homes_of(plan: Plan) -> Iterator[Homes]:
    """The homes of a plan, members of a mesh of two public nodes; down."""
    with Lab(plan) as lab:
        hub, far, a, b = (Node(lab[name]) for name in ("hub", "far", "a", "b"))
        hub.start("--ca")
        token = hub.token("--max-uses", "3")
        for node in (far, a, b):
            node.join(hub, token)
        far.start()
        yield Homes(lab, a, b)
        for node in (hub, far):
            node.stop()


@pytest.fixture(scope="module")
def homes() -> Iterator[Homes]:
    """Two homes, each behind a NAT of its own."""
    require_root()
    yield from homes_of(topologies.nat())


@pytest.mark.parametrize(("one", "other"), PAIRS, ids=[f"{one}-{other}" for one, other in PAIRS])
def test_every_pair_of_nats_goes_as_far_as_the_two_allow(homes: Homes, one: Nat, other: Nat) -> None:
    homes.lab.set_nat("nat-a", one)
    homes.lab.set_nat("nat-b", other)
    homes.met()

    told = homes.wait_verdict(verdict_of(one, other))

    if told.code == Code.DIRECT:
        # Two that dial each other at one time open both NATs too, and nobody had to punch.
        assert {told.source.link, told.node.link} <= {PUNCHED, REACHABLE}
    else:
        assert told.source.via
        assert told.help.startswith("let the router of ")
        can_be_guessed = told.code == Code.SYMMETRIC_NAT
        assert ("birthday probing is off at a and b" in told.sentence) is can_be_guessed
        assert told.help.endswith("start a and b with --birthday") is can_be_guessed
    assert homes.a.pings(homes.b.v4).code == 0
    homes.die()


def test_birthday_probing_makes_two_meet_that_cannot_else_where_both_allow_it(homes: Homes) -> None:
    homes.lab.set_nat("nat-a", Nat.PORT_RESTRICTED)
    homes.lab.set_nat("nat-b", Nat.SYMMETRIC, ports=BLOCK)
    homes.met("--birthday")

    # Another attempt has to fail first; then each end leaves the relay when it has seen enough of the link.
    homes.wait_verdict(Code.DIRECT, 2 * PATIENCE)
    homes.b.wait_direct(homes.a)
    told = homes.why()

    assert (told.source.link, told.node.link) == (PUNCHED, PUNCHED)
    assert (told.source.birthday, told.node.birthday) == ("opened", "opened")
    wait_until(lambda: (sockets_apart(homes.a), sockets_apart(homes.b)) == (0, 1), "one socket is left", PATIENCE)
    # The longest packet there is, too.
    assert homes.b.reaches(homes.a)
    assert homes.a.pings(homes.b.v4, "-s", "1312").code == 0
    assert homes.a.is_direct(homes.b)
    homes.a.stop()
    wait_until(lambda: sockets_apart(homes.b) == 0, "the socket went with its link", PATIENCE)
    assert errors_of((homes.a, homes.b)) == []
    homes.b.kill()


def sockets_apart(node: Node) -> int:
    """UDP sockets of its machine for IPv4 from anywhere: a daemon listens on one of IPv6, which serves both."""
    listed = node.host.run(["ss", "-Hun4a"]).stdout.splitlines()
    return sum(line.split()[3].startswith("0.0.0.0:") for line in listed)


def test_behind_a_firewall_without_udp_it_is_a_websocket_to_a_relay(homes: Homes) -> None:
    homes.lab.set_firewall("nat-a", Firewall.UDP)
    homes.met()

    told = homes.wait_verdict(Code.UDP_BLOCKED)
    homes.lab.set_firewall("nat-a", None)

    assert told.source.link == "websocket"
    assert told.help == "allow UDP out of a's network"
    homes.die()


def test_two_homes_of_one_carrier_go_direct_once_its_nat_leads_back_to_itself() -> None:
    require_root()
    for homes in homes_of(topologies.cgnat()):
        homes.lab.set_nat("carrier", Nat.PORT_RESTRICTED, hairpin=False)
        homes.met()
        told = homes.wait_verdict(Code.NO_HAIRPIN)
        assert told.help.startswith("let that router hairpin")

        homes.lab.set_nat("carrier", Nat.PORT_RESTRICTED, hairpin=True)
        homes.a.pings(homes.b.v4)
        homes.wait_verdict(Code.DIRECT)
        homes.die()
