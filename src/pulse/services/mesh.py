"""The thin shell around the core: facts and time in, effects out.

Invariant: only this service touches the mesh, on one thread, so nothing in it needs a lock.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import assert_never

from pulse import clock
from pulse.core import messages
from pulse.core.bucket import Bucket
from pulse.core.effects import (
    NOTHING,
    AnswerPunch,
    AskExit,
    AskPunch,
    CloseLink,
    CloseSession,
    Dial,
    Effect,
    ExpectProbes,
    FetchConfig,
    Log,
    PolicyChanged,
    PolicyRule,
    Punching,
    SendBeacon,
    SendMessage,
    SendProbe,
    SendProbesApart,
    Store,
    StoreBoot,
    StoreChain,
    StoreConfig,
    StorePeers,
    StoreRevocation,
    StoreRoles,
    TablesChanged,
    TrustChanged,
)
from pulse.core.facts import ClockCompared, ClockRead, DialFailed, Fact, LinkUp, MessageReceived, Woke
from pulse.core.mesh import Mesh
from pulse.core.messages import ObjectKind
from pulse.core.network.netconfig import SignedConfig
from pulse.core.types import NodeId
from pulse.errors import PulseError
from pulse.net.dialler import Dialler
from pulse.net.links import Links
from pulse.store.netconfig import NetworkStore

log = logging.getLogger(__name__)

LAST_WORDS = 0.1
"""Seconds for neighbours to hear that we leave, or that they are out."""

LONGEST_LEAVE = 1.0
"""Seconds after which we go, though frames of others still come."""

LOOK = 0.05
"""Seconds without a frame to pass on after which nobody relies on us any more."""


AGAIN = 1.0
"""Seconds until the mesh is woken again where that failed."""

TOLD_RATE, TOLD_MOST = 0.1, 5.0
"""Failures a second, and at once, that are told: who can make one can make many."""


@dataclass(slots=True)
class Talk:
    """Bytes of messages on links: records, digests, certificates, and what CA and scribe signed."""

    bytes_in: int = 0
    bytes_out: int = 0


@dataclass(slots=True)
class MeshService:
    """Runs the mesh: tells it facts, wakes it when it asks, performs its effects."""

    mesh: Mesh
    links: Links
    dialler: Dialler
    store: NetworkStore
    store_boot: Callable[[int], None]
    """Keeps the boot count of this node's records."""
    store_peers: Callable[[], None]
    peers_written_after: float
    """Seconds a change of the peer table may wait for others."""
    trust_changed: Callable[[], None]
    """Tells the data plane whom to believe from now on."""
    statements_changed: Callable[[], None] = lambda: None
    """Called when other roles or another network config came into force."""
    policy_changed: Callable[[], None] = lambda: None
    """Called when the data plane was told other rules: by a config, a node that was met, or the time."""
    routes_changed: Callable[[], None] = lambda: None
    """Called when the data plane was told other routes."""
    fetch_config: Callable[[NodeId], None] = lambda _: None
    """Asks a node for its network config."""
    ask_exit: Callable[[AskExit], None] = lambda _: None
    """Asks an exit whether it is well."""
    punch: Callable[[Punching], None] = lambda _: None
    """Does what an attempt at a hole in a NAT asks for."""
    dial_refused: Callable[[str], None] = lambda _: None
    """Told why each dial failed."""
    send_beacon: Callable[[bytes], None] = lambda _: None
    """Sends a datagram to the beacons' group on every LAN."""
    prepare: Callable[[TablesChanged], TablesChanged] = lambda tables: tables
    """Makes the host ready for tables; those that it is ready for."""
    witness: Callable[[Sequence[Effect]], None] = lambda _: None
    """Sees what the core asked for, after it is done."""
    talk: Talk = field(default_factory=Talk, init=False)
    """With all neighbours, since the node started."""
    broken: int = field(default=0, init=False)
    """How often something broke the mesh that nobody foresaw."""
    _tellable: Bucket = field(default_factory=lambda: Bucket(TOLD_RATE, TOLD_MOST, 0.0), init=False)
    _ruled: SignedConfig | None = field(default=None, init=False)
    """One whose rules are known to make sense; not looked at while nothing breaks."""
    _shut: bool = field(default=False, init=False)
    """Nothing is let through, for nobody can tell what the rules of `_shut_by` are; till another config comes."""
    _shut_by: SignedConfig | None = field(default=None, init=False)
    _peers_due: float | None = field(default=None, init=False)
    _trust_due: float | None = field(default=None, init=False)
    _acted: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    """Something happened since the mesh was last asked when it wants to be woken."""

    def tell(self, fact: Fact) -> None:
        """A fact from another service. One that breaks the mesh costs what it told, not the node: others wrote it."""
        try:
            self._tell(fact)
        except Exception as error:
            self._failed(type(fact).__name__, error)
            if isinstance(fact, LinkUp):
                # Nobody knows which machines heard of it: it comes up anew, or not.
                self.links.close_link(fact.link, "failed")

    def _tell(self, fact: Fact) -> None:
        if isinstance(fact, MessageReceived):
            self.talk.bytes_in += len(fact.payload)
        translated = self.dialler.translate(fact)
        wall = clock.wall()
        if isinstance(translated, LinkUp | Woke):
            # Before both: rules with times go by it, and asleep it ran on alone.
            self._happened(ClockRead(wall))
        if isinstance(translated, LinkUp):
            self._happened(ClockCompared(translated.link, wall - translated.hello.clock))
        if isinstance(translated, DialFailed):
            self.dial_refused(translated.code)
        if translated is not None:
            self._happened(translated)

    def perform(self, effects: Iterable[Effect]) -> None:
        """Do what the core asks for."""
        done = list(effects)
        for effect in done:
            try:
                self._do(effect)
            except Exception as error:
                self._broke(type(effect).__name__, error)
        try:
            self.witness(done)
        except Exception as error:
            self._broke("witness", error)
        self._acted.set()

    def refresh(self) -> None:
        """Have the data plane, and whoever makes the host ready for it, told the tables once more."""
        self.perform([self.mesh.tables()])

    def take_in(self, kind: ObjectKind, data: bytes) -> None:
        """This node signed an object, or was given one by the CA; it is on disk. Raises ProtocolError or Refused."""
        made = self.mesh.object_made(kind, data, _now())
        self.perform(effect for effect in made if not isinstance(effect, Store))
        self.witness([effect for effect in made if isinstance(effect, Store)])
        self.statements_changed()

    async def leave(self) -> None:
        """Tell the neighbours that we go, and pass on what still comes while they look for other ways."""
        goodbye = messages.encode(messages.Leaving("stopped"))
        told = [self.links.send(neighbour.link, goodbye) for neighbour in self.mesh.neighbours.links()]
        if not any(told):
            return
        end = _now() + LONGEST_LEAVE
        await asyncio.sleep(LAST_WORDS)
        before = -1
        while (relayed := self.links.relayed()) != before and _now() < end:
            before = relayed
            await asyncio.sleep(LOOK)

    async def run(self) -> None:
        """Serve, until cancelled; the peer table is written a last time on the way out."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.dialler.run())
                tasks.create_task(self._relay_facts())
                tasks.create_task(self._relay_failures())
                tasks.create_task(self._keep_time())
        finally:
            self.store_peers()

    async def _keep_time(self) -> None:
        while True:
            self._acted.clear()
            due = self._deadline()
            if due is None or due > _now():
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(due):
                        await self._acted.wait()
                continue
            await asyncio.sleep(0 if self._look() else AGAIN)

    def _look(self) -> bool:
        """Time has passed; False if that broke the mesh, which is then asked again in a while."""
        try:
            self.perform(self.mesh.tick(_now()))
            self._write_peers()
            self._cut_off()
        except Exception as error:
            self._failed("tick", error)
            return False
        return True

    async def _relay_facts(self) -> None:
        while True:
            for fact in await self.links.wait_facts():
                self.tell(fact)

    async def _relay_failures(self) -> None:
        while True:
            for fact in await self.dialler.wait_failed():
                try:
                    self._happened(fact)
                except Exception as error:
                    self._failed(type(fact).__name__, error)

    def _failed(self, what: str, error: Exception) -> None:
        """The mesh could not take something in: some of its machines may have, others not."""
        self._broke(what, error)
        self._shut_if_unruled()

    def _broke(self, what: str, error: Exception) -> None:
        """Told whole, but for a flood of it."""
        self.broken += 1
        if self._tellable.ready_at(1, _now()) <= _now():
            self._tellable.spend(1, _now())
            log.error("the mesh failed at this", extra={"what": what, "error": repr(error)}, exc_info=error)

    def _shut_if_unruled(self) -> None:
        """Let nothing through if what broke the mesh is the config in force: its rules could not be told."""
        config = self.mesh.statements.config
        if config is self._ruled:
            return
        try:
            self.mesh.rules(_now())
        except Exception as error:
            self._broke("rules", error)
            self.perform([PolicyChanged((NOTHING,))])
        else:
            self._ruled = config

    def _happened(self, fact: Fact) -> None:
        self.perform(self.mesh.happened(fact, _now()))
        if self._shut and self.mesh.statements.config is not self._shut_by:
            # Perhaps by the very rules the mesh told last, which it would not tell again.
            self.perform([PolicyChanged(self.mesh.rules(_now()))])

    def _do(self, effect: Effect) -> None:
        match effect:
            case SendMessage() | CloseLink() | CloseSession() | TablesChanged() | PolicyChanged():
                self._move(effect)
            case Dial():
                self.dialler.dial(effect)
            case TrustChanged():
                self._change_trust()
            case StoreChain() | StoreRoles() | StoreConfig() | StoreRevocation() | StoreBoot():
                self._keep(effect)
            case FetchConfig(node):
                self.fetch_config(node)
            case AskExit():
                self.ask_exit(effect)
            case AskPunch() | AnswerPunch() | ExpectProbes() | SendProbe() | SendProbesApart():
                self.punch(effect)
            case SendBeacon(data):
                self.send_beacon(data)
            case StorePeers():
                self._peers_due = self._peers_due or _now() + self.peers_written_after
            case Log(event, level, fields):
                log.log(level, event, extra=dict(fields))
            case _:
                assert_never(effect)

    def _move(self, effect: SendMessage | CloseLink | CloseSession | TablesChanged | PolicyChanged) -> None:
        """By the data plane, at once."""
        match effect:
            case SendMessage(link, payload):
                if self.links.send(link, payload):
                    self.talk.bytes_out += len(payload)
            case CloseLink(link, reason):
                self.links.close_link(link, reason)
            case CloseSession(node, reason):
                self.links.close_session(node, reason)
            case TablesChanged():
                self._change_tables(effect)
            case PolicyChanged(rules):
                self._change_policy(rules)

    def _change_tables(self, tables: TablesChanged) -> None:
        """What others wrote is in them: if that is nonsense, it is not what ends this node."""
        try:
            self.links.replace_tables(self.prepare(tables))
        except Exception as error:
            log.error("tables not understood", extra={"error": str(error)})
        self.routes_changed()

    def _change_policy(self, rules: Sequence[PolicyRule]) -> None:
        self._shut, self._shut_by = NOTHING in rules, self.mesh.statements.config
        try:
            self.links.replace_policy(rules)
        except Exception as error:
            # Nobody can tell what was to be kept out.
            log.error("rules not understood", extra={"error": str(error)})
            self.links.replace_policy([NOTHING])
        self.policy_changed()

    def _keep(self, stored: Store) -> None:
        """Onto the disk; one that refuses costs a restart the object, which neighbours have too, and not the node."""
        try:
            self._store(stored)
        except PulseError as error:
            log.error(
                "not kept on disk",
                extra={"object": type(stored).__name__.removeprefix("Store").lower(), "error": str(error)},
            )
        if isinstance(stored, StoreRoles | StoreConfig):
            self.statements_changed()

    def _store(self, stored: Store) -> None:
        match stored:
            case StoreChain(statements):
                self.store.save_chain(statements)
            case StoreRoles(epoch, data):
                self.store.save_roles(epoch, data)
            case StoreConfig(scribe_epoch, generation, data):
                self.store.save_config(scribe_epoch, generation, data)
            case StoreRevocation(node, None):
                self.store.drop_revocation(node)
            case StoreRevocation(node, bytes(data)):
                self.store.save_revocation(node, data)
            case StoreBoot(boot):
                self.store_boot(boot)

    def _deadline(self) -> float | None:
        """The first of them; 0.0 is a time like others, and long past."""
        wanted = (self.mesh.deadline(), self._peers_due, self._trust_due)
        return min((due for due in wanted if due is not None), default=None)

    def _change_trust(self) -> None:
        """At once, unless a neighbour is out now: the revocation it is sent is its own, and needs its link."""
        revoked = self.mesh.statements.revoked()
        if not any(neighbour.node in revoked for neighbour in self.mesh.neighbours.links()):
            self.trust_changed()
        elif self._trust_due is None:
            self._trust_due = _now() + LAST_WORDS

    def _cut_off(self) -> None:
        if self._trust_due is not None and self._trust_due <= _now():
            self._trust_due = None
            self.trust_changed()

    def _write_peers(self) -> None:
        if self._peers_due is not None and self._peers_due <= _now():
            self._peers_due = None
            self.store_peers()


def _now() -> float:
    return asyncio.get_running_loop().time()
