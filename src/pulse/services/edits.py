"""Changes of the network config, typed at any node that may: made here on the scribe, sent to it elsewhere.

Invariant: an edit is answered once the config it made is in force on this node, so whoever looks next sees it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from pulse.core.messages import MethodName, pack
from pulse.core.network.edits import Edit, Edits, read_edits
from pulse.core.network.naming import NodeNamed, NodeTagged, NodeUntagged
from pulse.core.network.netconfig import SignedConfig, read_offer, spelled
from pulse.core.network.statements import Statements
from pulse.core.trust.identity import node_bytes
from pulse.core.trust.members import Members
from pulse.core.types import NodeId
from pulse.errors import LinkError
from pulse.net.links import CLIENT_PATIENCE, Rpc
from pulse.schemas.names import NameRequest, NodeNaming, TagRequest


@dataclass(slots=True)
class EditsService:
    """One node as a place to edit the network config from."""

    me: NodeId
    statements: Statements
    members: Members
    ca_nodes: Callable[[], frozenset[NodeId]]
    write: Callable[[Edits, NodeId], Awaitable[SignedConfig]]
    """Makes edits on this node, if it is the scribe; else raises Refused with where to go."""
    call: Rpc
    _changed: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def changed(self) -> None:
        """Another network config is in force."""
        self._changed.set()

    async def edit(self, edits: Edits) -> SignedConfig:
        """Make edits, all or none; the config in force with them.

        Raises Refused, NotFound, Conflict, SystemRefused for the scribe's disk, or LinkError if it cannot be reached.
        """
        roles = self.statements.roles
        if roles.scribe is None or roles.scribe == self.me or not roles.may_edit(self.me, self.ca_nodes()):
            return await self.write(edits, self.me)
        try:
            answer = await self.call(roles.scribe, MethodName.EDIT, pack(edits), CLIENT_PATIENCE)
        except LinkError as error:
            scribe = self.members.named(roles.scribe)
            raise LinkError(
                f"{scribe} is the scribe, who alone writes the network config, and gave no answer: "
                f"{error}.\nWhether it did is seen once it is back: look before you type this again"
            ) from error
        return await self._arrived(read_offer(answer).number)

    async def answer(self, caller: NodeId, body: bytes) -> bytes:
        """The RPC `config.edit`, on the scribe: an offer of the config the edits made. Raises what `edit` raises."""
        called = self.members.named(caller)
        self.statements.roles.check_editor(caller, self.ca_nodes(), called, "so the scribe takes no edits of it.")
        return pack((await self.write(read_edits(body), caller)).offer)

    # Names and tags

    async def set_name(self, wanted: NameRequest) -> NodeNaming:
        """Call a node by a name. Raises what `edit` raises."""
        node = self.members.resolve(wanted.node_id).node_id
        return await self._renamed(node, NodeNamed(node_bytes(node), wanted.name))

    async def add_tag(self, wanted: TagRequest) -> NodeNaming:
        """Give a node a tag. Raises the same."""
        node = self.members.resolve(wanted.node_id).node_id
        return await self._renamed(node, NodeTagged(node_bytes(node), wanted.tag))

    async def remove_tag(self, wanted: TagRequest) -> NodeNaming:
        """Take a tag from a node. Raises the same."""
        node = self.members.resolve(wanted.node_id).node_id
        return await self._renamed(node, NodeUntagged(node_bytes(node), wanted.tag))

    # Details

    async def _renamed(self, node: NodeId, edit: Edit) -> NodeNaming:
        signed = await self.edit(Edits([edit]))
        certificate = self.members.get(node)
        tags = self.members.tags(certificate) if certificate else ()
        return NodeNaming(node, self.members.label_of(node), list(tags), signed.version)

    async def _arrived(self, number: tuple[int, int]) -> SignedConfig:
        """The config in force here, once it is `number` or a later one. Raises LinkError if it does not come."""
        try:
            async with asyncio.timeout(CLIENT_PATIENCE):
                while (config := self.statements.config) is None or config.number < number:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            version = spelled(number)
            raise LinkError(
                f"the scribe made this change (network config {version}), but this node has not got it yet.\n"
                "It comes from any neighbour: pulse status"
            ) from None
        return config
