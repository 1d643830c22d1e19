"""Counts how many flows each rule decided on: every node reports its own counts to the scribe, which sums them.

Invariant: a node reports until its counts are on the scribe's disk, and a report changes no sum twice; so neither a
restart of the scribe nor a lost answer loses or doubles what a node that still runs has counted.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random, SystemRandom

from pulse import clock
from pulse.core.messages import MethodName, pack, printable
from pulse.core.network.netconfig import SignedConfig
from pulse.core.network.ruletext import describe
from pulse.core.network.statements import Statements
from pulse.core.network.tally import (
    UNMATCHED,
    Kept,
    Report,
    Sum,
    Sums,
    Tally,
    in_force,
    read_kept,
    read_report,
    read_sums,
)
from pulse.core.trust.identity import node_from_bytes
from pulse.core.trust.members import Members
from pulse.core.types import SHORT_ID, NodeId
from pulse.errors import LinkError, PulseError, Refused
from pulse.net.links import Rpc, RuleHits
from pulse.schemas import policy as said
from pulse.store import hits as store

log = logging.getLogger(__name__)

PAUSE = 10.0
"""Seconds between two reports, of nodes that have something to report; a quarter more or less, by chance."""

LONGEST_PAUSE = 20.0
"""Seconds, doubling while the scribe is out of reach."""

AGAIN = 60.0
"""Seconds after which a report that is not on the scribe's disk yet is made again, and between two writes there."""

PATIENCE = 8.0
"""Seconds for the scribe to answer: less than the client waits."""

UNMATCHED_LINE = "deny what matched none"


@dataclass(slots=True)
class _Told:
    """What this node has told the scribe."""

    scribe: NodeId | None = None
    counts: dict[str, int] = field(default_factory=dict)
    seq: int = 0
    kept: int = 0
    """The newest report that is on its disk."""
    at: float = 0.0


@dataclass(slots=True)
class HitsService:
    """One node as it counts, and, while the roles name it, as the scribe that sums."""

    me: NodeId
    statements: Statements
    members: Members
    ca_nodes: Callable[[], frozenset[NodeId]]
    counted: Callable[[], RuleHits]
    """By this node, since it started."""
    call: Rpc
    data_dir: Path
    tally: Tally
    random: Random = field(default_factory=SystemRandom)
    _boot: bytes = field(default_factory=lambda: secrets.token_bytes(16), init=False)
    _told: _Told = field(default_factory=_Told, init=False)
    _wrote: float = field(default=0.0, init=False)

    @classmethod
    def restored(
        cls,
        me: NodeId,
        statements: Statements,
        members: Members,
        ca_nodes: Callable[[], frozenset[NodeId]],
        counted: Callable[[], RuleHits],
        call: Rpc,
        data_dir: Path,
    ) -> "HitsService":
        """With the sums of an earlier run, if this node was the scribe then."""
        tally, warning = store.load(data_dir)
        if warning:
            log.warning("sums of hits lost", extra={"error": warning})
        return cls(me, statements, members, ca_nodes, counted, call, data_dir, tally)

    async def run(self) -> None:
        """Report, and as the scribe keep the sums; until cancelled, and then the sums are kept once more."""
        pause = PAUSE
        try:
            while True:
                await asyncio.sleep(pause * self.random.uniform(0.75, 1.25))
                pause = PAUSE if await self._reported() else min(pause * 2, LONGEST_PAUSE)
                if _now() - self._wrote >= AGAIN:
                    self._write()
        finally:
            self._write()

    def changed(self) -> None:
        """Other roles or another network config may be in force."""
        config = self._config_to_sum_by()
        if config:
            self.tally.rules_changed(_ids(config))
            self.tally.nodes_revoked(self.statements.revoked())

    # Asked by other nodes

    async def report(self, caller: NodeId, body: bytes) -> bytes:
        """The RPC `hits.report`, on the scribe. Raises LinkError while this node is not the one to sum, or Refused."""
        return pack(self._take(caller, read_report(body)))

    async def summed(self, caller: NodeId, _: bytes) -> bytes:
        """The RPC `hits.get`, on the scribe, for who may edit rules. Raises the same."""
        if not self.statements.roles.may_edit(caller, self.ca_nodes()):
            raise Refused(
                f"{self.members.named(caller)} is no operator, and is told its own hits alone: pulse acl hits --here\n"
                f"Make it one, on the CA: pulse ca grant {caller[:SHORT_ID]} operator"
            )
        return pack(self._sums())

    # Asked by people

    async def hits(self, wanted: said.HitsQuery) -> said.Hits:
        """Flows by rule, of all nodes or of this one.

        Raises Refused if this node may not know of others, or LinkError if the scribe is out of reach.
        """
        config = self.statements.config_in_force()
        scribe = self.statements.roles.scribe
        if wanted.here or scribe is None or not config.config.acl:
            return self._view(config, self._own(config), self.me, here=True)
        sums = {each.rule: each for each in (await self._asked(scribe)).sums}
        return self._view(config, sums, scribe, here=False)

    # Details: what this node counted

    async def _reported(self) -> bool:
        """Report what is new, if anything is; False if the scribe did not take it."""
        scribe, config = self.statements.roles.scribe, self.statements.config
        if scribe is None or config is None or not self.statements.in_force:
            return True
        if scribe != self._told.scribe:
            self._told = _Told(scribe, seq=self._told.seq)
        told, counts = self._told, self._counts(config)
        if counts == told.counts and (told.kept >= told.seq or _now() - told.at < AGAIN):
            return True
        if counts != told.counts:
            # Under a number of its own, whether or not it arrives: no two reports of one life have the same.
            told.seq += 1
        try:
            told.kept = (await self._deliver(scribe, Report(self._boot, told.seq, counts))).seq
        except PulseError as error:
            log.debug("hits not reported", extra={"node": scribe[:SHORT_ID], "error": str(error)})
            return False
        told.counts, told.at = counts, _now()
        return True

    async def _deliver(self, scribe: NodeId, report: Report) -> Kept:
        if scribe == self.me:
            return self._take(self.me, report)
        return read_kept(await self.call(scribe, MethodName.HITS, pack(report), PATIENCE))

    def _counts(self, config: SignedConfig) -> dict[str, int]:
        counted = self.counted()
        return in_force(counted.rules, counted.unmatched, _ids(config))

    def _own(self, config: SignedConfig) -> dict[str, Sum]:
        return {rule: Sum(rule, flows, None, [], 1) for rule, flows in self._counts(config).items()}

    # Details: what all counted

    def _summing(self) -> SignedConfig:
        config = self._config_to_sum_by()
        if config is None:
            raise LinkError("this node does not sum hits: it is not the scribe, or has no network config yet")
        return config

    def _config_to_sum_by(self) -> SignedConfig | None:
        """The config whose rules are summed; None on who is not the scribe, or has not got the config yet."""
        statements = self.statements
        if statements.roles.scribe != self.me or not statements.in_force:
            return None
        return statements.config

    def _take(self, node: NodeId, report: Report) -> Kept:
        config = self._summing()
        if node in self.statements.revoked():
            raise Refused("a revoked node reports nothing")
        return self.tally.reported(node, report, _ids(config), clock.wall())

    def _sums(self) -> Sums:
        self._summing()
        return self.tally.sums()

    async def _asked(self, scribe: NodeId) -> Sums:
        if scribe == self.me:
            return self._sums()
        try:
            return read_sums(await self.call(scribe, MethodName.HITS_SUMMED, b"", PATIENCE))
        except LinkError as error:
            raise LinkError(
                f"{self.members.named(scribe)} is the scribe, who sums the hits of all nodes, and gave no answer: "
                f"{error}.\nThose of this node: pulse acl hits --here"
            ) from error

    def _write(self) -> None:
        """Keep the sums; a disk that refuses costs a warning, and nodes go on reporting what is not kept."""
        self._wrote = _now()
        if not self.tally.changed:
            return
        try:
            store.save(self.data_dir, self.tally)
        except PulseError as error:
            log.warning("sums of hits not written", extra={"error": str(error)})
            return
        self.tally.written()

    # Details: what people see

    def _view(self, config: SignedConfig, sums: Mapping[str, Sum], by: NodeId, *, here: bool) -> said.Hits:
        rows = [
            self._row(place, rule.id, describe(rule), sums.get(rule.id))
            for place, rule in enumerate(config.config.acl, 1)
        ]
        if rows:
            rows.append(self._row(0, "", UNMATCHED_LINE, sums.get(UNMATCHED)))
        return said.Hits(config.version, not config.config.acl, self.members.label_of(by), here, rows)

    def _row(self, place: int, rule: str, line: str, found: Sum | None) -> said.RuleHits:
        if found is None:
            return said.RuleHits(place, printable(rule), line, 0, None, [], 0)
        label = self.members.label_of
        nodes = [said.NodeHits(label(node_from_bytes(each.node)), each.flows) for each in found.nodes]
        return said.RuleHits(place, printable(rule), line, found.flows, found.last, nodes, found.count)


def _ids(config: SignedConfig) -> frozenset[str]:
    return frozenset(rule.id for rule in config.config.acl)


def _now() -> float:
    return asyncio.get_running_loop().time()
