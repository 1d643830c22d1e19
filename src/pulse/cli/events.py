"""`pulse events`: what happened in the mesh, as this node saw it, and that nobody changed the record of it.

Invariant: a broken chain is an error, not a remark; no text of another machine moves the terminal.
"""

import sys
import time
from typing import Annotated, Final

from cyclopts import Parameter

from pulse.calls.events import EventCalls
from pulse.cli.output import print_json
from pulse.cli.values import DataDir, Json, When
from pulse.client import Client, connect
from pulse.core.messages import printable
from pulse.core.types import SHORT_ID
from pulse.errors import ConfigError, Damaged
from pulse.schemas.events import EventInfo, Events, EventsQuery
from pulse.schemas.journal import JournalCheck
from pulse.wording import DASH, counted, moment

EVERY: Final = 1.0
"""Seconds between two looks of --follow."""

MOST: Final = 1000


def events(
    *,
    type: Annotated[str, Parameter(help="Only these types, with commas between: join,revoke.")] = "",
    node: Annotated[str, Parameter(help="Only of this node: a name, first digits of its id, or cam-*.")] = "",
    since: Annotated[When | None, Parameter(help="Only since then: 2h (ago), 2026-11-26T10:00 (UTC).")] = None,
    lines: Annotated[int, Parameter(name=["--lines", "-n"], help="How many of the newest (50).")] = 50,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"], help="Go on with new ones until Ctrl-C.")] = False,
    verify: Annotated[bool, Parameter(help="Check the journal's hash chain from its oldest entry.")] = False,
    json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Show what happened in the mesh, as this node saw it.

    That is its journal, newest last; with --json one object a line.
    """
    if not 0 <= lines <= MOST:
        raise ConfigError(f"--lines: {lines} is not from 0 to {MOST}")
    with connect(data_dir) as client:
        if verify:
            _show_check(EventCalls(client).events_verify(), json=json)
            return
        newest = _newest(client)
        found = EventCalls(client).events(EventsQuery(type, node, since, limit=max(lines, 1)))
        _note(found)
        newest = max(newest, _show(found.events[-lines:] if lines else [], json=json))
        while follow:
            time.sleep(EVERY)
            found = EventCalls(client).events(EventsQuery(type, node, since, after=newest, limit=MOST))
            newest = max(newest, _show(found.events, json=json))


def _newest(client: Client) -> int:
    """The number of the newest event of all."""
    found = EventCalls(client).events(EventsQuery(limit=1)).events
    return found[-1].seq if found else 0


def _note(found: Events) -> None:
    """What is missing, said where it does not get among the events."""
    if found.problem:
        print(f"note: nothing can be written at present: {printable(found.problem)}", file=sys.stderr)
    if found.lost:
        print(f"note: there was no room for {counted(found.lost, 'event')} since the node started", file=sys.stderr)


def _show_check(found: JournalCheck, *, json: bool) -> None:
    if json:
        print_json(found)
    if found.broken is not None:
        after = f"written after {moment(found.time)}" if found.time is not None else "the oldest one"
        raise Damaged(
            f"entry {found.broken} of this node's journal ({after}) is not what pulse wrote: {found.reason}.\n"
            "Was the disk damaged? If not, find out who could write to the data directory."
        )
    if not json:
        print(f"all {found.entries} entries hold")


def _show(found: list[EventInfo], *, json: bool) -> int:
    """Number of the last event shown, 0 if there was none."""
    for each in found:
        if json:
            print_json(each)
        else:
            print(_line(each), flush=True)
    return found[-1].seq if found else 0


def _line(event: EventInfo) -> str:
    fields = "  ".join(f"{name}={_plain(value)}" for name, value in event.fields.items() if value not in (None, ""))
    who = _plain(event.name or event.node[:SHORT_ID]) or DASH
    return f"{event.seq:>6}  {moment(event.time)}  {_plain(event.type):<7}  {who:<14}  {fields}".rstrip()


def _plain(value: str | float | None) -> str:
    return printable(str(value)).replace("\n", " ")
