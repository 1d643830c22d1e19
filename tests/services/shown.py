"""A node whose status is looked at: its mesh, and what data plane, device, scribe and router tell."""

import asyncio
from dataclasses import dataclass, field

from pulse.core.facts import (
    Fact,
    LinkDown,
)
from pulse.core.mesh import Mesh
from pulse.core.trust.certificates import Certificate
from pulse.core.types import LinkId
from pulse.net.links import RuleHits
from pulse.schemas.node import PeerRow, PortMapping, Status
from pulse.services.status import StatusService
from pulse.services.vitals import VitalsService
from tests.authority import Ca
from tests.fakes import FakeLinks
from tests.mint import link_up, links_told, member, mesh

CA = Ca()
ME, ALICE, BOB, CAROL = (
    member(CA, name, place, host=name) for place, name in enumerate(("me", "alice", "bob", "carol"), 1)
)
KEEPER = member(CA, "keeper", 5, host="keeper", is_ca=True)
HOME = "192.0.2.9:443"
LINK = LinkId(1)


class DroppingLinks(FakeLinks):
    """A data plane that lost packets for one of its reasons."""

    def drops(self) -> dict[str, int]:
        """Some, and none."""
        return {"no_route": 3, "replay": 0}

    def hits(self) -> RuleHits:
        """One rule decided, one never did."""
        return RuleHits({"ssh": 2, "old": 0}, 1)


@dataclass
class Device:
    """A TUN device, or what is wrong with it."""

    name: str = "pulse0"
    problem: str = ""


@dataclass
class Office:
    """The scribe on this node, or why it is none."""

    problem: str = ""


@dataclass
class Router:
    """What it maps."""

    mapped: PortMapping | None = None

    def mapping(self) -> PortMapping | None:
        """That."""
        return self.mapped


@dataclass
class Ways:
    """What of the machine goes by way of the node, and why it does not, be it names or packets."""

    problem: str = ""
    left: str = ""
    bypasses: tuple[str, ...] = ()
    closed: list[str] = field(default_factory=list)

    def refused(self) -> list[str]:
        """Approved ranges that no exit carries."""
        return self.closed

    @property
    def resolver(self) -> "Ways":
        """Who tells the resolver."""
        return self

    @property
    def exits(self) -> "Ways":
        """Who leads packets to exits."""
        return self

    @property
    def exit_node(self) -> "Ways":
        """Who lets others out."""
        return self


@dataclass
class Node:
    """A status service on a mesh of its own."""

    tun: Device | None = None
    links: FakeLinks = field(default_factory=DroppingLinks)
    scribe: Office = field(default_factory=Office)
    mesh: Mesh = field(default_factory=lambda: mesh(CA, ME))
    fec: bool = False
    used: Ways = field(default_factory=Ways)
    rotation: Office | None = None
    ago: float = 1000.0
    """Seconds since what happens next happened."""

    @property
    def when(self) -> float:
        """The same as a time."""
        return asyncio.get_running_loop().time() - self.ago

    @property
    def service(self) -> StatusService:
        """The service, made one minute ago."""
        started = asyncio.get_running_loop().time() - 60
        vitals = VitalsService(self.mesh, self.tun, self.scribe, self.used, self.rotation).vitals
        return StatusService(self.mesh, self.links, self.tun, vitals, "1.2.3", ":443", started, fec=self.fec)

    def status(self) -> Status:
        """What it says."""
        return self.service.status()

    def happened(self, fact: Fact) -> None:
        """A fact, and the time in which the mesh looks at it."""
        self.mesh.happened(fact, self.when)
        self.settled()

    def settled(self) -> None:
        """Some time passes."""
        self.ago -= 3
        self.mesh.tick(self.when)

    def knows(self, *others: Certificate) -> None:
        """These are members of an earlier run."""
        for each in others:
            self.mesh.peer_restored(each, [], self.when)

    def meets(self, who: Certificate, link: LinkId = LINK, dial: int = 0) -> None:
        """A link with a peer comes up."""
        self.happened(link_up(who.node_id, link, dial=dial, certificate=who.der))

    def parts(self, who: Certificate, link: LinkId = LINK) -> None:
        """That link ended."""
        self.happened(LinkDown(link, who.node_id, "timed out"))

    def hears(self, *linked: tuple[Certificate, Certificate], by: LinkId = LINK) -> None:
        """A neighbour tells who is linked with whom."""
        links_told(self.mesh, by, linked, self.when)
        self.settled()

    def row(self, who: Certificate) -> PeerRow:
        """What it says of a peer."""
        (row,) = [each for each in self.status().peers if each.id == who.node_id]
        return row
