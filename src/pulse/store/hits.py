"""The scribe's sums of hits by rule.

Invariant: `save` returns only when they are durable; a bad file costs the sums so far and one warning, not the start.
"""

from pathlib import Path
from typing import Final

import msgspec

from pulse.core.messages import pack
from pulse.core.network.tally import Ledgered, Tally
from pulse.store.files import read_kept, write_checked

_FILE: Final = "hits"
_NEXT_STEP: Final = "Hits are summed anew; nodes that run tell again what they counted since they started"

_decoder = msgspec.msgpack.Decoder(Ledgered)


def save(data_dir: Path, tally: Tally) -> None:
    """Keep this tally, in place of the one before."""
    write_checked(data_dir / _FILE, _FILE, pack(tally.ledgered()))


def load(data_dir: Path) -> tuple[Tally, str | None]:
    """The tally kept, and a warning to log if there was one that could not be read."""
    found, warning = read_kept(data_dir / _FILE, _FILE, _NEXT_STEP, _decoder.decode)
    return Tally.of(found) if found else Tally(), warning
