"""Who is told which signed object: at link-up all we hold, later whatever is new, at once and to all others.

The network config may be large, so it is offered by number and hash, and fetched by whoever holds less.
Invariant: what came over a link never goes back over it, and a link between nodes that hold different
revocations is not settled before the neighbour told all of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from pulse.core.bucket import Bucket
from pulse.core.effects import DEBUG, INFO, WARNING, CloseLink, Effect, FetchConfig, Log, SendMessage, Store
from pulse.core.messages import Item, ObjectKind, Objects, encode, pack
from pulse.core.network.netconfig import Offer, read_offer
from pulse.core.network.statements import Statements, packed
from pulse.core.trust.revocation import digest_of
from pulse.core.trust.signed import Forged, compare
from pulse.core.types import SHORT_ID, LinkId, NodeId
from pulse.errors import ProtocolError, Refused

SETTLE: Final = 2.0
"""Seconds a link waits for the neighbour's revocations: one that never tells them all may be an older release."""

HEDGE: Final = 1.0
"""Seconds a node may take to answer with its config before the next one is asked too."""

FETCHES: Final = 4
"""Nodes asked in one second."""

GIVE_UP: Final = 30.0
"""Seconds after which a fetch counts as failed though nobody said so."""

RETRY_FIRST: Final = 1.0
RETRY_CAP: Final = 60.0
"""Seconds until a node that did not give what it offered is asked again, doubling."""

USELESS_BURST: Final = 2048
USELESS_PER_SECOND: Final = 50.0
"""Objects that bring nothing new a node may send, over one link or many, beside one for each revocation we hold; over
it its link is closed."""

SIGNED: Final = frozenset(
    {ObjectKind.SUCCESSION, ObjectKind.RETIREMENT, ObjectKind.ROLES, ObjectKind.REVOCATION, ObjectKind.CONFIG}
)
"""Objects of CA and scribe; others are of later releases, or not passed on."""

CHAIN_KINDS: Final = (bytes((ObjectKind.SUCCESSION,)), bytes((ObjectKind.RETIREMENT,)))

MOST_REMEMBERED: Final = 1024
"""Nodes of whose last link it is remembered how much it bored us."""


@dataclass(frozen=True, slots=True)
class LinkSettled:
    """News for the mesh: this link may carry frames from now on."""

    link: LinkId


Outcome = Effect | LinkSettled


@dataclass(slots=True)
class _Neighbour:
    node: NodeId
    settles_at: float | None
    """When we stop waiting for its revocations; None once it may carry frames."""
    patience: Bucket
    """Objects that may still bring nothing new."""
    offer: Offer | None = None
    """The config it holds, by its own word."""
    failures: int = 0
    retry_at: float = 0.0
    refused: set[int] = field(default_factory=set)
    """Kinds of objects of which one was refused, so that it is logged once."""

    def failed(self, now: float) -> None:
        """It did not give what it offered."""
        self.retry_at = now + min(RETRY_FIRST * 2**self.failures, RETRY_CAP)
        self.failures = min(self.failures + 1, 16)

    def may_bore(self, count: int, held: int, now: float) -> bool:
        """Count objects that brought nothing new; False for one too many."""
        self.patience.spend(count, now)
        return self.patience.level(now) + held >= 0


class Sharing:
    """Passes on what `statements` takes in."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements
        self._links: dict[LinkId, _Neighbour] = {}
        self._patience: dict[NodeId, Bucket] = {}
        """With each node, over all its links, also those that are gone; the oldest first."""
        self._asked: dict[NodeId, tuple[Offer, float]] = {}
        """Nodes that are to answer with their config: what they offered, and since when."""
        self._look_at: float | None = None
        """When another node can be asked for its config."""

    # Facts

    def link_opened(self, link: LinkId, node: NodeId, hello_revocations: bytes, now: float) -> list[Outcome]:
        """A neighbour is there; its hello told the hash of the revocations it holds."""
        alike = hello_revocations == digest_of(self._statements.revoked())
        self._links[link] = _Neighbour(node, None if alike else now + SETTLE, self._patience_with(node, now))
        *first, last = packed(self._statements.held()) or [Objects([])]
        told = (*first, msgspec.structs.replace(last, complete=True))
        return [SendMessage(link, encode(message)) for message in told]

    def link_closed(self, link: LinkId, now: float) -> list[Outcome]:
        """A neighbour is gone; what it offered may be had from another."""
        self._links.pop(link, None)
        return self._fetches(now)

    def objects_received(
        self, link: LinkId, items: Sequence[Item], now: float, *, complete: bool = False
    ) -> list[Outcome]:
        """A neighbour told objects; certificates and node records among them are for others to read."""
        neighbour = self._links.get(link)
        if neighbour is None:
            return []
        effects: list[Outcome] = []
        new: list[Item] = []
        useless = 0
        for item in items:
            if item.kind in (ObjectKind.CERTIFICATE, ObjectKind.RECORD):
                continue
            try:
                caused = self._taken(neighbour, item)
            except (ProtocolError, Forged) as error:
                return [*effects, *self._told(new, link), *self._shut_out(link, str(error)), *self._fetches(now)]
            effects += caused
            if any(isinstance(effect, Store) for effect in caused):
                new.append(item)
            else:
                useless += 1
        effects += self._told(new, link)
        if not neighbour.may_bore(useless, len(self._statements.revocations()), now):
            return [*effects, *self._shut_out(link, "it floods us with objects"), *self._fetches(now)]
        if complete:
            effects += self._settled(link, neighbour)
        return [*effects, *self._fetches(now)]

    def config_fetched(self, node: NodeId, data: bytes | None, now: float) -> list[Outcome]:
        """A node answered with the config it holds, or did not."""
        asked = self._asked.pop(node, None)
        theirs = [link for link, each in self._links.items() if each.node == node]
        effects: list[Outcome] = []
        try:
            effects += [] if data is None else self._statements.object_received(ObjectKind.CONFIG, data)
        except (ProtocolError, Forged) as error:
            for link in theirs:
                effects += self._shut_out(link, str(error))
        except Refused as error:
            effects.append(_refusal(node, ObjectKind.CONFIG, error))
        if any(isinstance(effect, Store) for effect in effects):
            effects += self._offered(theirs)
            for link in theirs:
                self._links[link].failures = 0
        elif asked is not None and self._is_wanted(asked[0]):
            effects += self._missed(node, now)
        return [*effects, *self._fetches(now)]

    def object_made(self, kind: ObjectKind, data: bytes, now: float) -> list[Outcome]:
        """This node signed an object, or was given one by the CA; raises ProtocolError or Refused."""
        effects: list[Outcome] = [*self._statements.object_received(kind, data)]
        if any(isinstance(effect, Store) for effect in effects):
            effects += self._told([Item(kind, data)])
        return [*effects, *self._fetches(now)]

    def chain_shown(self, statements: Sequence[bytes], now: float) -> list[Outcome]:
        """Statements about CA keys came otherwise than over a link: what is news is passed on."""
        effects: list[Outcome] = []
        for data in statements:
            if data[:1] not in CHAIN_KINDS:
                continue
            try:
                effects += self.object_made(ObjectKind(data[0]), data, now)
            except (ProtocolError, Refused) as error:
                effects.append(Log("statement about CA keys left out", WARNING, {"error": str(error)}))
        return effects

    # The machine's face

    def deadline(self) -> float | None:
        """When it next wants to be woken."""
        due = [each.settles_at for each in self._links.values() if each.settles_at is not None]
        due += [since + GIVE_UP for _, since in self._asked.values()]
        due += [] if self._look_at is None else [self._look_at]
        return min(due, default=None)

    def tick(self, now: float) -> list[Outcome]:
        """Time has passed."""
        effects: list[Outcome] = []
        for link, neighbour in self._links.items():
            if neighbour.settles_at is not None and neighbour.settles_at <= now:
                log = Log("neighbour did not tell all its revocations", INFO, {"node": neighbour.node[:SHORT_ID]})
                effects += [log, *self._settled(link, neighbour)]
        for node in [node for node, (_, since) in self._asked.items() if since + GIVE_UP <= now]:
            del self._asked[node]
            effects += self._missed(node, now)
        return [*effects, *self._fetches(now)]

    # Queries

    def is_settled(self, link: LinkId) -> bool:
        """True if the link may carry frames."""
        neighbour = self._links.get(link)
        return neighbour is not None and neighbour.settles_at is None

    # Details

    def _taken(self, neighbour: _Neighbour, item: Item) -> list[Effect]:
        """What one object causes. Raises ProtocolError or Forged."""
        if item.kind == ObjectKind.CONFIG_OFFER:
            neighbour.offer = read_offer(item.data)
            return []
        if self._statements.holds(item.kind, item.data):
            return []
        first = item.kind not in neighbour.refused
        if item.kind not in SIGNED:
            neighbour.refused.add(item.kind)
            return self._statements.object_received(item.kind, item.data) if first else []
        try:
            return self._statements.object_received(item.kind, item.data)
        except Forged:
            raise
        except Refused as error:
            neighbour.refused.add(item.kind)
            return [_refusal(neighbour.node, item.kind, error)] if first else []

    def _settled(self, link: LinkId, neighbour: _Neighbour) -> list[Outcome]:
        if neighbour.settles_at is None:
            return []
        neighbour.settles_at = None
        return [LinkSettled(link)]

    def _patience_with(self, node: NodeId, now: float) -> Bucket:
        """A new link goes on where the last one of its node stopped, so that to dial anew all day does not pay.

        What every link begins with is free, or one that flaps would be taken for a flood.
        """
        patience = self._patience.pop(node, None)
        if patience is None:
            patience = Bucket(USELESS_PER_SECOND, USELESS_BURST, now)
        else:
            patience.spend(-len(self._statements.held()), now)
        self._patience[node] = patience
        if len(self._patience) > MOST_REMEMBERED:
            del self._patience[next(iter(self._patience))]
        return patience

    def _shut_out(self, link: LinkId, why: str) -> list[Outcome]:
        neighbour = self._links.pop(link)
        log = Log("neighbour broke the protocol", WARNING, {"node": neighbour.node[:SHORT_ID], "error": why})
        return [CloseLink(link, "protocol"), log]

    def _missed(self, node: NodeId, now: float) -> list[Outcome]:
        for each in self._links.values():
            if each.node == node:
                each.failed(now)
        return [Log("network config not fetched", DEBUG, {"node": node[:SHORT_ID]})]

    # Telling others

    def _told(self, items: Sequence[Item], source: LinkId | None = None) -> list[Outcome]:
        """Pass on what is new; a config goes as an offer."""
        plain = packed([item for item in items if item.kind != ObjectKind.CONFIG])
        payloads = [encode(message) for message in plain]
        links = [link for link in self._links if link != source]
        sent: list[Outcome] = [SendMessage(link, payload) for link in links for payload in payloads]
        if any(item.kind == ObjectKind.CONFIG for item in items):
            sent += self._offered([] if source is None else [source])
        return sent

    def _offered(self, sources: Sequence[LinkId]) -> list[Outcome]:
        """Offer our config to all but the links it came by and those whose neighbours hold as good a one."""
        config = self._statements.config
        if config is None:
            return []
        payload = encode(Objects([Item(ObjectKind.CONFIG_OFFER, pack(config.offer))]))
        behind = [
            link
            for link, each in self._links.items()
            if link not in sources and (each.offer is None or compare(each.offer.rank, config.rank).takes_theirs)
        ]
        return [SendMessage(link, payload) for link in behind]

    # Fetching

    def _fetches(self, now: float) -> list[Outcome]:
        """Ask for configs that go before ours: the best first, and each number one node a second.

        Lower numbers are not left for later: whoever offers the highest may never give it.
        """
        effects: list[Outcome] = []
        waits: list[float] = []
        offers = [(each.offer, each) for each in self._links.values() if each.offer and self._is_wanted(each.offer)]
        for offer, neighbour in sorted(offers, key=lambda each: each[0].number, reverse=True):
            if neighbour.node in self._asked:
                continue
            fresh = [(asked.number, since) for asked, since in self._asked.values() if now < since + HEDGE]
            in_the_way = [since for number, since in fresh if number == offer.number or len(fresh) >= FETCHES]
            clear = max(neighbour.retry_at, *(since + HEDGE for since in in_the_way), now)
            if clear > now:
                waits.append(clear)
                continue
            self._asked[neighbour.node] = (offer, now)
            effects.append(FetchConfig(neighbour.node))
        self._look_at = min(waits, default=None)
        return effects

    def _is_wanted(self, offer: Offer) -> bool:
        """True if it goes before what we hold and could count under the roles in force."""
        held = self._statements.config
        if held is not None and not compare(held.rank, offer.rank).takes_theirs:
            return False
        roles = self._statements.roles
        is_base = roles.base is not None and offer.sha256 == roles.base[2]
        return offer.number == (0, 1) or 0 < offer.scribe_epoch == roles.scribe_epoch or is_base


def _refusal(node: NodeId, kind: int, error: Refused) -> Log:
    return Log("signed object refused", WARNING, {"node": node[:SHORT_ID], "kind": kind, "error": str(error)})
