"""What people change in the network config, as values that travel to the scribe.

A list of edits is made whole or not at all, and only on the config its maker looked at, where it says which.
Invariant: making an edit is pure, so whoever would make it can look first at what comes of it.
"""

from typing import Annotated, Final

import msgspec

from pulse.core.messages import RPC_LIMIT, U53, Wire, unpack
from pulse.core.network import naming, replacing, ruling, sections
from pulse.core.network.consequences import Through, check_assertions, check_through
from pulse.core.network.draft import Draft
from pulse.core.network.naming import NamingEdit
from pulse.core.network.netconfig import SignedConfig, spelled
from pulse.core.network.replacing import RulingReplaced
from pulse.core.network.ruling import RulingEdit
from pulse.core.network.sections import SectionEdit
from pulse.errors import Conflict

EDITS_LIMIT: Final = 4096
"""Edits made together: one for each node a config can name."""

Edit = NamingEdit | RulingEdit | RulingReplaced | SectionEdit
"""One change; each kind has its home in the module of its feature."""


class Edits(Wire, frozen=True):
    """Changes that are made together; later releases append fields."""

    edits: Annotated[list[Edit], msgspec.Meta(max_length=EDITS_LIMIT)]
    base: tuple[U53, U53] | None = None
    """(scribe epoch, generation) of the config they were made for; None for whichever is in force."""
    force: bool = False
    """Even if it shuts out whoever asks."""
    through: Through | None = None
    """The connection they are typed through, if that is known."""


_edits = msgspec.msgpack.Decoder(Edits)


def read_edits(data: bytes) -> Edits:
    """Edits in their bytes; raises ProtocolError, also for a kind of a later release."""
    return unpack(_edits, data, "edits", RPC_LIMIT)


def check_base(edits: Edits, config: SignedConfig) -> None:
    """Raise Conflict if the edits were made for another config than `config`."""
    if edits.base is not None and edits.base != config.number:
        theirs, ours = (spelled(edits.base), config.version)
        raise Conflict(
            f"the network config is {ours} by now, and this edit was made for {theirs}: nothing is changed.\n"
            "Look again at what is in force, then edit that"
        )


def edited(draft: Draft, edits: Edits, wall: float) -> Draft:
    """The draft after all edits, in their order; raises what the first one that cannot be made raises.

    Raises Refused, too, if an assertion would fail, or the connection they are typed through would be closed.
    """
    followed = after = draft
    for edit in edits.edits:
        match edit:
            case naming.NodeNamed() | naming.NamingReplaced() | naming.NodeTagged() | naming.NodeUntagged():
                after = naming.renamed(after, edit)
            case RulingReplaced():
                # Nothing follows to new names: what is replaced is not there any more.
                followed = after = replacing.replaced(draft, after, edit)
            case (
                sections.TemplateSet()
                | sections.TemplateRemoved()
                | sections.TemplatesReplaced()
                | sections.ZonesReplaced()
                | sections.RoutesReplaced()
            ):
                after = sections.stated(after, edit)
            case _:
                followed = after = ruling.ruled(_followed(followed, after), edit)
    after = _followed(followed, after)
    check_assertions(draft, after, wall)
    if edits.through is not None and not edits.force:
        check_through(draft, after, edits.through, wall)
    return after


def _followed(before: Draft, after: Draft) -> Draft:
    """`after`, with rules that go on meaning the nodes which were called otherwise before: once for many names."""
    if before.naming.names == after.naming.names:
        return after
    return ruling.followed(before, after, {*before.naming.names, *after.naming.names})
