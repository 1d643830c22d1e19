"""Real data planes on loopback, raw and behind the adapter, with certificates that are good now."""

import asyncio
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pulse import clock
from pulse._dataplane import Dataplane
from pulse.core.effects import Hop, Owner, TablesChanged
from pulse.core.facts import Fact, LinkUp
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.join import build_showing
from pulse.core.types import LinkId, NodeId
from pulse.net.dataplane import DataplaneLinks
from pulse.net.links import Trust
from pulse.net.sockets import bind_udp
from tests.authority import Ca, key
from tests.mint import member

CA = Ca(made=clock.wall())
PATIENCE = 20.0
"""Seconds before a test that waits for the network gives up."""

_F = TypeVar("_F")


def key_der(machine: str) -> bytes:
    """A machine's key as the data plane takes it."""
    return key(machine).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def showing(ca: Ca = CA) -> bytes:
    """What the pinned join lane of its members shows."""
    return build_showing([ca.authority.der])


def owners(who: Certificate) -> tuple[Owner, ...]:
    """The mesh addresses of a node."""
    return tuple(Owner(f"{each}/{each.max_prefixlen}", who.node_id) for each in (who.addresses.v4, who.addresses.v6))


# Behind the adapter


@dataclass
class Node:
    """A data plane behind `DataplaneLinks`, as a member of a network."""

    links: DataplaneLinks
    me: Certificate
    address: str
    facts: list[Fact] = field(default_factory=list)

    async def told(self, kind: type[_F]) -> _F:
        """Wait for a fact of that kind."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for place, fact in enumerate(self.facts):
                    if isinstance(fact, kind):
                        del self.facts[place]
                        return fact
                self.facts += await self.links.wait_facts()

    async def link_with(self, other: "Node") -> LinkUp:
        """Dial a node and wait until both have the link and the tables that lead over it; our end of it."""
        self.links.dial(other.address, other.me.node_id)
        ours, theirs = await self.told(LinkUp), await other.told(LinkUp)
        self.route(other.me, ours.link)
        other.route(self.me, theirs.link)
        return ours

    def route(self, far: Certificate, link: LinkId) -> None:
        """Send what is for `far` over `link`."""
        routes = {far.addresses.v4: (Hop(link, 1),)}
        self.links.replace_tables(TablesChanged(routes, owners(self.me) + owners(far)))


@contextmanager
def node(machine: str, place: int = 1, ca: Ca = CA, revoked: tuple[NodeId, ...] = ()) -> Iterator[Node]:
    """A node of its own certificate."""
    me = member(ca, machine, place)
    with bind_udp("127.0.0.1", 0) as udp:
        address = f"127.0.0.1:{udp.getsockname()[1]}"
        links = DataplaneLinks.start(udp.detach())
    try:
        links.install_trust(Trust((ca.authority.der,), ca.network.label, revoked, me.not_before, showing(ca)))
        links.install_identity([me.der], key_der(machine))
        yield Node(links, me, address)
    finally:
        links.close()


# Raw


@dataclass
class Plane:
    """The compiled data plane itself, whose events wait until a test asks for them."""

    raw: Dataplane
    me: Certificate
    events: list[tuple[Any, ...]] = field(default_factory=list)

    def wait(self, kind: str) -> tuple[Any, ...]:
        """Wait for the next event of that kind; its fields."""
        give_up = time.monotonic() + PATIENCE
        poll = select.poll()
        poll.register(self.raw.fileno(), select.POLLIN)
        while time.monotonic() < give_up:
            for place, event in enumerate(self.events):
                if event[0] == kind:
                    return self.events.pop(place)[1:]
            poll.poll(PATIENCE * 1000)
            self.events += self.raw.drain()
        raise TimeoutError(f"no {kind} among {[event[0] for event in self.events]}")

    def link_with(self, other: "Plane") -> tuple[int, int]:
        """Dial a plane and wait until both have the link and the tables that lead over it; both ends' numbers."""
        self.raw.dial(other.raw.local_address(), None)
        ours, theirs = self.wait("LinkUp")[0], other.wait("LinkUp")[0]
        self.route(other.me, ours)
        other.route(self.me, theirs)
        return ours, theirs

    def route(self, far: Certificate, link: int) -> None:
        """Send what is for `far` over `link`."""
        rows = [(each.prefix, bytes.fromhex(each.node), True, True) for each in owners(self.me) + owners(far)]
        self.raw.replace_addresses(rows)
        self.raw.replace_routes({str(far.addresses.v4): [(link, 1)]})


def bare_plane() -> Dataplane:
    """A data plane that is nobody yet."""
    return Dataplane(bind_udp("127.0.0.1", 0).detach())


@contextmanager
def plane(machine: str, place: int = 1) -> Iterator[Plane]:
    """A data plane with a certificate of its own."""
    me, raw = member(CA, machine, place), bare_plane()
    try:
        raw.install_trust([CA.authority.der], CA.network.label, [], me.not_before, showing())
        raw.install_identity([me.der], key_der(machine))
        yield Plane(raw, me)
    finally:
        raw.close()
