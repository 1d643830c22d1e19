"""Nodes that share signed objects, for tests: what was signed by whom, and what the last fact made a node do."""

from dataclasses import dataclass, field

import pytest

from pulse.core.effects import CloseLink, FetchConfig, Log, SendMessage
from pulse.core.messages import Item, ObjectKind, Objects, decode, pack
from pulse.core.network.netconfig import Config, Settings, SignedConfig, first_config, named, sign_config
from pulse.core.network.sharing import Outcome, Sharing
from pulse.core.network.statements import Statements
from pulse.core.trust.identity import public_bytes
from pulse.core.trust.members import Naming
from pulse.core.trust.revocation import Revocation, digest_of, sign_revocation
from pulse.core.trust.roles import Roles, SignedRoles, sign_roles
from pulse.core.types import LinkId, NodeId
from tests.authority import MESH, NOW, Ca, key, node

CA, FOREIGN = Ca(), Ca("other ca")
SCRIBE = node("scribe")
ALICE, BOB, CAROL = node("alice"), node("bob"), node("carol")
TO_ALICE, TO_BOB, TO_CAROL = LinkId(1), LinkId(2), LinkId(3)
FIRST = first_config(CA.network, MESH, CA.key)
ROLES = sign_roles(CA.network, Roles(1, SCRIBE, 1, scribe_key=public_bytes(key("scribe"))), CA.key)


def config(generation: int, epoch: int = 1, by: str = "scribe", name: str = "relay-01") -> SignedConfig:
    wanted = named(Config(epoch, generation, Settings(str(MESH))), Naming({ALICE: name}))
    return sign_config(CA.network, wanted, key(by))


def out(who: str, by: Ca = CA) -> Revocation:
    return sign_revocation(by.network, node(who), by.key, time=NOW)


def scribes_out(who: str, epoch: int = 1, by: str = "scribe") -> Revocation:
    return sign_revocation(CA.network, node(who), key(by), scribe_epoch=epoch, time=NOW)


def item(signed: SignedRoles | SignedConfig | Revocation) -> Item:
    return Item(signed.data[0], signed.data)


def offer(signed: SignedConfig) -> Item:
    return Item(ObjectKind.CONFIG_OFFER, pack(signed.offer))


@dataclass
class Here:
    """A node with links to alice and bob, and what the last thing made it do."""

    statements: Statements = field(default_factory=lambda: Statements(CA.chain, frozenset, lambda _: None))
    sharing: Sharing = field(init=False)
    did: list[Outcome] = field(default_factory=list)
    now: float = 100.0

    def __post_init__(self) -> None:
        self.sharing = Sharing(self.statements)

    def links(self, link: LinkId, who: NodeId, hello: bytes | None = None) -> None:
        """A link comes up; without `hello` the neighbour holds the same revocations."""
        self.did = self.sharing.link_opened(link, who, hello or digest_of(self.statements.revoked()), self.now)

    def parts(self, link: LinkId) -> None:
        self.did = self.sharing.link_closed(link, self.now)

    def hears(self, link: LinkId, *items: Item, complete: bool = False) -> None:
        self.did = self.sharing.objects_received(link, items, self.now, complete=complete)

    def fetched(self, who: NodeId, data: bytes | None) -> None:
        self.did = self.sharing.config_fetched(who, data, self.now)

    def waits(self, seconds: float) -> None:
        self.now += seconds
        self.did = self.sharing.tick(self.now)

    def told(self) -> dict[LinkId, list[Item]]:
        """What each neighbour was told."""
        said: dict[LinkId, list[Item]] = {}
        for effect in self.did:
            if isinstance(effect, SendMessage):
                message = decode(effect.payload)
                assert isinstance(message, Objects)
                said.setdefault(effect.link, []).extend(message.items)
        return said

    def asked(self) -> list[NodeId]:
        return [effect.node for effect in self.did if isinstance(effect, FetchConfig)]

    def closed(self) -> list[LinkId]:
        return [effect.link for effect in self.did if isinstance(effect, CloseLink)]

    def logged(self) -> list[str]:
        return [effect.event for effect in self.did if isinstance(effect, Log)]


@pytest.fixture
def here() -> Here:
    here = Here()
    here.links(TO_ALICE, ALICE)
    here.links(TO_BOB, BOB)
    return here


@pytest.fixture
def ruled(here: Here) -> Here:
    """The same under a scribe, with its config 5."""
    here.hears(TO_ALICE, item(ROLES))
    here.sharing.object_made(ObjectKind.CONFIG, config(5).data, here.now)
    return here
