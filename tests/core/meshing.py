"""One node of a mesh as tests talk to it: what happens to it, and what it does about it."""

from dataclasses import dataclass, field
from typing import TypeVar

from pulse.core import facts, messages
from pulse.core.effects import (
    WARNING,
    Effect,
    Log,
    SendMessage,
    TablesChanged,
)
from pulse.core.facts import Fact
from pulse.core.mesh import Mesh
from pulse.core.messages import Item, ObjectKind, Objects
from pulse.core.network.netconfig import Config, Settings, first_config, sign_config
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.revocation import sign_revocation
from pulse.core.trust.roles import Roles, sign_roles
from pulse.core.types import LinkId
from tests.authority import MESH, NOW, Ca, key
from tests.mint import link_up, member, mesh

CA, FOREIGN = Ca(), Ca("other ca")
ME, ALICE, BOB, SCRIBE = (member(CA, name, place) for place, name in enumerate(("me", "alice", "bob", "scribe"), 1))
CA_NODE = member(CA, "ca node", 9, is_ca=True)
HOME = "192.0.2.1:443"

FIRST = Item(ObjectKind.CONFIG, first_config(CA.network, MESH, CA.key).data)
ROLES = Item(ObjectKind.ROLES, sign_roles(CA.network, Roles(1, SCRIBE.node_id, 1), CA.key).data)
SCRIBES_CONFIG = Item(ObjectKind.CONFIG, sign_config(CA.network, Config(1, 1, Settings(str(MESH))), key("scribe")).data)

NAMES = {each.node_id: name for each, name in ((ME, "me"), (ALICE, "alice"), (BOB, "bob"), (SCRIBE, "scribe"))}

_E = TypeVar("_E", bound=Effect)


def revocation(who: Certificate, by: Ca = CA) -> Item:
    return Item(ObjectKind.REVOCATION, sign_revocation(by.network, who.node_id, by.key, time=NOW).data)


def scribes_revocation(who: Certificate) -> Item:
    signed = sign_revocation(CA.network, who.node_id, key("scribe"), scribe_epoch=1, time=NOW)
    return Item(ObjectKind.REVOCATION, signed.data)


@dataclass
class Node:
    """One node and the effects of the last thing that happened to it."""

    mesh: Mesh = field(default_factory=lambda: mesh(CA, ME))
    now: float = 1000.0
    links: int = 0
    effects: list[Effect] = field(default_factory=list)

    def happened(self, fact: Fact) -> None:
        self.effects = self.mesh.happened(fact, self.now)

    def linked(self, who: Certificate, *, dial: int = 0, observed: str = HOME) -> LinkId:
        self.links += 1
        self.happened(link_up(who.node_id, self.links, dial=dial, observed=observed, certificate=who.der))
        return LinkId(self.links)

    def parted(self, who: Certificate, link: LinkId) -> None:
        self.happened(facts.LinkDown(link, who.node_id, "idle"))

    def heard(self, link: LinkId, message: messages.Message | bytes) -> None:
        payload = message if isinstance(message, bytes) else messages.encode(message)
        self.happened(facts.MessageReceived(link, payload))

    def told(self, *items: Item) -> None:
        """A neighbour shows objects."""
        link = self.linked(ALICE, observed="198.51.100.9:443")
        self.heard(link, Objects(list(items)))

    def did(self, kind: type[_E]) -> list[_E]:
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def tables(self) -> TablesChanged:
        """The last ones of several: each is whole."""
        return self.did(TablesChanged)[-1]

    def said(self) -> list[tuple[LinkId, messages.Message | messages.Unknown]]:
        return [(each.link, messages.decode(each.payload)) for each in self.did(SendMessage)]

    def until(self, kind: type[Effect]) -> None:
        """Time passes, from deadline to deadline, until something of that kind is done."""
        while not self.did(kind):
            deadline = self.mesh.deadline()
            assert deadline is not None
            self.now = max(self.now, deadline)
            self.effects = self.mesh.tick(self.now)

    def passed(self, seconds: float) -> None:
        self.now += seconds
        self.effects = self.mesh.tick(self.now)

    def events(self) -> list[str]:
        return [log.event for log in self.did(Log)]

    def warnings(self) -> list[str]:
        return [log.event for log in self.did(Log) if log.level >= WARNING]
