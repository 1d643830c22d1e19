"""What nodes have counted, as the scribe keeps it: a file for each kind of counters.

Invariant: `save` returns only when it is durable; a bad file costs the sums so far and one warning, not the start.
"""

from pathlib import Path

import msgspec

from pulse.core.messages import pack
from pulse.core.network.tally import Kind, Ledgered, Tally
from pulse.store.files import read_or_warn, write_checked

_decoder = msgspec.msgpack.Decoder(Ledgered)


def save(data_dir: Path, tally: Tally) -> None:
    """Keep this tally, in place of the one before."""
    name = tally.kind.name
    write_checked(data_dir / name, name, pack(tally.ledgered()))


def load(data_dir: Path, kind: Kind) -> tuple[Tally, str | None]:
    """The tally kept, and a warning to log if there was one that could not be read."""
    next_step = f"The {kind.name} of all nodes are summed anew; those that run tell again what they counted"
    found, warning = read_or_warn(data_dir / kind.name, kind.name, next_step, _decoder.decode)
    return Tally.of(kind, found) if found else Tally(kind), warning
