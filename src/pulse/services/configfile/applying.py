"""The whole network config as one file: written out, compared with what is in force, and put in its place.

Invariant: what a file says is read on the very config it is compared with, and made of that one whole or not at all.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from pulse import clock
from pulse.core.network.comparison import compared
from pulse.core.network.consequences import difference, through
from pulse.core.network.draft import Draft
from pulse.core.network.edits import Edits, edited
from pulse.core.network.netconfig import SignedConfig, spelled
from pulse.core.network.reach import Change
from pulse.core.network.ruletext import flows_text
from pulse.core.network.statements import Statements
from pulse.core.trust.members import Members
from pulse.errors import Conflict
from pulse.schemas.config import (
    ConfigChange,
    ConfigFile,
    ConfigPlan,
    ConfigWanted,
    Version,
)
from pulse.schemas.policy import PairChange
from pulse.services.configfile.reading import check_settings, edits_for
from pulse.services.configfile.writing import written


@dataclass(frozen=True, slots=True)
class ConfigFileService:
    """One node as a place to work on the whole config from; implements `pulse.api.governance.WholeFile`."""

    statements: Statements
    members: Members
    edit: Callable[[Edits], Awaitable[SignedConfig]]
    """Has edits made, here or by the scribe."""

    async def export(self) -> tuple[Version, ConfigFile]:
        """Number and content of the config in force, without revoked nodes. Raises Refused before one is."""
        config = self.statements.config_in_force()
        return config.number, written(self._draft(config), self.statements.network.label)

    async def plan(self, wanted: ConfigWanted) -> ConfigPlan:
        """What applying the file would change. Raises what an edit of it would."""
        config = self.statements.config_in_force()
        before = self._draft(config)
        after = edited(before, self._edits(before, config, wanted), clock.wall())
        return self._told(before, after, config.version, applied=False)

    async def apply(self, wanted: ConfigWanted, base: Version | None) -> ConfigPlan:
        """Put the file in place of the config in force, all of it or nothing; `base` is the config that was planned on.

        Raises Conflict if another one is in force, and what an edit raises.
        """
        config = self.statements.config_in_force()
        if base is not None and base != config.number:
            raise Conflict(
                f"the network config is {config.version} by now, and this was planned on {spelled(base)}: "
                "nothing is changed.\nPlan again: pulse config plan"
            )
        before = self._draft(config)
        edits = self._edits(before, config, wanted)
        after = edited(before, edits, clock.wall())
        if after == before:
            return self._told(before, after, config.version, applied=False)
        signed = await self.edit(edits)
        return self._told(before, after, signed.version, applied=True)

    # Details

    def _draft(self, config: SignedConfig) -> Draft:
        return Draft.of(config, self.members, self.statements.revoked())

    def _edits(self, before: Draft, config: SignedConfig, wanted: ConfigWanted) -> Edits:
        typed = wanted.through
        connection = through(self.members, typed.client, typed.server, typed.port) if typed else None
        check_settings(wanted.file.settings, before, self.statements.network.label)
        return Edits(edits_for(wanted.file, before, ahead=wanted.ahead), config.number, wanted.force, connection)

    def _told(self, before: Draft, after: Draft, version: str, *, applied: bool) -> ConfigPlan:
        found = difference(before, after, clock.wall())
        return ConfigPlan(
            version=version,
            applied=applied,
            changes=[
                ConfigChange(each.section, each.change.value, each.line, each.was) for each in compared(before, after)
            ],
            opens=bool(before.config.acl) and not after.config.acl,
            gained=[self._pair(each, found.named) for each in found.gained],
            lost=[self._pair(each, found.named) for each in found.lost],
            gained_pairs=found.gained_pairs,
            lost_pairs=found.lost_pairs,
            whole=found.whole,
        )

    def _pair(self, change: Change, named: Sequence[int]) -> PairChange:
        label = self.members.label_of
        return PairChange(label(change.source.node), label(change.destination.node), flows_text(change.flows, named))
