"""Flows that each rule decided on, of this node and of all: counted by nodes, summed by the scribe."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pulse.core.messages import MethodName, pack, printable
from pulse.core.network.hits import UNMATCHED, Sum, Sums, in_force, read_sums, sums
from pulse.core.network.netconfig import SignedConfig
from pulse.core.network.reporter import Reporter
from pulse.core.network.ruletext import describe
from pulse.core.network.statements import Statements
from pulse.core.network.tally import Tally
from pulse.core.trust.identity import node_from_bytes
from pulse.core.trust.members import Members
from pulse.core.types import NodeId
from pulse.errors import LinkError
from pulse.net.links import CLIENT_PATIENCE, Rpc, RuleHits
from pulse.schemas import policy as said

UNMATCHED_LINE = "deny what matched none"


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
    tally: Tally
    refresh: Callable[[], None] = lambda: None
    """Brings the sums up to now, on the scribe."""
    reporter: Reporter = field(default_factory=lambda: Reporter(secrets.token_bytes(16)))

    # What is reported and summed

    def names(self) -> frozenset[str]:
        """Rules that are in force, and no rule."""
        config = self.statements.config
        return _ids(config) | {UNMATCHED} if config else frozenset()

    def counts(self) -> dict[str, int]:
        """Flows of each of them, on this node."""
        counted = self.counted()
        return in_force(counted.rules, counted.unmatched, self.names())

    def gauges(self) -> dict[str, float]:
        """None."""
        return {}

    def told(self, caller: NodeId) -> bytes:
        """The answer to `hits.get`, for who may edit rules; raises Refused."""
        so = "and is told its own hits alone: pulse acl hits --here"
        self.statements.roles.check_editor(caller, self.ca_nodes(), self.members.named(caller), so)
        return pack(sums(self.tally))

    # Asked by people

    async def hits(self, wanted: said.HitsQuery) -> said.Hits:
        """Flows by rule, of all nodes or of this one.

        Raises Refused if this node may not know of others, or LinkError if the scribe is out of reach.
        """
        config = self.statements.config_in_force()
        scribe = self.statements.roles.scribe
        if wanted.here or scribe is None or not config.config.acl:
            return self._view(config, self._own(), self.me, here=True)
        found = {each.rule: each for each in (await self._asked(scribe)).sums}
        return self._view(config, found, scribe, here=False)

    # Details

    def _own(self) -> dict[str, Sum]:
        return {rule: Sum(rule, flows, None, [], 1) for rule, flows in self.counts().items()}

    async def _asked(self, scribe: NodeId) -> Sums:
        if scribe == self.me:
            self.refresh()
            return sums(self.tally)
        try:
            return read_sums(await self.call(scribe, MethodName.HITS_SUMMED, b"", CLIENT_PATIENCE))
        except LinkError as error:
            raise LinkError(
                f"{self.members.named(scribe)} is the scribe, who sums the hits of all nodes, and gave no answer: "
                f"{error}.\nThose of this node: pulse acl hits --here"
            ) from error

    def _view(self, config: SignedConfig, found: Mapping[str, Sum], by: NodeId, *, here: bool) -> said.Hits:
        rows = [
            self._row(place, rule.id, describe(rule), found.get(rule.id))
            for place, rule in enumerate(config.config.acl, 1)
        ]
        if rows:
            rows.append(self._row(0, "", UNMATCHED_LINE, found.get(UNMATCHED)))
        return said.Hits(config.version, not config.config.acl, self.members.label_of(by), here, rows)

    def _row(self, place: int, rule: str, line: str, found: Sum | None) -> said.RuleHits:
        if found is None:
            return said.RuleHits(place, printable(rule), line, 0, None, [], 0)
        label = self.members.label_of
        nodes = [said.NodeHits(label(node_from_bytes(each.node)), each.flows) for each in found.nodes]
        return said.RuleHits(place, printable(rule), line, found.flows, found.last, nodes, found.count)


def _ids(config: SignedConfig) -> frozenset[str]:
    return frozenset(rule.id for rule in config.config.acl)
