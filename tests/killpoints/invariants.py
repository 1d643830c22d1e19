"""What must hold of data directories after any fault, whoever was killed at what.

Invariant: nothing here changes a file of theirs.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from msgspec import json

JOURNALED = ("certificate issued", "certificate renewed")


def all_certificates_are_journaled(data: Path) -> None:
    """I5: the ledger has a line for each certificate it has, and no line tells of another."""
    with closing(sqlite3.connect(f"file:{data / 'ca' / 'ledger.sqlite'}?mode=ro", uri=True)) as ledger:
        # Of one moment, whatever the CA does meanwhile.
        ledger.execute("BEGIN")
        issued = {row[0] for row in ledger.execute("SELECT serial FROM certificates")}
        entries = [json.decode(row[0]) for row in ledger.execute("SELECT entry FROM journal ORDER BY seq")]
        overused = ledger.execute("SELECT count(*) FROM tokens WHERE max_uses > 0 AND uses > max_uses").fetchone()[0]
    told = [entry["fields"]["serial"] for entry in entries if entry["event"] in JOURNALED]
    assert len(told) == len({*told}), told
    assert {*told} == issued, issued ^ {*told}
    assert overused == 0, overused


def all_is_private_and_whole(data: Path) -> None:
    """I9: nobody else can read a file, and no half-written one is left behind by an earlier life."""
    started = (data / "lock").stat().st_mtime
    for path in data.rglob("*"):
        try:
            found = path.lstat()
        except FileNotFoundError:
            continue
        assert not found.st_mode & 0o077 or path.is_socket(), path
        left = path.name.startswith(".") and path.name.endswith(".new")
        assert not left or found.st_mtime >= started, path
