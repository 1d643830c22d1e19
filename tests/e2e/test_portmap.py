"""A node behind a router that maps ports, by each of the three protocols, and behind one that does not.

Both homes have symmetric NATs, through which nobody is punched: what links them directly is the mapping alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from pulse.lab import topologies
from pulse.lab.host import Host, wait_until
from pulse.lab.lab import Lab
from pulse.lab.plan import Nat
from pulse.schemas.node import PortMapping
from tests.e2e.home_router import HomeRouter
from tests.e2e.mesh import PATIENCE, PORT, Node, errors_of, is_alive
from tests.namespace import require_root

BOTH = {"udp", "tcp"}

COUNTED = """
table inet counted {
chain in {
type filter hook prerouting priority -300
udp dport { 1900, 5351 } counter
}
}
"""
"""Counts what asks a router for a port."""


@dataclass
class Homes:
    """The CA in public, a node behind the router under test, and one behind another NAT."""

    hub: Node
    home: Node
    away: Node
    router: HomeRouter
    next_door: Host
    """The other router."""

    def run(self, mode: str) -> None:
        """The router grants ports by that protocol, and the node behind it runs; what is so already is left alone."""
        if self.router.mode != mode:
            self.stop()
            self.router.start(mode)
        if not self.is_up:
            self.home.start()

    def stop(self) -> None:
        """The node behind the router does not run any more."""
        if self.is_up:
            self.home.stop()

    @property
    def is_up(self) -> bool:
        """True while the node behind the router runs."""
        return (self.home.host.data / "lock").exists() and is_alive(self.home.pid)

    @property
    def mapping(self) -> PortMapping | None:
        """What the node behind the router says of it."""
        return self.home.status().portmap

    def wait_mapped(self) -> PortMapping:
        """Wait until it says that its port is mapped."""
        wait_until(lambda: self.mapping, "the port is mapped", PATIENCE)
        mapping = self.mapping
        assert mapping is not None
        return mapping

    def refusals(self) -> list[str]:
        """Lines of its log about routers that map nothing."""
        return [line for line in self.home.log.splitlines() if "no port mapped" in line]


def questions(router: Host) -> int:
    """Packets that asked a router for a port so far."""
    listed = router.run(["nft", "list", "table", "inet", "counted"]).stdout.split()
    return int(listed[listed.index("packets") + 1])


@pytest.fixture(scope="module")
def homes() -> Iterator[Homes]:
    require_root()
    with Lab(topologies.nat(Nat.SYMMETRIC, Nat.SYMMETRIC)) as lab:
        hub, home, away = (Node(lab[name]) for name in ("hub", "a", "b"))
        router = HomeRouter(lab["nat-a"], home.host)
        router.move_in(lab["nat-b"])
        for each in (lab["nat-a"], lab["nat-b"]):
            each.run(["nft", "-f", "-"], stdin=COUNTED)
        router.start("pcp")
        hub.start("--ca", "--scribe", "--network", "test")
        for node in (home, away):
            node.join(hub, hub.token("--max-uses", "1"))
        away.start("--no-portmap")
        away.wait_linked(hub)
        yield Homes(hub, home, away, router, lab["nat-b"])
        assert errors_of((hub, home, away)) == []


def test_a_node_is_dialled_at_the_port_its_router_mapped(homes: Homes) -> None:
    homes.run("pcp")

    mapping = homes.wait_mapped()
    homes.away.wait_direct(homes.home)
    row = homes.away.sees(homes.home)
    assert (row.link, row.address) == ("quic", mapping.address), "dialled there, and nobody had to punch"
    assert homes.away.reaches(homes.home)


def test_without_the_setting_no_router_is_asked(homes: Homes) -> None:
    """The other home runs its node with --no-portmap."""
    homes.run("pcp")
    homes.wait_mapped()

    assert questions(homes.router.host) > 0
    assert questions(homes.next_door) == 0


def test_a_node_that_was_killed_gets_its_port_again(homes: Homes) -> None:
    homes.run("pcp")
    before = homes.wait_mapped()
    homes.home.kill()
    assert homes.router.mapped() == BOTH, "nobody gave it back"
    homes.home.start()

    assert homes.wait_mapped().address == before.address
    assert homes.router.mapped() == BOTH


def test_a_router_that_restarts_is_asked_again(homes: Homes) -> None:
    homes.run("pcp")
    homes.wait_mapped()
    homes.router.start("pcp")
    assert homes.router.mapped() == set()

    wait_until(lambda: homes.router.mapped() == BOTH, "the port is mapped again", 3 * PATIENCE)


@pytest.mark.parametrize("protocol", ["pcp", "nat-pmp", "upnp"])
def test_each_protocol_maps_the_port_and_gives_it_back(homes: Homes, protocol: str) -> None:
    homes.run(protocol)

    mapping = homes.wait_mapped()
    assert (mapping.protocol, mapping.address, mapping.tcp) == (protocol, f"{homes.router.outside}:{PORT}", True)
    assert homes.router.mapped() == BOTH

    homes.stop()
    assert homes.router.mapped() == set()


def test_behind_a_router_that_refuses_a_node_runs_on_and_says_so_once(homes: Homes) -> None:
    before = len(homes.refusals())
    homes.run("nothing")
    wait_until(lambda: len(homes.refusals()) > before, "the refusal is logged", PATIENCE)

    homes.away.wait_relayed(homes.home, via=homes.hub)
    assert homes.away.reaches(homes.home)
    assert homes.away.is_relayed(homes.home, via=homes.hub), "without a mapping nobody gets in"
    assert homes.mapping is None
    assert homes.router.mapped() == set()
    (said,) = homes.refusals()[before:]
    assert "the router's owner does not allow it" in said
