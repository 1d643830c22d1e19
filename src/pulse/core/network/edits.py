"""What people change in the network config, as values that travel to the scribe.

A list of edits is made whole or not at all, and only on the config its maker looked at, where it says which.
Invariant: making an edit is pure, so whoever would make it can look first at what comes of it.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Final

import msgspec

from pulse.core.messages import RPC_LIMIT, U53, Wire, unpack
from pulse.core.network import replacing, ruling, sections
from pulse.core.network.consequences import Through, check_assertions, check_through
from pulse.core.network.draft import Draft
from pulse.core.network.naming import NamingEdit, NamingReplaced, NodeNamed, NodeTagged, NodeUntagged, renamed
from pulse.core.network.netconfig import SignedConfig, spelled
from pulse.core.network.replacing import RulingReplaced
from pulse.core.network.ruling import RulingEdit
from pulse.core.network.sections import SectionEdit
from pulse.errors import Conflict, Refused

EDITS_LIMIT: Final = 4096
"""Edits made together: one for each node a config can name."""

BESIDE_TAGS: Final = 1024
"""Of these so many that are no tags: as many as there can be rules."""

TURNS_LIMIT: Final = 16
"""How often a list of edits goes from names to rules: each time all rules are read again."""

Edit = NamingEdit | RulingEdit | RulingReplaced | SectionEdit
"""One change; each kind has its home in the module of its feature."""


class Edits(Wire, frozen=True):
    """Changes that are made together; later releases append fields."""

    edits: Annotated[list[Edit], msgspec.Meta(max_length=EDITS_LIMIT)]
    base: tuple[U53, U53] | None = None
    """(scribe epoch, generation) of the config they were made for; None for whichever is in force."""
    force: bool = False
    """Even if it shuts out whoever asks, or puts nothing in the place of all rules or all tests."""
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
    _check_work(edits.edits)
    followed = after = draft
    for edit in edits.edits:
        match edit:
            case NodeNamed() | NamingReplaced() | NodeTagged() | NodeUntagged():
                after = renamed(after, edit)
            case RulingReplaced():
                # Nothing follows to new names: what is replaced is not there any more.
                followed = after = replacing.replaced(draft, after, edit)
                if not edits.force:
                    replacing.check_left(draft, edit)
            case (
                sections.TemplateSet()
                | sections.TemplateRemoved()
                | sections.TemplatesReplaced()
                | sections.ZonesReplaced()
                | sections.RecordAdded()
                | sections.RecordsRemoved()
                | sections.RoutesReplaced()
                | sections.RouteSet()
                | sections.RouteRemoved()
            ):
                after = sections.stated(after, edit)
            case _:
                followed = after = ruling.ruled(_followed(followed, after), edit)
    after = replacing.remembered(draft, _followed(followed, after))
    check_assertions(draft, after, wall)
    if edits.through is not None and not edits.force:
        check_through(draft, after, edits.through, wall)
    return after


def _check_work(edits: Sequence[Edit]) -> None:
    """Raise Refused for more than can be made without keeping others waiting."""
    beside = sum(not isinstance(each, NodeTagged | NodeUntagged) for each in edits)
    if beside > BESIDE_TAGS:
        raise Refused(
            f"{beside} edits of rules, tests, groups and names in one request; {BESIDE_TAGS} are made together.\n"
            "Send them in several requests"
        )
    named = [isinstance(each, NodeNamed | NamingReplaced) for each in edits]
    turns = sum(before and not after for before, after in pairwise(named))
    if turns > TURNS_LIMIT:
        raise Refused(
            f"these edits go from names to rules {turns} times; {TURNS_LIMIT} are made together.\n"
            "Put the names first, then the rules"
        )


def _followed(before: Draft, after: Draft) -> Draft:
    """`after`, with rules that go on meaning the nodes which were called otherwise before: once for many names."""
    if before.naming.names == after.naming.names:
        return after
    return ruling.followed(before, after, {*before.naming.names, *after.naming.names})
