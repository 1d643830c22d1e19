"""One change for many nodes at once: those a pattern of rules fits get a tag, lose it, or are shut out.

Invariant: tags change together in one edit or not at all; nodes are revoked one after the other, those that can be.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from pulse.core.messages import printable
from pulse.core.network.draft import Draft
from pulse.core.network.edits import Edit, Edits
from pulse.core.network.naming import NodeTagged, NodeUntagged
from pulse.core.network.netconfig import SignedConfig
from pulse.core.network.patterns import Wearing
from pulse.core.network.statements import Statements
from pulse.core.network.words import Words
from pulse.core.trust.identity import node_bytes
from pulse.core.trust.members import Members
from pulse.core.types import NodeId
from pulse.errors import NotFound, PulseError, Refused
from pulse.schemas.bulk import BulkDone, BulkNode, BulkRequest
from pulse.schemas.revoke import Revoked, RevokeRequest


@dataclass(frozen=True, slots=True)
class BulkService:
    """One node as a place to change many from."""

    me: NodeId
    statements: Statements
    members: Members
    edit: Callable[[Edits], Awaitable[SignedConfig]]
    revoke: Callable[[RevokeRequest], Awaitable[Revoked]]

    async def change(self, wanted: BulkRequest) -> BulkDone:
        """Do it, or only say to whom. Raises Refused, NotFound, Conflict, LinkError, or SystemRefused for a disk."""
        if (wanted.action == "revoke") == bool(wanted.tag):
            raise Refused("say the tag to give or take" if not wanted.tag else "revoking takes no tag")
        draft = self._draft()
        nodes = self._concerned(draft, wanted)
        if not nodes:
            raise NotFound(f'nobody that "{printable(wanted.pattern)}" fits has anything to change')
        problems = {} if wanted.dry_run else await self._done(nodes, wanted)
        shown = [self._shown(node) for node in nodes if node not in problems]
        return BulkDone(shown, done=not wanted.dry_run, problems=problems)

    # Details

    def _draft(self) -> Draft:
        config = self.statements.config_in_force()
        return Draft.of(config, self.members, self.statements.revoked())

    def _concerned(self, draft: Draft, wanted: BulkRequest) -> list[NodeId]:
        """Those the pattern fits for whom something would change; never this node and the CA, if it is to revoke."""
        words = Words(draft)
        patterns = words.read([wanted.pattern])
        fits = Wearing.of(draft.roll.subjects, draft.config.groups).handles(patterns, allow=True)
        found = [each for each in draft.roll.subjects if fits is None or each.handle in fits]
        if wanted.action == "revoke":
            spared = {
                self.me,
                self.statements.roles.scribe,
                *(each.node_id for each in self.members.all() if each.is_ca),
            }
            return [each.node for each in found if each.node not in spared]
        return [each.node for each in found if (wanted.tag in each.tags) is (wanted.action == "untag")]

    async def _done(self, nodes: Sequence[NodeId], wanted: BulkRequest) -> dict[str, str]:
        """Why it was not done, by the nodes it was not done to."""
        if wanted.action == "revoke":
            return {node: why for node in nodes if (why := await self._problem(node))}
        kind: type[NodeTagged | NodeUntagged] = NodeTagged if wanted.action == "tag" else NodeUntagged
        edits: list[Edit] = [kind(node_bytes(node), wanted.tag) for node in nodes]
        await self.edit(Edits(edits))
        return {}

    async def _problem(self, node: NodeId) -> str:
        """Why a node could not be revoked; empty if it is."""
        try:
            await self.revoke(RevokeRequest(node))
        except PulseError as error:
            return str(error)
        return ""

    def _shown(self, node: NodeId) -> BulkNode:
        certificate = self.members.get(node)
        return BulkNode(node, self.members.label_of(node), list(self.members.tags(certificate)) if certificate else [])
