"""Rules of a small network, answered from memory."""

from pulse import policyschemas as said
from pulse.errors import NotFound, Refused

LAPTOP_ID = "9" * 64

SQL = said.RuleView(
    index=1, id="r1", action="allow", source=["tag:backend"], destination=["tag:db"], proto=["tcp"], ports=["5432"],
    expires=None, window="", redundant=False, note="for reports", state="on",
    line="allow tag:backend → tag:db tcp 5432",
)  # fmt: skip
TIMED = said.RuleView(
    index=2, id="r7", action="deny", source=[LAPTOP_ID], destination=["*"], proto=[], ports=[], expires=1_790_000_000.0,
    window="mon-fri 09:00-18:00 UTC", redundant=False, note="", state="closed", line="deny 999999999999… → *",
)  # fmt: skip
HOLDS = said.AssertionView(
    id="t1", source="tag:dev", destination="tag:prod", expect="deny", proto="tcp", port=22, holds=True,
    line="tag:dev → tag:prod tcp 22 must be denied", problem="",
)  # fmt: skip
FAILS = said.AssertionView(
    id="t2", source="web", destination="db", expect="allow", proto="icmp", port=0, holds=False,
    line="web → db icmp must be allowed", problem="web → db",
)  # fmt: skip

RULED = said.Policy("1.7", False, [SQL, TIMED], [HOLDS, FAILS], [said.GroupView("ops", ["laptop", "tag:admin"])])
OPEN = said.Policy("0.1", True, [], [], [])

SUMMED = said.Hits(
    "1.7", False, "relay-01", False,
    [
        said.RuleHits(
            1, "r1", SQL.line, 17, 1_700_000_000.0, [said.NodeHits("db", 9), said.NodeHits("laptop", 8)], 3
        ),
        said.RuleHits(2, "r7", TIMED.line, 0, None, [], 0),
        said.RuleHits(0, "", "deny what matched none", 4, 1_700_000_060.0, [said.NodeHits("db", 4)], 1),
    ],
)  # fmt: skip
OWN = said.Hits(
    "1.7", False, "laptop", True,
    [said.RuleHits(1, "r1", SQL.line, 8, None, [], 0), said.RuleHits(0, "", "deny what matched none", 0, None, [], 0)],
)  # fmt: skip

MISTYPED = (
    'no node has the tag "backendx". Did you mean tag:backend?\n'
    "Give it first (pulse tag <node> backendx), or say --ahead if machines still to join will have it"
)
CLOSES = (
    "this would close the connection it is typed through (laptop → db port 22), so nothing is changed.\n"
    "Allow that first, or say --force"
)


def changed(rule: said.RuleView | None, *, dry_run: bool = False, pairs: int = 1) -> said.PolicyChange:
    """An edit that gave laptop something and took all from cam."""
    return said.PolicyChange(
        "1.8",
        dry_run,
        False,
        rule,
        [said.PairChange("laptop", "db-server", "tcp 5432")],
        [said.PairChange("cam", f"n{number}", "all") for number in range(min(pairs, 100))],
        1,
        pairs,
    )


VERDICT = said.FlowVerdict(
    "laptop", "db-server", "tcp", 5432, False, "DENIED by the end of the list (rules exist, none matched).",
    None, said.Missed(SQL, ["laptop lacks tag:backend"]), "pulse tag laptop backend",
    ["laptop", "relay-01", "db-server"], True,
)  # fmt: skip


class FakeHits:
    """Counts of a scribe, and of a laptop."""

    def __init__(self, asked: list[object]) -> None:
        self.asked = asked
        self.held = SUMMED
        self.refusal = ""

    async def hits(self, wanted: said.HitsQuery) -> said.Hits:
        self.asked.append(wanted)
        if self.refusal and not wanted.here:
            raise Refused(self.refusal)
        return OWN if wanted.here else self.held


class FakeAcls:
    """Implements `pulse.policyschemas.Acls`."""

    def __init__(self, asked: list[object]) -> None:
        self.asked = asked
        self.held = RULED
        self.pairs = 1

    async def policy(self) -> said.Policy:
        return self.held

    async def explain(self, wanted: said.FlowRequest) -> said.FlowVerdict:
        self.asked.append(wanted)
        if wanted.source == "nobody":
            raise NotFound('no node is called "nobody". See the nodes: pulse status')
        return VERDICT

    async def diff(self, wanted: said.RuleFile) -> said.PolicyChange:
        self.asked.append(wanted)
        return changed(None, dry_run=True)

    async def add(self, wanted: said.RuleRequest) -> said.PolicyChange:
        self.asked.append(wanted)
        if "tag:backendx" in wanted.source:
            raise NotFound(MISTYPED)
        if wanted.through is not None and not wanted.force:
            raise Refused(CLOSES)
        return changed(SQL, dry_run=wanted.dry_run, pairs=self.pairs)

    async def remove(self, wanted: said.RuleRef) -> said.PolicyChange:
        self.asked.append(wanted)
        if wanted.index == 9:
            raise NotFound("there is no rule 9 (there are 2). See them: pulse acl list")
        return said.PolicyChange("1.8", wanted.dry_run, True, SQL, [], [], 0, 0)

    async def move(self, wanted: said.RuleMove) -> said.PolicyChange:
        self.asked.append(wanted)
        return changed(TIMED)

    async def add_test(self, wanted: said.AssertionRequest) -> said.PolicyChange:
        self.asked.append(wanted)
        return said.PolicyChange("1.8", False, False, None, [], [], 0, 0, test=HOLDS)

    async def remove_test(self, wanted: said.AssertionRef) -> said.PolicyChange:
        self.asked.append(wanted)
        return said.PolicyChange("1.8", False, False, None, [], [], 0, 0, test=HOLDS)

    async def set_group(self, wanted: said.GroupRequest) -> said.PolicyChange:
        self.asked.append(wanted)
        return changed(None, dry_run=wanted.dry_run)

    async def remove_group(self, wanted: said.GroupRef) -> said.PolicyChange:
        self.asked.append(wanted)
        raise Refused(f"group {wanted.name} is in use: rule r1. Remove what uses it first")
