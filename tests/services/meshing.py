"""A mesh service over a fake data plane, and what it told the rest of the node."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from pulse.core import facts, messages
from pulse.core.messages import Item, ObjectKind, Objects
from pulse.core.network.netconfig import first_config
from pulse.core.trust.revocation import sign_revocation
from pulse.core.trust.roles import Roles, sign_roles
from pulse.core.types import LinkId
from pulse.errors import PulseError
from pulse.net.dialler import Dialler
from pulse.services.mesh import MeshService
from pulse.store.netconfig import NetworkStore
from tests.authority import MESH, NOW, Ca
from tests.fakes import FakeLinks
from tests.mint import link_up, member, mesh

CA = Ca()
ME, ALICE, BOB = (member(CA, name, place) for place, name in enumerate(("me", "alice", "bob"), 1))
HOME = "192.0.2.1:443"
LINK = LinkId(1)

NAMES = {ALICE.node_id: "alice", BOB.node_id: "bob"}

ALICE_IS_UP = link_up(ALICE.node_id, LINK, certificate=ALICE.der)
FIRST = first_config(CA.network, MESH, CA.key)
CONFIG = Item(ObjectKind.CONFIG, FIRST.data)
OFFER = Item(ObjectKind.CONFIG_OFFER, messages.pack(FIRST.offer))
ROLES = Item(ObjectKind.ROLES, sign_roles(CA.network, Roles(1), CA.key).data)
ALICE_IS_OUT, BOB_IS_OUT = (
    Item(ObjectKind.REVOCATION, sign_revocation(CA.network, who.node_id, CA.key, time=NOW).data) for who in (ALICE, BOB)
)


class Soon(Random):
    """Randomness that always falls on the beginning of the window."""

    def uniform(self, a: float, b: float) -> float:
        """The earlier of both ends."""
        return min(a, b)


@dataclass
class Node:
    """A mesh service over a fake data plane, and what it told the rest of the node."""

    data_dir: Path
    links: FakeLinks = field(default_factory=FakeLinks)
    said: list[str] = field(default_factory=list)
    refusal: PulseError | None = None
    """What the disk says to the boot count."""
    peers_written_after: float = 60.0
    service: MeshService = field(init=False)

    def __post_init__(self) -> None:
        self.service = MeshService(
            mesh=mesh(CA, ME, Soon()),
            links=self.links,
            dialler=Dialler(self.links),
            store=NetworkStore(self.data_dir),
            store_boot=self.store_boot,
            store_peers=lambda: self.said.append("peers stored"),
            peers_written_after=self.peers_written_after,
            trust_changed=lambda: self.said.append("trust changed"),
            statements_changed=lambda: self.said.append("statements changed"),
            fetch_config=lambda who: self.said.append(f"config of {NAMES[who]} fetched"),
            send_beacon=lambda _: self.said.append("beacon sent"),
        )

    def store_boot(self, boot: int) -> None:
        """Onto the disk, which may refuse."""
        if self.refusal:
            raise self.refusal
        self.said.append(f"boot {boot} stored")

    def configure(self, address: str) -> None:
        """A person names a peer."""
        now = asyncio.get_running_loop().time()
        self.service.perform(self.service.mesh.peer_configured(address, now))

    def heard(self, *items: Item) -> facts.MessageReceived:
        """Alice shows objects."""
        return facts.MessageReceived(LINK, messages.encode(Objects(list(items))))

    async def settled(self) -> None:
        """Let everything take its turn; a timer of no length is due within two turns."""
        for _ in range(50):
            await asyncio.sleep(0)


@asynccontextmanager
async def running(node: Node) -> AsyncIterator[None]:
    """Its service runs."""
    task = asyncio.ensure_future(node.service.run())
    await node.settled()
    yield
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
