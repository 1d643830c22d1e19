"""Mesh service: every effect is performed, every fact is told, and nobody is woken too late."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from pulse import clock
from pulse.core import facts, messages
from pulse.core.mesh import Mesh
from pulse.core.messages import Item, Leaving, ObjectKind, Objects, Observed
from pulse.core.network.netconfig import first_config
from pulse.core.trust.revocation import sign_revocation
from pulse.core.trust.roles import Roles, sign_roles
from pulse.core.types import LinkId
from pulse.net import dialler
from pulse.net.dialler import Dialler
from pulse.services import mesh as module
from pulse.services.mesh import MeshService
from pulse.store.netconfig import NetworkStore
from tests.authority import MESH, NOW, Ca
from tests.fakes import FakeLinks
from tests.mint import link_up, member

CA = Ca()
ME, ALICE, BOB = (member(CA, name, place) for place, name in enumerate(("me", "alice", "bob"), 1))
HOME = "192.0.2.1:443"
LINK = LinkId(1)

ALICE_IS_UP = link_up(ALICE.node_id, LINK, certificate=ALICE.der)
CONFIG = Item(ObjectKind.CONFIG, first_config(CA.network, MESH, CA.key).data)
ROLES = Item(ObjectKind.ROLES, sign_roles(CA.network, Roles(1), CA.key).data)
BOB_IS_OUT = Item(ObjectKind.REVOCATION, sign_revocation(CA.network, BOB.node_id, CA.key, time=NOW).data)


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
    service: MeshService = field(init=False)

    def __post_init__(self) -> None:
        self.service = MeshService(
            mesh=Mesh(ME, (CA.authority,), Soon()),
            links=self.links,
            dialler=Dialler(self.links),
            store=NetworkStore(self.data_dir),
            trust_changed=lambda: self.said.append("trust changed"),
            config_changed=lambda: self.said.append("config changed"),
            store_peers=lambda: self.said.append("peers stored"),
        )

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


@pytest.fixture
def here(tmp_path: Path) -> Node:
    return Node(tmp_path)


@asynccontextmanager
async def running(node: Node) -> AsyncIterator[None]:
    task = asyncio.ensure_future(node.service.run())
    await node.settled()
    yield
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_configured_peer_is_dialled_and_its_link_gets_tables_and_words(here: Node) -> None:
    async with running(here):
        here.configure(HOME)
        (dial,) = here.links.dials
        here.links.happens(link_up(ALICE.node_id, LINK, dial=dial.dial, certificate=ALICE.der))
        await here.settled()

    assert dial.address == HOME
    assert here.links.tables is not None
    assert list(here.links.tables.routes) == [ALICE.addresses.v4]
    assert [messages.decode(each) for each in here.links.sent[LINK]] == [Observed("192.0.2.9", 443)]
    neighbour = here.service.mesh.neighbours.link_to(ALICE.node_id)
    assert neighbour is not None
    assert neighbour.dialled


async def test_a_failed_dial_is_made_again_though_nothing_else_happens(here: Node) -> None:
    async with running(here):
        here.configure(HOME)
        here.links.happens(facts.DialFailed(here.links.dials[0].dial, "timeout", "no answer"))
        await here.settled()

    assert len(here.links.dials) == 2


async def test_a_name_that_did_not_resolve_is_tried_again_though_nothing_else_happens(
    here: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[OSError | list[str]] = [OSError("no such name"), [HOME]]

    async def resolve(address: str) -> list[str]:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(dialler, "resolve", resolve)
    async with running(here):
        here.configure("vm-01:443")
        await here.settled()

    assert [each.address for each in here.links.dials] == [HOME]


async def test_a_neighbour_that_breaks_the_protocol_is_closed(here: Node) -> None:
    async with running(here):
        here.links.happens(ALICE_IS_UP, facts.MessageReceived(LINK, b"\xc1"))
        await here.settled()

    assert here.links.closed == {LINK: "protocol"}


async def test_the_session_of_a_neighbours_earlier_life_is_closed(here: Node) -> None:
    again = link_up(ALICE.node_id, 2, certificate=ALICE.der, boot=b"another life....")
    async with running(here):
        here.links.happens(ALICE_IS_UP, again)
        await here.settled()

    assert here.links.sessions_closed == {ALICE.node_id: "the node restarted"}


async def test_signed_objects_are_kept_as_they_came_and_told_to_whom_they_concern(here: Node) -> None:
    async with running(here):
        here.links.happens(ALICE_IS_UP, here.heard(ROLES, CONFIG, BOB_IS_OUT))
        await here.settled()

    store = NetworkStore(here.data_dir)
    assert store.load_roles().data == ROLES.data
    assert store.load_config().data == CONFIG.data
    assert list(store.load_revocations().objects) == [BOB_IS_OUT.data]
    assert here.said[:-1] == ["trust changed", "config changed", "trust changed"]


async def test_an_object_that_is_refused_is_logged_and_not_kept(here: Node, caplog: pytest.LogCaptureFixture) -> None:
    foreign = Item(ObjectKind.ROLES, sign_roles(CA.network, Roles(2), Ca("other ca").key).data)
    async with running(here):
        here.links.happens(ALICE_IS_UP, here.heard(foreign))
        await here.settled()

    assert NetworkStore(here.data_dir).load_roles().data is None
    assert [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING] == [
        "signed object refused"
    ]


async def test_our_clock_is_compared_with_the_neighbours_hello(here: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "wall", lambda: NOW + 90.0)
    async with running(here):
        here.links.happens(ALICE_IS_UP)
        await here.settled()

        assert here.service.mesh.clock_offset() == 90.0


async def test_the_peer_table_is_written_once_for_many_changes(here: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PEERS_WRITTEN_AFTER", 0.0)
    async with running(here):
        here.links.happens(ALICE_IS_UP, link_up(BOB.node_id, 2, certificate=BOB.der))
        await here.settled()

        assert here.said == ["peers stored"]


async def test_the_peer_table_is_written_on_the_way_out(here: Node) -> None:
    async with running(here):
        here.links.happens(ALICE_IS_UP)
        await here.settled()
        assert here.said == []

    assert here.said == ["peers stored"]


async def test_neighbours_are_told_that_we_leave(here: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LAST_WORDS", 0.0)
    async with running(here):
        here.links.happens(ALICE_IS_UP)
        await here.settled()
        await here.service.leave()

    assert messages.decode(here.links.sent[LINK][-1]) == Leaving("stopped")


async def test_alone_there_is_nobody_to_take_leave_of(here: Node) -> None:
    await here.service.leave()

    assert here.links.sent == {}


async def test_a_part_of_a_race_that_only_settles_is_not_told_to_the_mesh(
    here: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(address: str) -> list[str]:
        return [HOME, "[2001:db8::1]:443"]

    monkeypatch.setattr(dialler, "resolve", resolve)
    async with running(here):
        here.configure("vm-01:443")
        await here.settled()
        here.links.happens(facts.DialFailed(here.links.dials[0].dial, "timeout", "no answer"))
        await here.settled()

    assert len(here.links.dials) == 2
