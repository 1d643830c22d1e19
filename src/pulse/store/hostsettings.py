"""What to put back: settings of this host that a node changed for as long as it runs, kept on disk before the change.

Invariant: a setting is written down durably before it is changed, so a start after a crash finds what to put back.
"""

from pathlib import Path
from typing import Annotated, Final

import msgspec

from pulse.core.messages import Wire, pack
from pulse.core.types import ShortText
from pulse.store.files import read_kept, write_checked

_FILE: Final = "hostsettings"
_NEXT_STEP: Final = "What a run before changed stays: see sysctl net.ipv4.ip_forward"
MOST: Final = 256


class Changed(Wire, frozen=True):
    """One setting that was changed."""

    name: ShortText
    """Its path under /proc/sys."""
    before: ShortText
    ours: ShortText
    """What it was changed to: another value by now is somebody else's, and stays."""


class _Journal(Wire, frozen=True):
    changed: Annotated[list[Changed], msgspec.Meta(max_length=MOST)]


_decoder = msgspec.msgpack.Decoder(_Journal)


def load(data_dir: Path) -> tuple[list[Changed], str | None]:
    """What is to be put back, in the order in which it was changed, and a warning to log if it cannot be read."""
    found, warning = read_kept(data_dir / _FILE, _FILE, _NEXT_STEP, _decoder.decode)
    return found.changed if found else [], warning


def save(data_dir: Path, changed: list[Changed]) -> None:
    """Keep these and no others."""
    write_checked(data_dir / _FILE, _FILE, pack(_Journal(changed)))
