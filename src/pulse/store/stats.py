"""The scribe's totals of traffic by node.

Invariant: `save` returns only when they are durable; a bad file costs the totals so far and one warning, not the start.
"""

from pathlib import Path
from typing import Final

import msgspec

from pulse.core.messages import pack
from pulse.core.stats import Book, Totals
from pulse.store.files import read_kept, write_checked

_FILE: Final = "stats"
_NEXT_STEP: Final = "Traffic is summed anew; nodes that run tell again what they counted since they started"

_decoder = msgspec.msgpack.Decoder(Book)


def save(data_dir: Path, totals: Totals) -> None:
    """Keep these totals, in place of those before."""
    write_checked(data_dir / _FILE, _FILE, pack(totals.book()))


def load(data_dir: Path) -> tuple[Totals, str | None]:
    """The totals kept, and a warning to log if there were some that could not be read."""
    found, warning = read_kept(data_dir / _FILE, _FILE, _NEXT_STEP, _decoder.decode)
    return Totals.of(found) if found else Totals(), warning
