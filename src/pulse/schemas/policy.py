"""What the control API says and hears of rules: who may reach whom.

Fields are append-only; times are seconds since 1970, durations seconds; rules are numbered from 1 as they stand.
"""

from typing import Annotated, Final, Literal

import msgspec

from pulse.schemas.structs import Body, NodeText, View

ALLOW: Final = "allow"
DENY: Final = "deny"

Action = Literal["allow", "deny"]
Word = Annotated[str, msgspec.Meta(max_length=80)]
Side = Annotated[list[Word], msgspec.Meta(min_length=1, max_length=256)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Words = Annotated[list[Word | Port], msgspec.Meta(max_length=64)]
Note = Annotated[str, msgspec.Meta(max_length=200)]
Place = Annotated[int, msgspec.Meta(ge=0, le=4096)]
Ttl = Annotated[float, msgspec.Meta(gt=0, le=3_153_600_000)]


class Connection(Body, frozen=True):
    """The connection somebody types through, by the IP addresses of its ends."""

    client: Word
    server: Word
    port: Port


class RuleText(Body, frozen=True):
    """A rule as people write it, in a file or in a request."""

    source: Word | Side = msgspec.field(name="from")
    destination: Word | Side = msgspec.field(name="to")
    action: Action = "allow"
    ports: Words = []
    """`22`, `8000-8100`; none for any."""
    proto: Words = []
    """`tcp`, `udp`, `icmp`, a number; none for any."""
    ttl: Ttl | None = None
    """Seconds from now after which it counts no more."""
    expires: Annotated[float, msgspec.Meta(ge=0, le=253_402_300_799)] | None = None
    """The same as a moment; `ttl` goes before it."""
    window: Annotated[str, msgspec.Meta(max_length=80)] = ""
    """`mon-fri,09:00-18:00`, UTC."""
    redundant: bool = False
    note: Note = ""


class Judged(Body, frozen=True, kw_only=True):
    """How an edit is to be made."""

    dry_run: bool = False
    """Only say what would come of it."""
    force: bool = False
    """Even if it closes the connection it is typed through."""
    through: Connection | None = None


class RuleRequest(RuleText, frozen=True):
    """A rule to add."""

    place: Place = 0
    """The number it has then; 0 for behind all others."""
    ahead: bool = False
    """Names and tags that nobody has yet are meant."""
    dry_run: bool = False
    force: bool = False
    through: Connection | None = None


class RuleRef(Judged, frozen=True):
    """A rule, by its number or its id."""

    index: Place | None = None
    id: Word | None = None


class RuleMove(RuleRef, frozen=True):
    """A rule, and the number it is to have."""

    place: Place = 0


class RuleFile(Body, frozen=True):
    """All rules of a file."""

    rules: Annotated[list[RuleText], msgspec.Meta(max_length=1024)] = []


class AssertionRequest(Judged, frozen=True):
    """What rules must always let pass, or never."""

    source: Word = msgspec.field(name="from")
    destination: Word = msgspec.field(name="to")
    expect: Action = "allow"
    proto: Word = ""
    """`tcp` if there is a port, else `icmp`, unless something is said."""
    port: Port = 0


class AssertionRef(Judged, frozen=True):
    """One of those, by its id."""

    id: Word


class GroupRequest(Judged, frozen=True):
    """All members of a group."""

    name: Word
    members: Side
    ahead: bool = False


class GroupRef(Judged, frozen=True):
    """A group."""

    name: Word


class FlowRequest(Body, frozen=True):
    """May the one node send that to the other? Nodes in any of their words."""

    source: NodeText
    destination: NodeText
    proto: Word = ""
    port: Port = 0


class RuleView(View, frozen=True, kw_only=True):
    """A rule, as it stands in the list."""

    index: int
    id: str
    action: str
    source: list[str] = msgspec.field(name="from")
    destination: list[str] = msgspec.field(name="to")
    proto: list[str]
    ports: list[str]
    expires: float | None
    window: str
    redundant: bool
    note: str
    state: str
    """`on`; `over` after its end, `closed` outside its window, `unsure` while this node's clock cannot be trusted."""
    line: str
    """The rule on one line."""


class AssertionView(View, frozen=True, kw_only=True):
    """What rules must always let pass, or never, and whether they do."""

    id: str
    source: str = msgspec.field(name="from")
    destination: str = msgspec.field(name="to")
    expect: str
    proto: str
    port: int
    holds: bool
    line: str
    problem: str
    """Two nodes that show that it does not hold."""


class GroupView(View, frozen=True):
    """A group."""

    name: str
    members: list[str]


class Policy(View, frozen=True):
    """Who may reach whom, as the network config in force says."""

    version: str
    open: bool
    """There are no rules, so all is allowed."""
    rules: list[RuleView]
    tests: list[AssertionView]
    groups: list[GroupView]


class PairChange(View, frozen=True):
    """What one node may send another, or no more."""

    source: str = msgspec.field(name="from")
    destination: str = msgspec.field(name="to")
    flows: str


class PolicyChange(View, frozen=True):
    """What came of an edit, or would."""

    version: str
    """Of the network config with it, or of the one in force if nothing was changed."""
    dry_run: bool
    opens: bool
    """There are no rules any more, so all is allowed."""
    rule: RuleView | None
    gained: list[PairChange]
    lost: list[PairChange]
    gained_pairs: int
    lost_pairs: int
    """All of them are counted, and so many told."""
    whole: bool = True
    """False: the edit changes so much that there are more pairs than were counted."""
    test: AssertionView | None = None
    """The test an edit was about: as it stands now, or stood last."""


class Missed(View, frozen=True):
    """The rule that comes nearest to allowing a flow, and what it lacks."""

    rule: RuleView
    lacks: list[str]


class FlowVerdict(View, frozen=True):
    """Whether a flow is allowed, and why."""

    source: str
    destination: str
    proto: str
    port: int
    allowed: bool
    sentence: str
    rule: RuleView | None
    nearest: Missed | None
    fix: str
    """A command that would allow it."""
    enforced: list[str]
    """Who enforces it, in the order of the way: the source, relays, the destination."""
    relays_known: bool
    """The relays named are those of the way in use."""


class HitsQuery(Body, frozen=True):
    """Whose hits are asked for."""

    here: bool = False
    """This node's own since it started, instead of those of all nodes, which the scribe sums."""


class NodeHits(View, frozen=True):
    """What one node counted."""

    node: str
    flows: int


class RuleHits(View, frozen=True):
    """How many flows a rule decided on."""

    index: int
    """Of the rule; 0 for what no rule matched."""
    id: str
    line: str
    flows: int
    last: float | None
    """When the scribe last heard of more, to ten seconds; None if it never did, or was not asked."""
    nodes: list[NodeHits]
    """Those with most of them, eight at most; flows between two nodes are counted at both, and at each relay."""
    nodes_count: int
    """All nodes that counted any."""


class Hits(View, frozen=True):
    """Flows by rule, in the order of the rules; what no rule matched comes last."""

    version: str
    open: bool
    """There are no rules, so nothing is counted."""
    counted_by: str
    """The scribe, or this node alone."""
    here: bool
    rules: list[RuleHits]
