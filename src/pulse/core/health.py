"""The first line of `pulse status`: is all well and, if not, the one thing to do first.

Invariant: every complaint names what it is about and what to do; the most pressing comes first.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pulse.core import vitals
from pulse.core.findings import Finding
from pulse.core.symptoms import Running


@dataclass(frozen=True, slots=True)
class Company:
    """How many other nodes there are, by how they are reached."""

    direct: int = 0
    relayed: int = 0
    away: int = 0

    @property
    def nodes(self) -> int:
        """All of them."""
        return self.direct + self.relayed + self.away


@dataclass(frozen=True, slots=True)
class Health:
    """The verdict."""

    well: bool
    sentence: str


def judge(running: Running, company: Company) -> Health:
    """The sentence for a node that is so, in such company."""
    complaints = vitals.findings(running)
    if complaints:
        several = f"{len(complaints)} things to see to (all: pulse doctor)"
        count = "1 thing to see to" if len(complaints) == 1 else several
        return Health(False, f"{count}: {_in_a_line(complaints[0])}.")
    if not company.nodes:
        return Health(True, "All well, and alone: no other node has joined yet (pulse invite).")
    return Health(True, f"All well. {company.nodes + 1} nodes, {', '.join(_ways(company))}.")


def _ways(company: Company) -> Iterator[str]:
    yield f"{company.direct} direct"
    if company.relayed:
        yield "1 over a relay" if company.relayed == 1 else f"{company.relayed} over relays"
    if company.away:
        yield f"{company.away} away"


def _in_a_line(finding: Finding) -> str:
    what, fix = (" ".join(each.split()).removesuffix(".") for each in (finding.what, finding.fix))
    return f"{what} ({fix})"
