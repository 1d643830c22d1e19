"""What came of an edit of the rules, or would, for people.

Invariant: what is lost is told as plainly as what is gained.
"""

from typing import Final

from pulse.cli.output import plain_lines, print_json
from pulse.schemas.config import ConfigPlan
from pulse.schemas.policy import PairChange, PolicyChange
from pulse.wording import counted

SHOWN: Final = 20
"""Pairs of nodes shown of each kind."""


def show(change: PolicyChange, done: str, *, json: bool) -> None:
    """Print it; `done` says what was done, or would be."""
    if json:
        print_json(change)
        return
    print("\n".join(lines(change, done)))


def lines(change: PolicyChange, done: str) -> list[str]:
    """What people read."""
    told = [f"{'would have ' if change.dry_run else ''}{done}" if done else ""]
    told += reach(change)
    told.append("nothing is changed" if change.dry_run else f"network config {change.version}")
    return [line for line in told if line]


def reach(change: PolicyChange | ConfigPlan) -> list[str]:
    """Who gains and who loses by it."""
    told = _pairs("gained", change.gained, change.gained_pairs)
    told += _pairs("lost", change.lost, change.lost_pairs)
    if change.whole and not (change.gained_pairs or change.lost_pairs):
        told.append("no node that is known gains or loses anything by it")
    if not change.whole:
        told.append("there are more: this changes too much to count it all")
    if change.opens:
        told.append("no rules are left: everybody may reach everybody")
    return told


def _pairs(word: str, changes: list[PairChange], pairs: int) -> list[str]:
    rows = [(word, f"{each.source} → {each.destination}", each.flows) for each in changes[:SHOWN]]
    told = plain_lines(("", "", ""), rows)[1:] if rows else []
    if pairs > len(rows):
        told.append(f"{word}  … by {counted(pairs - len(rows), 'pair')} more")
    return told
