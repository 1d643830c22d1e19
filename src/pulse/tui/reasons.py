"""The details of one line: all its cells, and for a node why it is reached as it is.

Invariant: the verdict is the node's own, in the words of `pulse why`.
"""

from collections.abc import Sequence
from pathlib import Path

from pulse.calls.why import WhyCalls
from pulse.client import connect
from pulse.core.messages import printable
from pulse.errors import PulseError
from pulse.tui.model import Line


def described(data_dir: Path | None, view: str, titles: Sequence[str], chosen: Line) -> str:
    """The text of the details; asks the node, and says so if that fails."""
    of_node = view in ("nodes", "paths")
    wide = max(map(len, titles))
    told = [
        f"{title.lower().ljust(wide)}  {cell}"
        for title, cell in zip(titles, chosen.cells, strict=True)
        if not (of_node and title == "ID")
    ]
    if not of_node:
        return "\n".join(told)
    return "\n".join([*told, f"id  {chosen.key}", "", *_reason(data_dir, chosen.key)])


def _reason(data_dir: Path | None, node: str) -> list[str]:
    try:
        with connect(data_dir) as client:
            found = WhyCalls(client).why(node)
    except PulseError as error:
        return [f"why it is reached so could not be asked: {error}"]
    help_line = [f"what would help: {printable(found.help)}"] if found.help else []
    ends = [
        f"{printable(end.name)}: {end.link}{f' over {printable(end.via)}' if end.via else ''}, NAT {end.nat}"
        if end.asked
        else f"{printable(end.name)}: no account: {printable(end.problem)}"
        for end in (found.source, found.node)
    ]
    return [printable(found.sentence), *ends, *help_line]
