"""`pulse ca …`: the roles it gives; and what it did, and that nobody changed the record of it.

Invariant: the journal is read over the control API; a broken chain is an error, not a remark.
"""

import time
from collections import deque
from typing import Annotated, Final

from cyclopts import App, Parameter

from pulse.calls.ca import CaCalls
from pulse.cli.output import print_json
from pulse.cli.values import DataDir, Json
from pulse.client import Client, connect
from pulse.errors import ConfigError, Damaged
from pulse.schemas.journal import JournalCheck, JournalEntry
from pulse.wording import moment

EVERY: Final = 1.0
"""Seconds between two looks of --follow."""

TIMES: Final = frozenset({"expires"})
"""Fields that are seconds since 1970."""

app = App(
    name="ca",
    help=(
        "Run the certificate authority: its roles, key and journal.\n\n"
        "On the CA; roles works everywhere.\n\nMore: pulse help roles, pulse help trust"
    ),
)
app.command("pulse.cli.roles:roles", name="roles", help="Show who has which role.")
app.command("pulse.cli.roles:grant", name="grant", help="Make a node scribe or operator.")
app.command(
    "pulse.cli.custody:backup",
    name="backup",
    help="Write the CA into one file, as secret as its key. Its node may go on running.",
)
app.command(
    "pulse.cli.custody:restore",
    name="restore",
    help="Put a CA back from a backup. It hears from the mesh whom it let in since, and signs from then on.",
)
app.command("pulse.cli.custody:sign", name="sign", help="Sign a certificate without a network, where no node runs.")
app.command("pulse.cli.rotation:rotate", name="rotate", help="Replace the CA's key while the mesh goes on.")
app.command("pulse.cli.roles:ungrant", name="ungrant", help="Take the role of operator from a node.")


@app.command
def log(
    *,
    verify: Annotated[bool, Parameter(help="Check the journal's hash chain from its first entry.")] = False,
    lines: Annotated[int, Parameter(name=["--lines", "-n"], help="How many of the newest entries (50).")] = 50,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"], help="Go on with new entries until Ctrl-C.")] = False,
    json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Show the CA's journal, oldest first; with --json one object a line."""
    if lines < 0:
        raise ConfigError(f"--lines: {lines} is no number of entries")
    with connect(data_dir) as client:
        if verify:
            _show_check(CaCalls(client).ca_verify(), json=json)
            return
        tail = tail_of(client, max(lines, 1))
        _show(tail[-lines:] if lines else [], json=json)
        newest = tail[-1].seq if tail else 0
        while follow:
            time.sleep(EVERY)
            newest = _show(CaCalls(client).ca_log(newest), json=json) or newest


def tail_of(client: Client, count: int) -> list[JournalEntry]:
    """The newest `count` entries of the CA's journal, oldest first."""
    newest: deque[JournalEntry] = deque(maxlen=count)
    after = 0
    while page := CaCalls(client).ca_log(after):
        newest.extend(page)
        after = page[-1].seq
    return [*newest]


def _show_check(found: JournalCheck, *, json: bool) -> None:
    if json:
        print_json(found)
    if found.broken is not None:
        after = "" if found.time is None else f" (written after {moment(found.time)})"
        raise Damaged(
            f"entry {found.broken} of the CA's journal{after} is not what pulse wrote: {found.reason}.\n"
            "Compare the ledger with a backup, and find out who could write to it."
        )
    if not json:
        print(f"all {found.entries} entries hold")


def _show(entries: list[JournalEntry], *, json: bool) -> int:
    """Number of the last entry shown, 0 if there was none."""
    for entry in entries:
        if json:
            print_json(entry)
        else:
            print(_line(entry), flush=True)
    return entries[-1].seq if entries else 0


def _line(entry: JournalEntry) -> str:
    fields = "  ".join(f"{name}={_shown(name, value)}" for name, value in entry.fields.items() if value is not None)
    return f"{entry.seq:>5}  {moment(entry.time)}  {entry.event:<18}  {fields}".rstrip()


def _shown(name: str, value: str | float) -> str:
    return moment(value) if name in TIMES and isinstance(value, (int, float)) else str(value)
