"""What the control API says and hears of the whole network config as one file, and of its templates.

Fields are append-only, and stand in the order in which a file has them; what is left out is as the field says.
"""

from typing import Annotated

import msgspec

from pulse.schemas.policy import Action, Connection, Note, PairChange, Port, Word, Words
from pulse.schemas.structs import Body, Count, NodeText, View
from pulse.schemas.tokens import Span

Moment = Annotated[float, msgspec.Meta(ge=0, le=253_402_300_799)]
Tags = Annotated[list[Word], msgspec.Meta(max_length=32)]
Members = Annotated[list[Word], msgspec.Meta(max_length=256)]
Value = Annotated[str, msgspec.Meta(max_length=255)]
TokenTtl = Annotated[float, msgspec.Meta(ge=1, le=315_360_000)]
RecordTtl = Annotated[int, msgspec.Meta(ge=1, le=604_800)]


class Part(Body, frozen=True, omit_defaults=True, rename={"source": "from", "destination": "to"}):
    """Base of the parts of a file: what is as it is anyway need not be written."""


class FileSettings(Part, frozen=True):
    """What holds for the whole network; the range of a mesh never changes."""

    mesh_cidr: Word
    network: Annotated[str, msgspec.Meta(max_length=255)] = ""
    """Label of the network the file is of; no file is applied that does not say it."""


class FileRule(Part, frozen=True, kw_only=True):
    """A rule; the first that matches decides. The id of a new one is left out."""

    id: Word = ""
    action: Action = "allow"
    source: Word | Members
    destination: Word | Members
    proto: Words = []
    ports: Words = []
    expires: Moment | None = None
    window: Annotated[str, msgspec.Meta(max_length=80)] = ""
    redundant: bool = False
    note: Note = ""


class FileAssertion(Part, frozen=True, kw_only=True):
    """What the rules must always let pass, or never."""

    id: Word = ""
    source: Word
    destination: Word
    expect: Action = "allow"
    proto: Word = ""
    port: Port = 0


class FileTemplate(Part, frozen=True):
    """What a new node gets whose token is made from it."""

    tags: Tags = []
    name: Word = ""
    ttl: TokenTtl | Span | None = None
    max_uses: Count = 0


class FileRecord(Part, frozen=True):
    """What a name under `.pulse` says."""

    name: Value
    type: Word
    value: Value
    ttl: RecordTtl = 60


class FileRoute(Part, frozen=True):
    """A range that a node leads to."""

    node: NodeText
    cidr: Word
    mapped: Word = ""
    approved: bool = False


class ConfigFile(Part, frozen=True, kw_only=True):
    """The whole network; nodes by their names, or by the first digits of their ids."""

    settings: FileSettings
    names: Annotated[dict[NodeText, Word], msgspec.Meta(max_length=4096)] = {}
    tags: Annotated[dict[NodeText, Tags], msgspec.Meta(max_length=4096)] = {}
    groups: Annotated[dict[Word, Members], msgspec.Meta(max_length=256)] = {}
    acl: Annotated[list[FileRule], msgspec.Meta(max_length=1024)] = []
    tests: Annotated[list[FileAssertion], msgspec.Meta(max_length=256)] = []
    templates: Annotated[dict[Word, FileTemplate], msgspec.Meta(max_length=256)] = {}
    zones: Annotated[list[FileRecord], msgspec.Meta(max_length=2048)] = []
    routes: Annotated[list[FileRoute], msgspec.Meta(max_length=1024)] = []
    auto_approve: Annotated[dict[Word, Word], msgspec.Meta(max_length=256)] = {}


class ConfigWanted(Body, frozen=True):
    """A file to compare or to apply."""

    file: ConfigFile
    ahead: bool = False
    """Names and tags that nobody has yet are meant."""
    force: bool = False
    """Even if it closes the connection it is typed through, or leaves no rules or no tests where there are some."""
    through: Connection | None = None


class ConfigChange(View, frozen=True):
    """One item of a section that is not as it was."""

    section: str
    change: str
    """`added`, `removed`, `changed` or `moved`."""
    line: str
    was: str
    """As it was before, if it changed."""


class ConfigPlan(View, frozen=True, kw_only=True):
    """What applying a file changed, or would."""

    version: str
    """Of the network config it was compared with, or of the one with it once it is applied."""
    applied: bool
    changes: list[ConfigChange]
    """Empty if there is nothing to do."""
    opens: bool
    """There are no rules any more, so all is allowed."""
    gained: list[PairChange]
    lost: list[PairChange]
    gained_pairs: int
    lost_pairs: int
    """All of them are counted, and so many told."""
    whole: bool
    """False: this changes so much that there are more pairs than were counted."""


class TemplateView(View, frozen=True, kw_only=True):
    """A template."""

    name: str
    tags: list[str]
    node_name: str
    """The name machines get, or a pattern with `*` for a number; empty for none."""
    ttl: float | None
    max_uses: int


class TemplateRequest(Body, frozen=True):
    """A template to have; the one of that name gives way."""

    name: Word
    tags: Tags = []
    node_name: Word = ""
    ttl: TokenTtl | Span | None = None
    max_uses: Count = 0


class TemplateRef(Body, frozen=True):
    """A template to take away."""

    name: Word


Version = tuple[int, int]
"""Of a network config: scribe epoch and generation."""
