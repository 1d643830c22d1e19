"""Replaces the key of the CA on this node: takes the steps that `core/trust/rotation.py` finds, each on disk first.

What a step asks for is done again at every look until nothing is left of it, so a kill -9 at any point costs nothing.
Invariant: nothing is signed with a key that is not on disk, and no key is deleted before the next is in its place.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from pulse import clock
from pulse.core.facts import ChainShown, Fact
from pulse.core.mesh import Mesh
from pulse.core.trust.authorities import chain_of
from pulse.core.trust.certificates import Certificate, as_utc, verify
from pulse.core.trust.members import Members
from pulse.core.trust.renewal import spread_of
from pulse.core.trust.rotation import Rotation, Standing, Step
from pulse.core.types import LEAST_PREFIX, SHORT_ID, NodeId
from pulse.errors import Conflict, NotFound, PulseError, Refused
from pulse.schemas.cert import AwaitedNode, CaRotation, RotationWithout
from pulse.store import authority, succession
from pulse.store import rotation as store
from pulse.store.authority import HeldCa
from pulse.store.succession import Succession

log = logging.getLogger(__name__)

LOOK: Final = 1.0
"""Seconds between looks while a key is replaced."""

LEAST_SETTLE: Final = 3.0
SPREADS: Final = 3.0
"""How long links and sessions take to show the new certificates: at least, and times over which links are spread."""

MOST_NAMED: Final = 64
"""Nodes named of those waited for."""

_MOST_BLAMED: Final = 3
"""Nodes named in the line that says who does not follow."""

_EVENTS: Final = {
    Step.INTRODUCING: "CA key made",
    Step.RENEWING: "CA signs with its next key",
    Step.RETIRING: "CA key of before retired",
}


class Signs(Protocol):
    """Whoever has signed with the CA's key what is still to count."""

    def resign(self) -> None: ...


@dataclass(slots=True)
class RotationService:
    """The CA's keys, on its node."""

    data_dir: Path
    mesh: Mesh
    ca: HeldCa
    tell: Callable[[Fact], None]
    signers: tuple[Signs, ...]
    """Have what they signed signed by the key of now."""
    check: Callable[[], None]
    """Raises Refused while the CA may sign nothing."""
    _machine: Rotation = field(init=False)
    _held: Succession = field(init=False)
    _begun: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _numbers: dict[int, int] = field(default_factory=dict, init=False)
    """By the serial of a certificate, the place in the chain of the key that signed it."""

    problem: str = field(default="", init=False)
    """Who keeps the key from being replaced though it was reached for hours, in two lines; empty if nobody does."""
    _blamed: frozenset[NodeId] = field(default=frozenset(), init=False)
    """Said once each in the log."""
    _is_forked: bool = field(default=False, init=False)
    """Said once in the log."""

    def __post_init__(self) -> None:
        self._begin()

    async def run(self) -> None:
        """Go on with what was begun, until cancelled; what keeps it is logged once, until something else does."""
        kept = ""
        while True:
            if self._held.step is Step.DONE:
                self._begun.clear()
                await self._begun.wait()
            try:
                self.look(asyncio.get_running_loop().time())
                kept = ""
            except PulseError as error:
                if str(error) != kept:
                    log.warning("the CA's key is not replaced yet", extra={"error": str(error)})
                kept = str(error)
            await asyncio.sleep(LOOK)

    # What a person asks

    async def status(self) -> CaRotation:
        """Where the replacement stands, and who keeps it from the next step."""
        standings, wall = self._standings(), clock.wall()
        awaited = self._machine.awaited(standings, wall)
        overdue = {each.node for each in self._machine.overdue(standings, wall)}
        return CaRotation(
            step=self._held.step.value,
            number=self.mesh.statements.chain.number,
            key=self.ca.issuer.authority.ca_hash,
            begun=self._held.begun if self._held.step is not Step.DONE else None,
            awaited=[self._told(each, overdue) for each in awaited[:MOST_NAMED]],
            more=max(0, len(awaited) - MOST_NAMED),
            following=self._following(awaited),
            without=tuple(self._told(each) for each in standings if each.node in self._machine.without),
        )

    async def rotate(self) -> CaRotation:
        """Begin to replace the CA's key. Raises Conflict while one is being replaced, Refused, or SystemRefused."""
        self.check()
        if self._held.step is not Step.DONE:
            raise Conflict(
                f"the CA's key is being replaced already, since {as_utc(self._held.begun)}.\n"
                "See how far it is: pulse ca rotate --status"
            )
        self.check_current()
        store.begin(self.data_dir, self.ca.issuer, clock.wall())
        self._reopen()
        self._begin()
        # First of all: whatever refuses now is tried again.
        self._begun.set()
        self.look(asyncio.get_running_loop().time())
        return await self.status()

    async def go_on_without(self, wanted: RotationWithout) -> CaRotation:
        """Wait for some nodes no longer; what they have under the old key counts no more once that is retired.

        Raises Conflict, NotFound, Refused, or SystemRefused; then nothing is so of any of them.
        """
        if self._held.step is Step.DONE:
            raise Conflict(
                "the CA's key is not being replaced, so it waits for nobody.\nTo replace it: pulse ca rotate"
            )
        self.check()
        self.check_current()
        nodes = [self._given_up(each) for each in wanted.nodes]
        store.go_on_without(self.data_dir, nodes)
        self._held = succession.read(self.data_dir / authority.DIRECTORY)
        self._machine.without = frozenset(self._held.without)
        self.look(asyncio.get_running_loop().time())
        return await self.status()

    def check_current(self) -> None:
        """Raise Refused if the network's keys are later ones than this CA has, or others."""
        chain, issuer = self.mesh.statements.chain, self.ca.issuer
        ours = chain_of(issuer.network, issuer.authorities, issuer.successions).hashes
        if any(here != there for here, there in zip(ours, chain.hashes, strict=False)):
            if not self._is_forked:
                log.error("CA key is not the network's", extra={"ours": ours[-1], "theirs": chain.hashes[-1]})
            self._is_forked = True
            raise Refused(
                "this CA's key was replaced twice: the network has another next key than is here, so nothing this CA "
                "signs counts.\nPut back the backup with the network's key: pulse ca restore <file> --force. "
                "If nobody here replaced it, the key was stolen: make a new network"
            )
        if chain.number > self._machine.number:
            raise Refused(
                "the network's CA key was replaced since the backup that this CA came from, and the new one is not "
                "here, so nothing it signs counts.\nPut back a newer backup: pulse ca restore <file> --force"
            )

    # Steps

    def restore(self) -> None:
        """At start: what this CA's disk says of its keys is told, whether or not the mesh's part of the disk has it."""
        if self._held.statements:
            self.tell(ChainShown(self._held.statements))

    def look(self, now: float) -> None:
        """Do what the step asks for, and take the next one if it is time. Raises PulseError if something refuses."""
        if self._held.step is Step.DONE:
            return
        self.check()
        self.check_current()
        self._do()
        retired = self.mesh.statements.chain.retirement is not None
        standings, wall = self._standings(), clock.wall()
        step = self._machine.looked(standings, now, wall, retired=retired)
        self._blame(self._machine.overdue(standings, wall))
        if step is not self._held.step:
            self._take(step)
            self._do()

    def _take(self, step: Step) -> None:
        """On disk first."""
        if step is Step.RENEWING:
            store.sign_with_next_key(self.data_dir)
        else:
            store.retire_key(self.data_dir)
        self._held = succession.read(self.data_dir / authority.DIRECTORY)
        self._reopen()
        log.info("CA key replaced one step further", extra={"step": step.value})

    def _do(self) -> None:
        held = self._held
        newest = self.mesh.statements.chain.hashes[-1] if self._is_known() else self.ca.issuer.authority.ca_hash
        self.tell(ChainShown(held.statements))
        number, note, wall = self._machine.number, self.ca.ledger.key_step, clock.wall()
        note(number, held.step.value, _EVENTS[held.step], {"key": newest}, wall)
        for node in held.without:
            note(number, f"without.{node}", "CA key goes on without a node", {"node": node}, wall)
        if held.step is not Step.INTRODUCING:
            for each in self.signers:
                each.resign()
        if held.step is Step.RETIRING:
            store.finish(self.data_dir)
            self._begin()
            self._reopen()

    def _reopen(self) -> None:
        """Another key signs from now on, for all who hold it with us."""
        self.ca.issuer = authority.open_issuer(self.data_dir, self.ca.issuer.life)

    def _is_known(self) -> bool:
        return self.mesh.statements.chain.number == self._machine.number

    def _begin(self) -> None:
        self._numbers.clear()
        self._held = succession.read(self.data_dir / authority.DIRECTORY)
        number = self._held.number
        settle, now = max(LEAST_SETTLE, SPREADS * spread_of(self.mesh.me)), asyncio.get_running_loop().time()
        self._machine = Rotation(self._held.step, number, settle=settle, now=now, without=self._held.without)
        self._blame(())

    # Who stands where

    def _standings(self) -> list[Standing]:
        if self._held.step is Step.DONE:
            return []
        until: dict[NodeId, float] = {}
        for each in self.ca.ledger.unexpired(clock.wall()):
            if self._number(each) < self._machine.number:
                until[each.node_id] = max(until.get(each.node_id, 0.0), each.not_after)
        known = {each.node_id for each in self.mesh.members.all()}
        return [self._standing(node, until.get(node, 0.0)) for node in sorted(known | until.keys())]

    def _standing(self, node: NodeId, until: float) -> Standing:
        mesh = self.mesh
        certificate, record = mesh.members.get(node), mesh.gossip.record(node)
        is_me = node == mesh.me.node_id
        return Standing(
            node,
            reached=is_me or mesh.routing.path_to(node) is not None,
            chain=mesh.statements.chain.number if is_me else record.chain if record else 0,
            number=self._number(certificate) if certificate else -1,
            until=until,
        )

    def _given_up(self, text: str) -> NodeId:
        """The one node that `text` names, be it one that has a certificate and never came."""
        wanted = text.strip().lower()
        try:
            node = self.mesh.members.resolve(wanted).node_id
        except NotFound:
            unmet = [each.node for each in self._standings() if each.node.startswith(wanted)]
            if len(wanted) < LEAST_PREFIX or len(unmet) != 1:
                raise
            node = unmet[0]
        if node == self.mesh.me.node_id:
            raise Refused(
                f"{self.mesh.members.named(node)} is the CA itself, without which its key is not replaced.\n"
                "It follows by itself. See who else is waited for: pulse ca rotate --status"
            )
        return node

    def _blame(self, nodes: Sequence[Standing]) -> None:
        """These were reached for hours and do not follow."""
        self.problem = self._in_words([each.node for each in nodes]) if nodes else ""
        for each in nodes:
            if each.node not in self._blamed:
                log.warning("node keeps the CA's key from being replaced", extra={"node": each.node[:SHORT_ID]})
        self._blamed = frozenset(each.node for each in nodes)

    def _number(self, certificate: Certificate) -> int:
        found = self._numbers.get(certificate.serial)
        if found is None:
            try:
                found = verify(certificate, self.mesh.statements.authorities, None).number
            except Refused:
                return -1
            self._numbers[certificate.serial] = found
        return found

    # In words

    def _told(self, each: Standing, overdue: Collection[NodeId] = ()) -> AwaitedNode:
        name, until = self.mesh.members.label_of(each.node), each.until if each.until else None
        return AwaitedNode(each.node, name, each.reached, until, overdue=each.node in overdue)

    def _in_words(self, nodes: Sequence[NodeId]) -> str:
        names = [self.mesh.members.label_of(each) for each in nodes]
        who = ", ".join(names[:_MOST_BLAMED]) + (f" and {more} more" if (more := len(names) - _MOST_BLAMED) > 0 else "")
        lacks = "told that it knows the new key" if self._held.step is Step.INTRODUCING else "renewed under the new key"
        return (
            f"the CA's key is not replaced further: {who} was reached for hours and has not {lacks}\n"
            f"start it again there; to go on without it: pulse ca rotate --without {names[0]}"
        )

    def _following(self, awaited: list[Standing]) -> str:
        match self._held.step:
            case Step.INTRODUCING if awaited:
                return "once every node that is reached believes the new key, the CA signs with it"
            case Step.INTRODUCING:
                return "in a moment the CA signs with the new key"
            case Step.RENEWING if awaited:
                return "once no node has a certificate under the old key any more, it is retired and deleted"
            case Step.RENEWING:
                return "once all links show the new certificates, the old key is retired and deleted"
            case Step.RETIRING:
                return "the old key is being deleted"
            case Step.DONE:
                return "nothing: pulse ca rotate begins to replace the CA's key"


@dataclass(frozen=True, slots=True)
class RotationElsewhere:
    """On a node that is not the CA: it only says who is."""

    members: Members
    ca_nodes: Callable[[], frozenset[NodeId]]

    async def status(self) -> CaRotation:
        """Raises Refused."""
        raise self._refused()

    async def rotate(self) -> CaRotation:
        """Raises Refused."""
        raise self._refused()

    async def go_on_without(self, _: RotationWithout) -> CaRotation:
        """Raises Refused."""
        raise self._refused()

    def _refused(self) -> Refused:
        keepers = " or ".join(map(self.members.named, sorted(self.ca_nodes())))
        return Refused(f"the CA's key is replaced on the CA alone.\nRun it on {keepers or 'the CA'}")
