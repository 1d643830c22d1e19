"""The boot count: how often this node started, raised on disk before it says anything.

What it announced in an earlier life is void by that, whatever became of its memory. Invariant: `raise_boot`
returns only when the number is durable; one that cannot be read is never passed off as the first.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pulse.core.paths.noderecord import NUMBER_LIMIT
from pulse.errors import Damaged, NotFound
from pulse.store.files import read_checked, write_checked

_FILE: Final = "boot"
_DIGITS: Final = 10
_NEXT_STEP: Final = (
    "It starts again at 1; as soon as a neighbour shows what this node announced before, the count goes above that. "
    "Nothing needs to be done."
)


@dataclass(frozen=True, slots=True)
class Boot:
    """The count of this start."""

    count: int
    warning: str | None = None
    """Set if an earlier count was there and is lost: then neighbours may know a higher one."""


def raise_boot(data_dir: Path) -> Boot:
    """Count one more start, durably."""
    before, warning = _read(data_dir / _FILE)
    count = min(before + 1, NUMBER_LIMIT)
    save_boot(data_dir, count)
    return Boot(count, warning)


def save_boot(data_dir: Path, count: int) -> None:
    """Keep a count, durably: a neighbour showed a higher one than ours."""
    write_checked(data_dir / _FILE, _FILE, str(count).encode())


def _read(path: Path) -> tuple[int, str | None]:
    try:
        text = read_checked(path, _FILE, _NEXT_STEP)
    except NotFound:
        return 0, None
    except Damaged as error:
        return 0, str(error)
    if not text.isdigit() or len(text) > _DIGITS or int(text) > NUMBER_LIMIT:
        return 0, f"{path} holds no boot count.\n{_NEXT_STEP}"
    return int(text), None
