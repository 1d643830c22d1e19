"""Rules of a small network, answered from memory."""

from pulse.errors import NotFound, Refused
from pulse.schemas.policy import (
    AssertionRef,
    AssertionRequest,
    AssertionView,
    FlowRequest,
    FlowVerdict,
    GroupRef,
    GroupRequest,
    GroupView,
    Hits,
    HitsQuery,
    Missed,
    NodeHits,
    PairChange,
    Policy,
    PolicyChange,
    RuleFile,
    RuleHits,
    RuleMove,
    RuleRef,
    RuleRequest,
    RuleView,
)

LAPTOP_ID = "9" * 64

SQL = RuleView(
    index=1, id="r1", action="allow", source=["tag:backend"], destination=["tag:db"], proto=["tcp"], ports=["5432"],
    expires=None, window="", redundant=False, note="for reports", state="on",
    line="allow tag:backend → tag:db tcp 5432",
)  # fmt: skip
TIMED = RuleView(
    index=2, id="r7", action="deny", source=[LAPTOP_ID], destination=["*"], proto=[], ports=[], expires=1_790_000_000.0,
    window="mon-fri 09:00-18:00 UTC", redundant=False, note="", state="closed", line="deny 999999999999… → *",
)  # fmt: skip
HOLDS = AssertionView(
    id="t1", source="tag:dev", destination="tag:prod", expect="deny", proto="tcp", port=22, holds=True,
    line="tag:dev → tag:prod tcp 22 must be denied", problem="",
)  # fmt: skip
FAILS = AssertionView(
    id="t2", source="web", destination="db", expect="allow", proto="icmp", port=0, holds=False,
    line="web → db icmp must be allowed", problem="web → db",
)  # fmt: skip

RULED = Policy("1.7", False, [SQL, TIMED], [HOLDS, FAILS], [GroupView("ops", ["laptop", "tag:admin"])])
OPEN = Policy("0.1", True, [], [], [])

SUMMED = Hits(
    "1.7", False, "relay-01", False,
    [
        RuleHits(
            1, "r1", SQL.line, 17, 1_700_000_000.0, [NodeHits("db", 9), NodeHits("laptop", 8)], 3
        ),
        RuleHits(2, "r7", TIMED.line, 0, None, [], 0),
        RuleHits(0, "", "deny what matched none", 4, 1_700_000_060.0, [NodeHits("db", 4)], 1),
    ],
)  # fmt: skip
OWN = Hits(
    "1.7", False, "laptop", True,
    [RuleHits(1, "r1", SQL.line, 8, None, [], 0), RuleHits(0, "", "deny what matched none", 0, None, [], 0)],
)  # fmt: skip

MISTYPED = (
    'no node has the tag "backendx". Did you mean tag:backend?\n'
    "Give it first (pulse tag <node> backendx), or say --ahead if machines still to join will have it"
)
CLOSES = (
    "this would close the connection it is typed through (laptop → db port 22), so nothing is changed.\n"
    "Allow that first, or say --force"
)


def changed(rule: RuleView | None, *, dry_run: bool = False, pairs: int = 1) -> PolicyChange:
    """An edit that gave laptop something and took all from cam."""
    return PolicyChange(
        "1.8",
        dry_run,
        False,
        rule,
        [PairChange("laptop", "db-server", "tcp 5432")],
        [PairChange("cam", f"n{number}", "all") for number in range(min(pairs, 100))],
        1,
        pairs,
    )


VERDICT = FlowVerdict(
    "laptop", "db-server", "tcp", 5432, False, "DENIED by the end of the list (rules exist, none matched).",
    None, Missed(SQL, ["laptop lacks tag:backend"]), "pulse tag laptop backend",
    ["laptop", "relay-01", "db-server"], True,
)  # fmt: skip


class FakeHits:
    """Counts of a scribe, and of a laptop."""

    def __init__(self, asked: list[object]) -> None:
        self.asked = asked
        self.held = SUMMED
        self.refusal = ""

    async def hits(self, wanted: HitsQuery) -> Hits:
        self.asked.append(wanted)
        if self.refusal and not wanted.here:
            raise Refused(self.refusal)
        return OWN if wanted.here else self.held


class FakeAcls:
    """Implements `pulse.schemas.policy.Acls`."""

    def __init__(self, asked: list[object]) -> None:
        self.asked = asked
        self.held = RULED
        self.pairs = 1

    async def policy(self) -> Policy:
        return self.held

    async def explain(self, wanted: FlowRequest) -> FlowVerdict:
        self.asked.append(wanted)
        if wanted.source == "nobody":
            raise NotFound('no node is called "nobody". See the nodes: pulse status')
        return VERDICT

    async def diff(self, wanted: RuleFile) -> PolicyChange:
        self.asked.append(wanted)
        return changed(None, dry_run=True)

    async def add(self, wanted: RuleRequest) -> PolicyChange:
        self.asked.append(wanted)
        if "tag:backendx" in wanted.source:
            raise NotFound(MISTYPED)
        if wanted.through is not None and not wanted.force:
            raise Refused(CLOSES)
        return changed(SQL, dry_run=wanted.dry_run, pairs=self.pairs)

    async def remove(self, wanted: RuleRef) -> PolicyChange:
        self.asked.append(wanted)
        if wanted.index == 9:
            raise NotFound("there is no rule 9 (there are 2). See them: pulse acl list")
        return PolicyChange("1.8", wanted.dry_run, True, SQL, [], [], 0, 0)

    async def move(self, wanted: RuleMove) -> PolicyChange:
        self.asked.append(wanted)
        return changed(TIMED)

    async def add_test(self, wanted: AssertionRequest) -> PolicyChange:
        self.asked.append(wanted)
        return PolicyChange("1.8", False, False, None, [], [], 0, 0, test=HOLDS)

    async def remove_test(self, wanted: AssertionRef) -> PolicyChange:
        self.asked.append(wanted)
        return PolicyChange("1.8", False, False, None, [], [], 0, 0, test=HOLDS)

    async def set_group(self, wanted: GroupRequest) -> PolicyChange:
        self.asked.append(wanted)
        return changed(None, dry_run=wanted.dry_run)

    async def remove_group(self, wanted: GroupRef) -> PolicyChange:
        self.asked.append(wanted)
        raise Refused(f"group {wanted.name} is in use: rule r1. Remove what uses it first")
