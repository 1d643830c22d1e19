"""`pulse ca rotate`: the CA gets another key, and nobody notices.

Invariant: nothing is begun that was not confirmed, or for a backup whose file is not to be made.
"""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pulse.calls.ca import CaCalls
from pulse.cli.asking import DECLINED, agreed
from pulse.cli.custody import written
from pulse.cli.output import print_json, print_pairs, print_table
from pulse.cli.values import DataDir, Json, place_of
from pulse.client import connect
from pulse.core.types import SHORT_ID, spaced
from pulse.errors import ConfigError, PulseError
from pulse.schemas.cert import AwaitedNode, CaRotation
from pulse.wording import DASH, counted, day, moment

_STEPS = {
    "introducing": "1 of 3: all nodes learn the new key, the old one signs",
    "renewing": "2 of 3: the new key signs, and all nodes get certificates under it",
    "retiring": "3 of 3: the old key is retired",
    "done": "none under way",
}

_NOT_AWAITED = (
    "A node without which it goes on is cut off once the old key is retired, if it has no certificate under\n"
    "the new one by then. It may still renew at any node's join port; if it does not, it joins again with a\n"
    "token (pulse invite). To shut it out for good: pulse revoke --node <node>"
)


def rotate(
    *,
    status: Annotated[bool, Parameter(help="Begin nothing: show how far it is, and who is waited for.")] = False,
    backup: Annotated[Path | None, Parameter(help="New file for a backup that holds the new key too.")] = None,
    without: Annotated[
        list[str] | None,
        Parameter(help="Begin nothing: wait no longer for this node, which does not follow; may be repeated."),
    ] = None,
    yes: Annotated[bool, Parameter(name=["--yes", "-y"], help="Do not ask.")] = False,
    json: Json = False,
    data_dir: DataDir = None,
) -> int:
    """Replace the CA's key by a new one, on the CA; it goes on by itself, over restarts too, until the old one is gone.

    No packet is lost, invites and tokens stay good, and the network stays the same one.
    """
    if without and (status or backup):
        raise ConfigError("--without begins nothing and shows how far it is: it goes without --status and --backup")
    if backup and (status or backup.exists() or not backup.parent.is_dir()):
        raise ConfigError("--backup names a new file, in a directory that is there, and goes without --status")
    with connect(data_dir) as client:
        if not (status or yes or (_given_up(without) if without else _confirmed())):
            return DECLINED
        if backup:
            _try(place_of(data_dir), backup)
        calls = CaCalls(client)
        found = calls.ca_rotation() if status else calls.ca_go_on_without(without) if without else calls.ca_rotate()
    if backup:
        _save(place_of(data_dir), backup)
    if json:
        print_json(found)
        return 0
    _show(found)
    if backup:
        print(f"The backup {backup} holds the new key. Keep it where only you can read it.")
    elif not (status or without):
        print("Earlier backups lack the new key. Type next: pulse ca backup <file>")
    return 0


def _try(data_dir: Path, backup: Path) -> None:
    """A backup of now, and away with it: what keeps it from being written is found before anything is begun."""
    written(data_dir, backup)
    backup.unlink()


def _save(data_dir: Path, backup: Path) -> None:
    """The new key is on disk once the CA answered, so it is in the backup."""
    try:
        written(data_dir, backup)
    except PulseError as error:
        raise type(error)(
            f"the key is being replaced, but no backup was written: {error}\nType next: pulse ca backup <file>"
        ) from error


def _show(found: CaRotation) -> None:
    print_pairs([
        ("step", _STEPS[found.step]),
        ("key", f"{spaced(found.key)}, replaced {counted(found.number, 'time')}"),
        ("begun", moment(found.begun) if found.begun else DASH),
        *((("without", ", ".join(each.name for each in found.without)),) if found.without else ()),
        ("next", found.following),
    ])  # fmt: skip
    _show_awaited(found)
    if found.without:
        print(_NOT_AWAITED)


def _show_awaited(found: CaRotation) -> None:
    if not found.awaited:
        return
    rows = [
        (each.name, each.id[:SHORT_ID], _reached(each), day(each.until) if each.until else DASH)
        for each in found.awaited
    ]
    print_table(("WAITS FOR", "ID", "REACHED", "UNTIL"), rows, elastic=frozenset({"WAITS FOR"}))
    if found.more:
        print(f"and {found.more} more")
    if not all(each.reached for each in found.awaited):
        print("Who is away gets its certificate once it is back. Who is gone for good: pulse revoke --node <node>")
    if stuck := [each.name for each in found.awaited if each.overdue]:
        print(f"Reached for hours, and not following: {', '.join(stuck)}. Start it again there.")
        print(f"To go on without it: pulse ca rotate --without {stuck[0]}")


def _reached(node: AwaitedNode) -> str:
    return "stuck" if node.overdue else "yes" if node.reached else "away"


def _given_up(nodes: list[str]) -> bool:
    if sys.stdin.isatty():
        print(_NOT_AWAITED)
    again = " ".join(f"--without {each}" for each in nodes)
    return agreed(f"Go on without {', '.join(nodes)}?", f"pulse ca rotate {again} --yes")


def _confirmed() -> bool:
    if sys.stdin.isatty():
        print("This makes a new key for the CA and, once all nodes have certificates under it, deletes the old one.")
        print("Backups of before are of no use then: --backup <file> writes one that holds the new key.")
    return agreed("Replace the CA's key?", "pulse ca rotate --yes")
