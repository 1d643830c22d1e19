"""JSON that means one thing to every reader: no object says one name twice.

RFC 8259 §4 leaves open which of two values counts: whoever looks a text over before it comes here might see the other.
"""

import json
from collections import Counter
from typing import Any

from pulse.core.messages import printable
from pulse.errors import ConfigError

_SHOWN = 64


def decode(text: bytes | str) -> Any:
    """What a JSON text says. Raises ValueError, RecursionError, or ConfigError for a name that is there twice."""
    return json.loads(text, object_pairs_hook=_once)


def check(text: bytes) -> None:
    """Raise ConfigError for a name that is there twice, in a text that is known to be JSON."""
    # Numbers are left as they are written: of very long ones Python makes no integers.
    json.loads(text, object_pairs_hook=_once, parse_int=str, parse_float=str)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = Counter(name for name, _ in pairs)
        twice = next(name for name, count in names.items() if count > 1)
        raise ConfigError(
            f'"{printable(twice)[:_SHOWN]}" is there twice in one object. Leave out the one you do not mean'
        )
    return found
