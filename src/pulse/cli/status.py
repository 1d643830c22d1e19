"""`pulse status`: whether all is well, then every node this one knows.

Invariant: the first line is the node's own sentence; nothing is judged here.
"""

from typing import Annotated, Final

from cyclopts import Parameter

from pulse.cli import watching
from pulse.cli.output import beside, print_table
from pulse.cli.values import DataDir, Json, When
from pulse.cli.watching import Watch
from pulse.client import connect
from pulse.core.types import SHORT_ID
from pulse.errors import ConfigError
from pulse.schemas.node import PeerRow, Status
from pulse.wording import DASH, MINUTE, milliseconds, percent, span

HEADER: Final = ("NODE", "ADDRESS", "LINK", "VIA", "RTT", "LOSS", "SEEN", "ROLES")
RIGHT: Final = frozenset({"RTT", "LOSS", "SEEN"})
NAMES: Final = frozenset({"NODE", "VIA"})
"""Columns that are cut where the table is wider than the screen; --json has them whole."""


def status(
    *,
    json: Json = False,
    watch: Watch = False,
    at: Annotated[When | None, Parameter(help="As it was then: 2h (ago), 2026-11-26T10:00 (UTC).")] = None,
    check: Annotated[bool, Parameter(help="Exit with 1 if not all is well.")] = False,
    data_dir: DataDir = None,
) -> int:
    """Show whether all is well, and the nodes of the mesh.

    More: pulse help links
    """
    if at is not None:
        if watch or check:
            raise ConfigError("--at looks back: it goes with --json, not with --watch or --check")
        from pulse.cli import past

        past.show(at, json=json, data_dir=data_dir)
        return 0
    with connect(data_dir) as client:
        found = watching.show(client.status, _draw, json=json, watch=watch)
    return 1 if check and not found.well else 0


def _draw(found: Status) -> None:
    node = found.node
    print(beside(found.sentence, f"{node.network} · {node.name} {node.v4} · up {span(found.uptime)}"))
    if found.peers:
        print()
        print_table(HEADER, [_row(peer) for peer in found.peers], RIGHT, NAMES)
    notes = [f"{peer.name}: {peer.last_error}" for peer in found.peers if not peer.reached and peer.last_error]
    pins = (peer.pinned for peer in found.peers if peer.pinned and not peer.pinned.followed)
    notes += [
        f"{pin.name}: pinned {'to its own link' if pin.direct else f'over {pin.via}'}; {pin.problem}" for pin in pins
    ]
    if found.ca_rotating:
        notes.append("The CA's key is being replaced. How far it is: pulse ca rotate --status, on the CA")
    if notes:
        print("\n" + "\n".join(notes))


def _row(peer: PeerRow) -> tuple[str, ...]:
    return (
        peer.name or peer.id[:SHORT_ID],
        peer.v4,
        f"{peer.link}?" if peer.suspect else peer.link,
        _way(peer),
        milliseconds(peer.rtt if peer.reached else None),
        percent(peer.loss if peer.reached else None),
        _seen(peer.seen),
        " ".join(peer.roles) or DASH,
    )


def _way(peer: PeerRow) -> str:
    if peer.pinned and peer.pinned.followed:
        return f"{'direct' if peer.pinned.direct else peer.pinned.via} (pinned)"
    return peer.via or DASH


def _seen(ago: float | None) -> str:
    if ago is None:
        return DASH
    return "now" if ago < MINUTE / 12 else span(ago)
