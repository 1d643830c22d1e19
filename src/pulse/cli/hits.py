"""`pulse acl hits`: how many flows each rule decided on.

Invariant: what is shown says who counted it.
"""

from typing import Final

from pulse.calls.acls import AclCalls
from pulse.cli import watching
from pulse.cli.output import print_table
from pulse.cli.values import DataDir, Json
from pulse.cli.watching import Watch
from pulse.client import connect
from pulse.schemas.policy import Hits, HitsQuery, RuleHits
from pulse.wording import DASH, moment


def hits(*, here: bool = False, json: Json = False, watch: Watch = False, data_dir: DataDir = None) -> None:
    """Show how many flows each rule decided on at all nodes: the scribe sums what they report every ten seconds.

    A flow is counted where it begins, where it ends, and at relays between. Operators, the CA and the scribe are told.

    Parameters
    ----------
    here
        Only those of this node, since it started.
    """
    with connect(data_dir) as client:
        calls = AclCalls(client)
        watching.show(lambda: calls.hits(HitsQuery(here)), _draw, json=json, watch=watch)


def _draw(found: Hits) -> None:
    if found.open:
        print("no rules: everybody may reach everybody")
        return
    rows = [_row(each) for each in found.rules]
    if found.here:
        print_table(("#", "FLOWS", "RULE"), [(*row[:2], row[-1]) for row in rows], _NUMBERS, elastic=_TEXTS)
        print(f"counted by {found.counted_by} alone, since it started")
    else:
        print_table(("#", "FLOWS", "LAST", "NODES", "RULE"), rows, _NUMBERS, elastic=_TEXTS)
        print(f"counted by all nodes, summed by {found.counted_by}")


MOST_SHOWN: Final = 3
"""Nodes named of a rule; --json names eight."""

_NUMBERS: Final = frozenset({"FLOWS"})
_TEXTS: Final = frozenset({"RULE"})


def _row(found: RuleHits) -> tuple[str, ...]:
    last = DASH if found.last is None else moment(found.last)
    nodes = ", ".join(f"{each.node} {each.flows}" for each in found.nodes[:MOST_SHOWN])
    more = found.nodes_count - min(len(found.nodes), MOST_SHOWN)
    told = f"{nodes} and {more} more" if more > 0 else nodes
    return (str(found.index or "end"), str(found.flows), last, told or DASH, found.line)
