"""Whether a person had this machine's resolver set up: `pulse setup dns` counts for every later start.

Invariant: `save` returns only when it is durable; a bad file counts as no, and costs one warning, not the start.
"""

from pathlib import Path
from typing import Final

from pulse.store.files import read_or_warn, write_checked

_FILE: Final = "resolver"
_ON: Final = b"on\n"
_OFF: Final = b"off\n"
_NEXT_STEP: Final = "Names under .pulse are not asked of this node now. Set it up again: pulse setup dns"


def save(data_dir: Path, *, wanted: bool) -> None:
    """Keep that choice. Raises SystemRefused."""
    write_checked(data_dir / _FILE, _FILE, _ON if wanted else _OFF)


def load(data_dir: Path) -> tuple[bool, str | None]:
    """The choice kept, and a warning to log if there was one that could not be read."""
    found, warning = read_or_warn(data_dir / _FILE, _FILE, _NEXT_STEP, bytes)
    return found == _ON, warning
