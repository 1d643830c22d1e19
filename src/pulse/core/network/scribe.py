"""The scribe's pen: edits of the network config in force give the next config, signed.

Invariant: it writes only while the roles in force name this node, and no generation twice.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from pulse.core.network.draft import Draft
from pulse.core.network.edits import Edits, check_base, edited
from pulse.core.network.netconfig import SignedConfig, sign_config
from pulse.core.network.statements import Statements
from pulse.core.trust.identity import Signer
from pulse.core.trust.members import Members
from pulse.core.types import SHORT_ID, NodeId
from pulse.errors import Refused


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

    @property
    def able(self) -> bool:
        """True if it may write, and holds the config to go on from."""
        return self.in_office and self._config() is not None

    def in_hand(self) -> SignedConfig:
        """The config to edit; raises Refused, with where to go, if this node is not to write."""
        scribe = self.statements.roles.scribe
        if scribe is None:
            raise Refused(
                "this network has no scribe, and nobody else keeps names, tags and rules.\n"
                "Start the CA with --scribe, or make a node the scribe there: pulse ca grant <node> scribe"
            )
        if scribe != self.me:
            raise Refused(
                f"this node is neither the scribe, who keeps names, tags and rules, nor an operator.\n"
                f"Run it on {self.members.named(scribe)}, or make this node an operator, "
                f"on the CA: pulse ca grant {self.me[:SHORT_ID]} operator"
            )
        config = self._config()
        if config is None:
            raise Refused(
                "this scribe has not got the network's config yet, so it writes none.\n"
                "It comes from any neighbour: pulse status. If none has it any more, on the CA: "
                f"pulse ca grant {self.me[:SHORT_ID]} scribe --force"
            )
        return config

    def renewed(self) -> SignedConfig | None:
        """The newest config under our own scribe epoch, if it is not yet: what a new scribe signs first."""
        config = self._config()
        if not self.in_office or config is None:
            return None
        if config.config.scribe_epoch == self.statements.roles.scribe_epoch:
            return None
        return self._signed(config, Draft(config.config, config.naming, self.members))

    def edited(self, edits: Edits, wall: float) -> SignedConfig:
        """The config in which all of `edits` are made; the one in force if that is so already.

        Raises Refused, NotFound, or Conflict, also if the config in force is not the one they were made for.
        """
        config = self.in_hand()
        check_base(edits, config)
        draft = Draft.of(config, self.members, self.statements.revoked())
        after = edited(draft, edits, wall)
        return config if after == draft else self._signed(config, after)

    # Details

    def _config(self) -> SignedConfig | None:
        """The config to go on from, once it is here: nothing that the scribe before us acknowledged is lost."""
        config, roles = self.statements.config, self.statements.roles
        if config is None or not self.statements.in_force:
            return None
        # A later one came before the roles did, when the scribe before us was still the one to sign it.
        return config if roles.base is None or config.number >= roles.base[:2] else None

    def _signed(self, config: SignedConfig, draft: Draft) -> SignedConfig:
        following = msgspec.structs.replace(
            draft.finished(),
            scribe_epoch=self.statements.roles.scribe_epoch,
            generation=max(config.config.generation, self.highest()) + 1,
        )
        return sign_config(self.statements.network, following, self.signer)
