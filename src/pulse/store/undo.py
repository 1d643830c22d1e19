"""What a node set on this machine and has to put back, also after a crash: written before it is set.

Invariant: what was set is on the list, though not all on the list may be set; a damaged list names what to look at.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

import msgspec

from pulse.core.messages import Wire, pack
from pulse.core.types import ShortText
from pulse.store.files import read_kept, write_checked

MOST: Final = 64

_FILE: Final = "undo"
_NEXT_STEP: Final = "It said what a node that crashed left set on this machine. See: resolvectl status, resolvconf -l"


class Undo(Wire, frozen=True):
    """One thing to put back: who has it set, and where."""

    kind: ShortText
    place: ShortText


class _List(Wire, frozen=True):
    entries: Annotated[list[Undo], msgspec.Meta(max_length=MOST)]


_decoder = msgspec.msgpack.Decoder(_List)


def add(data_dir: Path, entry: Undo) -> None:
    """Have it on the list; durable when this returns. Raises SystemRefused."""
    entries, _ = load(data_dir)
    if entry not in entries:
        _save(data_dir, [*entries, entry][-MOST:])


def remove(data_dir: Path, entry: Undo) -> None:
    """It was put back. Raises SystemRefused."""
    entries, _ = load(data_dir)
    if entry in entries:
        _save(data_dir, [each for each in entries if each != entry])


def load(data_dir: Path) -> tuple[list[Undo], str | None]:
    """The list, and a warning to log if there was one that could not be read."""
    found, warning = read_kept(data_dir / _FILE, _FILE, _NEXT_STEP, _decoder.decode)
    return found.entries if found else [], warning


def _save(data_dir: Path, entries: Iterable[Undo]) -> None:
    write_checked(data_dir / _FILE, _FILE, pack(_List(list(entries))))
