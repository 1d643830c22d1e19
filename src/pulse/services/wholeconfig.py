"""Tells the network config in force in its own form, and replaces names and tags in it.

The rest goes by single edits, or all of it by the file (`services/configfile/`).
Invariant: what was asked for is made on the very config it was made for, or nothing is.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec

from pulse.core.messages import printable
from pulse.core.network.draft import Draft
from pulse.core.network.edits import Edits
from pulse.core.network.naming import NamingReplaced
from pulse.core.network.netconfig import NODES_LIMIT, SignedConfig
from pulse.core.network.plainconfig import plain
from pulse.core.network.statements import Statements
from pulse.core.trust.certificates import TAGS_LIMIT
from pulse.core.trust.identity import node_bytes
from pulse.core.trust.members import Members
from pulse.core.types import NodeId, ShortText
from pulse.errors import ConfigError, Refused
from pulse.schemas.node import Status
from pulse.schemas.scribe import MeshState, NodeMeta
from pulse.schemas.stats import Traffic

NUMBERS: Final = frozenset({"scribe_epoch", "generation"})
"""What every config has of its own; an edit may say them, and they decide nothing."""

Number = tuple[int, int]

_Id = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
_Worn = Annotated[list[ShortText], msgspec.Meta(max_length=TAGS_LIMIT)]


class _Naming(msgspec.Struct, frozen=True):
    names: Annotated[dict[_Id, ShortText], msgspec.Meta(max_length=NODES_LIMIT)]
    tags: Annotated[dict[_Id, _Worn], msgspec.Meta(max_length=NODES_LIMIT)]


@dataclass(frozen=True, slots=True)
class WholeConfigService:
    """The network config of one node."""

    statements: Statements
    members: Members
    edit: Callable[[Edits], Awaitable[SignedConfig]]

    async def get(self) -> tuple[Number, dict[str, Any]]:
        """Number and content of the config in force, without revoked nodes. Raises Refused before one came."""
        config = self.statements.config_in_force()
        return config.number, plain(Draft.of(config, self.members, self.statements.revoked()).finished())

    async def put(self, wanted: dict[str, Any], base: Number | None) -> tuple[Number, dict[str, Any]]:
        """Put names and tags in place of those in force; `base` is the config that was looked at.

        Raises ConfigError for what is no config, Conflict if another one is in force, and what an edit raises.
        """
        number, ours = await self.get()
        naming = _naming(ours | wanted)
        for name, value in wanted.items():
            if name not in ours:
                raise ConfigError(f"a network config has no {printable(name)[:80]!r}. It has: {', '.join(ours)}")
            if name not in ("names", "tags", *NUMBERS) and value != ours[name]:
                raise Refused(
                    f"{name} is not replaced as a whole: leave it as it is, or put a whole file (/api/config/file)"
                )
        edit = NamingReplaced(
            {node_bytes(NodeId(node)): name for node, name in naming.names.items()},
            {node_bytes(NodeId(node)): worn for node, worn in naming.tags.items()},
        )
        await self.edit(Edits([edit], number if base is None else base))
        return await self.get()

    def state(self, status: Status, stats: dict[str, Traffic]) -> MeshState:
        """The status of this node, what CA and scribe have said, and the traffic that is known here."""
        statements = self.statements
        config = statements.config
        naming, told = statements.naming(), plain(config.config) if config else {}
        named = sorted({*naming.names, *naming.tags} - statements.revoked())
        return MeshState(
            **{name: getattr(status, name) for name in status.__struct_fields__},
            stats=stats,
            revoked_ids=sorted(statements.revoked()),
            node_meta={node: NodeMeta(naming.names.get(node, ""), list(naming.tags.get(node, ()))) for node in named},
            acl_rules=told.get("acl", []),
            scribe_id=statements.roles.scribe or "",
            network_id=status.node.network,
            mesh_cidr=str(statements.mesh_cidr() or ""),
        )


def _naming(wanted: dict[str, Any]) -> _Naming:
    try:
        return msgspec.convert({"names": wanted["names"], "tags": wanted["tags"]}, _Naming)
    except msgspec.ValidationError as error:
        raise ConfigError(f"the network config does not fit: {error}") from error
