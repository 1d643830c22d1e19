"""What a node set on this machine and has to put back, also after a crash: written before it is set.

It is there twice, for nobody could tell otherwise what was before. Invariant: what was set is on the list, though not
all on the list may be set; where both are damaged, that names what to look at.
"""

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import msgspec

from pulse.core.messages import Wire, pack
from pulse.core.types import ShortText
from pulse.errors import SystemRefused
from pulse.store.files import read_or_warn, write_checked

MOST: Final = 256

_FILE: Final = "undo"
_COPY: Final = "undo.copy"
_NEXT_STEP: Final = (
    "It said what a node that crashed left set on this machine.\n"
    "See: resolvectl status, resolvconf -l, sysctl net.ipv4.ip_forward. Then: rm {}"
)


class Kind(StrEnum):
    """What may be set by others than resolvers, which go by their own names."""

    SYSCTL = "sysctl"
    """`place` is its path under /proc/sys."""
    FIREWALL = "nftables"
    """`place` is our table."""
    ROUTES = "routes"
    """`place` is our table, to which rules lead."""


class Undo(Wire, frozen=True):
    """One thing to put back: who has it set, and where."""

    kind: ShortText
    place: ShortText
    before: ShortText = ""
    """What it said before, where it said something."""
    ours: ShortText = ""
    """What it was changed to: another value by now is somebody else's, and stays."""


class _List(Wire, frozen=True):
    entries: Annotated[list[Undo], msgspec.Meta(max_length=MOST)]


_decoder = msgspec.msgpack.Decoder(_List)


def add(data_dir: Path, entry: Undo) -> None:
    """Have it on the list, durable when this returns; of one place the first entry stays, which knows what was before.

    Raises SystemRefused, also for more than the list holds: what is not on it must not be set.
    """
    entries, _ = load(data_dir)
    if any((each.kind, each.place) == (entry.kind, entry.place) for each in entries):
        return
    if len(entries) >= MOST:
        raise SystemRefused(
            f"{data_dir / _FILE} is full: {MOST} things are set on this machine, so {entry.place} is not"
        )
    _save(data_dir, [*entries, entry])


def remove(data_dir: Path, *done: Undo) -> None:
    """They were put back. Raises SystemRefused."""
    entries, _ = load(data_dir)
    left = [each for each in entries if each not in done]
    if left != entries:
        _save(data_dir, left)


def load(data_dir: Path) -> tuple[list[Undo], str | None]:
    """The list in the order in which it was set, and a warning to log if there was one that could not be read."""
    next_step = _NEXT_STEP.format(f"{data_dir / _FILE} {data_dir / _COPY}")
    found, warning = read_or_warn(data_dir / _FILE, _FILE, next_step, _decoder.decode)
    if found is None:
        found, _ = read_or_warn(data_dir / _COPY, _FILE, next_step, _decoder.decode)
    return (found.entries, None) if found else ([], warning)


def _save(data_dir: Path, entries: Iterable[Undo]) -> None:
    body = pack(_List(list(entries)))
    for name in (_FILE, _COPY):
        write_checked(data_dir / name, _FILE, body)
