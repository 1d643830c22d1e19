"""`pulse dns …`: what names under `.pulse` say besides those of the nodes, which need no record.

Invariant: parse, one call, print.
"""

import sys
from typing import Annotated

from cyclopts import App, Parameter

from pulse.calls.dns import DnsCalls
from pulse.cli.output import print_json, print_table
from pulse.cli.values import DataDir, Json
from pulse.client import connect
from pulse.schemas.dns import RecordRef, RecordRequest, RecordView, ZoneChange

app = App(
    name="dns",
    help=(
        "Keep what names under .pulse say besides those of the nodes.\n\n"
        "Edits on the scribe, the CA or an operator, lists on every node.\n\nMore: pulse help names"
    ),
)

Ttl = Annotated[int | None, Parameter(help="Seconds for which an answer may be kept (60).")]


@app.default
@app.command(name="list")
def list_records(*, json: Json = False, data_dir: DataDir = None) -> None:
    """List the records; every node has its name without one."""
    with connect(data_dir) as client:
        found = DnsCalls(client).records()
    if json:
        print_json(found)
    elif found:
        print_table(("NAME", "TYPE", "VALUE", "TTL"), [_row(each) for each in found], frozenset({"TTL"}))
    else:
        print("no records (make one: pulse dns add db.pulse CNAME vm-01.pulse)")


@app.command
def add(
    name: str,
    type_: Annotated[str, Parameter(name="type")],
    value: str,
    /,
    *,
    ttl: Ttl = None,
    json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Have a record beside the others.

    Parameters
    ----------
    name
        What it is of: db.pulse, or db.
    type_
        A, AAAA, CNAME, TXT or SRV.
    value
        An address, a name, a text; for SRV priority, weight, port and name: '0 0 5432 db.pulse'.
    """
    with connect(data_dir) as client:
        done = DnsCalls(client).add(RecordRequest(name, type_, value, ttl))
    _show(done, "added", json=json)


@app.command
def remove(
    name: str,
    type_: Annotated[str, Parameter(name="type")],
    value: str = "",
    /,
    *,
    json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Take away all records of a name and type, or of several the one of that value.

    Parameters
    ----------
    name
        What they are of.
    type_
        A, AAAA, CNAME, TXT or SRV.
    value
        Of the one that is meant, if there are several.
    """
    with connect(data_dir) as client:
        done = DnsCalls(client).remove(RecordRef(name, type_, value))
    _show(done, "removed", json=json)


def _show(done: ZoneChange, what: str, *, json: bool) -> None:
    if json:
        print_json(done)
        return
    for each in done.records:
        print(f"{what} {each.name} {each.type} {each.value}, ttl {each.ttl} s")
    print(f"network config {done.version}")
    if done.note:
        print(f"note: {done.note}", file=sys.stderr)


def _row(record: RecordView) -> tuple[str, ...]:
    return record.name, record.type, record.value, str(record.ttl)
