"""The pins of this node: what a person decided here, and nobody else can tell again.

Invariant: `save` returns only when they are durable; a bad file costs its contents and one warning, not the start.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec

from pulse.core.messages import Wire, pack
from pulse.core.paths.pins import MOST_PINS
from pulse.core.types import NodeId, ShortText
from pulse.errors import Damaged, NotFound
from pulse.store.files import read_checked, write_checked

_FILE: Final = "pins"
_NEXT_STEP: Final = "No node is pinned now. Pin them again: pulse pin <node> <via>"


class _Pin(Wire, frozen=True):
    node: ShortText
    via: ShortText


class _Pins(Wire, frozen=True):
    pins: Annotated[list[_Pin], msgspec.Meta(max_length=MOST_PINS)]


_decoder = msgspec.msgpack.Decoder(_Pins)


def save(data_dir: Path, pins: Mapping[NodeId, NodeId]) -> None:
    """Keep these pins, node to neighbour, and no others."""
    write_checked(data_dir / _FILE, _FILE, pack(_Pins([_Pin(node, via) for node, via in pins.items()])))


def load(data_dir: Path) -> tuple[dict[NodeId, NodeId], str | None]:
    """The pins kept, and a warning to log if there were some that could not be read."""
    path = data_dir / _FILE
    try:
        kept = _decoder.decode(read_checked(path, _FILE, _NEXT_STEP)).pins
    except NotFound:
        return {}, None
    except Damaged as error:
        return {}, str(error)
    except msgspec.DecodeError as error:
        return {}, f"{path} cannot be read: {error}.\n{_NEXT_STEP}"
    return {NodeId(pin.node): NodeId(pin.via) for pin in kept}, None
