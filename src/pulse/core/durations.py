"""Lengths of time as people write them: `30m`, `4h`, `7d`, `1h30m`.

Invariant: what cannot be read is refused with an example of what can.
"""

import re
from typing import Final

from pulse.errors import ConfigError

_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")


def is_duration(text: str) -> bool:
    """True if it is written like a duration, be it of no time at all."""
    return _DURATION.fullmatch(text) is not None


def parse_duration(text: str) -> float:
    """Seconds of `30m`, `4h`, `7d` or `1h30m`; raises ConfigError."""
    if not is_duration(text):
        raise ConfigError(f'"{text[:80]}" is no duration. Write 30s, 15m, 4h, 7d or 1h30m')
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    if seconds <= 0:
        raise ConfigError(f'"{text[:80]}" is no time at all. Write 30s, 15m, 4h or 7d')
    return seconds


def duration_text(seconds: int) -> str:
    """Whole seconds as people write them: `4h`, `1h30m`, `1w`."""
    parts, left = [], seconds
    for unit, length in sorted(_UNITS.items(), key=lambda each: -each[1]):
        number, left = divmod(left, int(length))
        parts += [f"{number}{unit}"] if number else []
    return "".join(parts)
