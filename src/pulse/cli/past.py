"""`pulse status --at`: the mesh as this node saw it at a time, from its journal.

Invariant: what the journal cannot know is said before what it tells.
"""

from pathlib import Path
from typing import Final

from pulse.calls.events import EventCalls
from pulse.cli.output import print_json, print_table
from pulse.client import connect
from pulse.core.messages import printable
from pulse.core.types import SHORT_ID
from pulse.schemas.events import Moment, PastPeer
from pulse.wording import DASH, counted, moment

HEADER: Final = ("NODE", "ADDRESS", "LINK", "VIA", "SINCE", "ROLES")
NAMES: Final = frozenset({"NODE", "VIA"})


def show(at: float, *, json: bool, data_dir: Path | None) -> None:
    """Ask and draw."""
    with connect(data_dir) as client:
        found = EventCalls(client).events_at(at)
    if json:
        print_json(found)
    else:
        _draw(found)


def _draw(found: Moment) -> None:
    print(_sentence(found))
    if found.peers:
        print()
        print_table(HEADER, [_row(peer) for peer in found.peers], elastic=NAMES)
    if found.revoked:
        print(f"\nrevoked by then: {printable(', '.join(found.revoked))}")


def _sentence(found: Moment) -> str:
    name, at, last = printable(found.name), moment(found.time), moment(found.last)
    match found.state:
        case "stopped":
            return f"{name} had stopped by {at} (at {last}), so it did not see who was there then. It knew:"
        case "unknown":
            until = moment(found.following or found.time)
            gap = f"It ended without a word between {last} and {until}"
            return f"{gap}: it may not have been there at {at}. Before that {name} saw:\n{_count(found)}"
    return f"{name} at {at}: {_count(found)}"


def _count(found: Moment) -> str:
    reached = [peer for peer in found.peers if peer.reached]
    relayed = sum(1 for peer in reached if peer.via)
    others = f"{counted(len(found.peers) + 1, 'node')}, {len(reached) - relayed} direct"
    return f"{others}, {relayed} over a relay, {len(found.peers) - len(reached)} without a path."


def _row(peer: PastPeer) -> tuple[str, ...]:
    return (
        printable(peer.name) or peer.id[:SHORT_ID],
        printable(peer.v4),
        printable(peer.link),
        printable(peer.via) or DASH,
        DASH if peer.since is None else moment(peer.since),
        " ".join(peer.roles) or DASH,
    )
