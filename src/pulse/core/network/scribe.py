"""The scribe's pen: an edit of the network config in force gives the next config, signed.

Names are first come; a config says all tags of a node it mentions, so the first edit of a node's tags takes over
those of its certificate. Invariant: it writes only while the roles in force name this node, and no generation
twice.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from pulse.core.messages import printable
from pulse.core.network.netconfig import NODES_LIMIT, SignedConfig, named, sign_config
from pulse.core.network.statements import Statements
from pulse.core.trust.certificates import TAGS_LIMIT
from pulse.core.trust.identity import Signer, is_tag
from pulse.core.trust.members import Members, Naming
from pulse.core.types import SHORT_ID, NodeId, is_node_name
from pulse.errors import Conflict, NotFound, Refused

NAME_RULE: Final = "a name has lower case letters, digits and inner -, 63 at most, and does not read as a node id"
TAG_RULE: Final = "a tag has lower case letters, digits and inner _ . -, 63 at most"


@dataclass(frozen=True, slots=True)
class Scribe:
    """This node as the writer of network configs; whether it may write, the roles in force say."""

    me: NodeId
    signer: Signer
    statements: Statements
    members: Members
    highest: Callable[[], int]
    """The highest generation ever kept on this disk, readable or not."""

    @property
    def in_office(self) -> bool:
        """True if the roles in force name this node."""
        return self.statements.roles.scribe == self.me

    def in_hand(self) -> SignedConfig:
        """The config to edit; raises Refused, with where to go, if this node is not to write."""
        scribe = self.statements.roles.scribe
        if scribe is None:
            raise Refused(
                "this network has no scribe, and nobody else keeps names and tags.\n"
                "Start the CA with --scribe, or another machine that joined with the CA's master token"
            )
        if scribe != self.me:
            raise Refused(
                f"this node is not the scribe, and names and tags are kept there.\n"
                f"Run it on {self.members.label_of(scribe)} ({scribe[:SHORT_ID]})"
            )
        config = self.statements.config
        if config is None or not self.statements.in_force:
            raise Refused(
                "this scribe has not got the network's config yet, so it writes none.\n"
                "It comes from any neighbour: pulse status"
            )
        return config

    def renewed(self) -> SignedConfig | None:
        """The newest config under our own scribe epoch, if it is not yet: what a new scribe signs first."""
        config = self.statements.config
        if not self.in_office or config is None or not self.statements.in_force:
            return None
        if config.config.scribe_epoch == self.statements.roles.scribe_epoch:
            return None
        return self._signed(config, config.naming)

    def node_named(self, node: NodeId, name: str) -> SignedConfig:
        """The config in which `node` is called `name`; the one in force if that is so already.

        Raises Refused, or Conflict if another node has the name.
        """
        config = self.in_hand()
        if not is_node_name(name):
            raise Refused(f'"{_shown(name)}" cannot name a node: {NAME_RULE}')
        naming = self._living(config.naming)
        if naming.names.get(node) == name:
            return config
        self._check_free(node, name, naming)
        names = {**naming.names, node: name}
        if len(names) > NODES_LIMIT:
            raise Refused(f"the network config names {NODES_LIMIT} nodes already, and holds no more")
        return self._signed(config, Naming(names, naming.tags))

    def node_tagged(self, node: NodeId, tag: str) -> SignedConfig:
        """The config in which `node` wears `tag` too; the one in force if it does already. Raises Refused."""
        config = self.in_hand()
        if not is_tag(tag):
            raise Refused(f'"{_shown(tag)}" cannot be a tag: {TAG_RULE}')
        naming = self._living(config.naming)
        worn = self._worn(node, naming)
        if tag in worn:
            return config
        if len(worn) >= TAGS_LIMIT:
            raise Refused(f"{self.members.label_of(node)} has {TAGS_LIMIT} tags already, and can have no more")
        tags = {**naming.tags, node: (*worn, tag)}
        if len(tags) > NODES_LIMIT:
            raise Refused(f"the network config tags {NODES_LIMIT} nodes already, and holds no more")
        return self._signed(config, Naming(naming.names, tags))

    def node_untagged(self, node: NodeId, tag: str) -> SignedConfig:
        """The config in which `node` wears `tag` no more. Raises Refused, or NotFound if it does not now."""
        config = self.in_hand()
        naming = self._living(config.naming)
        worn = self._worn(node, naming)
        if tag not in worn:
            has = f"it has: {' '.join(worn)}" if worn else "it has none"
            raise NotFound(f'{self.members.label_of(node)} has no tag "{_shown(tag)}" ({has})')
        left = tuple(each for each in worn if each != tag)
        return self._signed(config, Naming(naming.names, {**naming.tags, node: left}))

    # Details

    def _living(self, naming: Naming) -> Naming:
        """The naming without revoked nodes: what they were called is free."""
        gone = self.statements.revoked()
        return Naming(
            {node: name for node, name in naming.names.items() if node not in gone},
            {node: tags for node, tags in naming.tags.items() if node not in gone},
        )

    def _worn(self, node: NodeId, naming: Naming) -> tuple[str, ...]:
        """Tags of a node: those its certificate brought count until the config says any."""
        certificate = self.members.get(node)
        return naming.tags.get(node, certificate.tags if certificate else ())

    def _check_free(self, node: NodeId, name: str, naming: Naming) -> None:
        holder = naming.holder(name)
        if holder is None and (bearer := self.members.bearer(name)) is not None:
            holder = bearer.node_id
        if holder not in (None, node):
            raise Conflict(
                f"{name} is the name of {holder[:SHORT_ID]} already.\n"
                f"Take another, or rename that one first: pulse name {holder[:SHORT_ID]} <other name>"
            )

    def _signed(self, config: SignedConfig, naming: Naming) -> SignedConfig:
        following = msgspec.structs.replace(
            config.config,
            scribe_epoch=self.statements.roles.scribe_epoch,
            generation=max(config.config.generation, self.highest()) + 1,
        )
        return sign_config(self.statements.network, named(following, naming), self.signer)


def _shown(text: str) -> str:
    return printable(text)[:80]
