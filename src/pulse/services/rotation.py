"""Replaces the key of the CA on this node: takes the steps that `core/trust/rotation.py` finds, each on disk first.

What a step asks for is done again at every look until nothing is left of it, so a kill -9 at any point costs nothing.
Invariant: nothing is signed with a key that is not on disk, and no key is deleted before the next is in its place.
"""

import asyncio
import logging
from collections.abc import Callable
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
from pulse.core.types import NodeId
from pulse.errors import Conflict, PulseError, Refused
from pulse.schemas.cert import AwaitedNode, CaRotation
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
        awaited = self._machine.awaited(self._standings(), clock.wall())
        return CaRotation(
            step=self._held.step.value,
            number=self.mesh.statements.chain.number,
            key=self.ca.issuer.authority.ca_hash,
            begun=self._held.begun if self._held.step is not Step.DONE else None,
            awaited=[self._told(each) for each in awaited[:MOST_NAMED]],
            more=max(0, len(awaited) - MOST_NAMED),
            following=self._following(awaited),
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
        step = self._machine.looked(self._standings(), now, clock.wall(), retired=retired)
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
        self.ca.ledger.key_step(self._machine.number, held.step.value, _EVENTS[held.step], newest, clock.wall())
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
        settle = max(LEAST_SETTLE, SPREADS * spread_of(self.mesh.me))
        self._machine = Rotation(self._held.step, number, settle=settle, now=asyncio.get_running_loop().time())

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

    def _told(self, each: Standing) -> AwaitedNode:
        name = self.mesh.members.label_of(each.node)
        return AwaitedNode(each.node, name, each.reached, each.until if each.until else None)

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

    def _refused(self) -> Refused:
        keepers = " or ".join(map(self.members.named, sorted(self.ca_nodes())))
        return Refused(f"the CA's key is replaced on the CA alone.\nRun it on {keepers or 'the CA'}")
