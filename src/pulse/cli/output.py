"""How answers are printed: JSON for programs, columns for people.

Invariant: a terminal and a pipe get the same words, and nobody's words hide another's.
"""

import codecs
import io
import os
import shutil
import sys
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Final
from unicodedata import combining, east_asian_width

import msgspec

from pulse.wording import DASH

PIPE_WIDTH: Final = 80
GAP: Final = "  "
"""Between two columns."""

SHORTEST: Final = 8
"""Characters to which a cell may be cut: still a name."""

Row = Sequence[str]


PLAIN: Final = {DASH: "-", "…": "...", "→": "->", "·": "|", "✓": "ok", "∞": "-", "↓": "v", "↑": "^", "≥": ">="}
"""What stands for characters of ours in a locale that has not got them."""


def write_plainly() -> None:
    """From now on a character that the locale has not got is written as one that it has, instead of ending us."""
    codecs.register_error("pulse.plain", _in_plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and codecs.lookup(stream.encoding).name != "utf-8":
            stream.reconfigure(errors="pulse.plain")


def _in_plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(PLAIN.get(each, "?") for each in error.object[error.start : error.end]), error.end


def is_terminal() -> bool:
    """True if a person reads standard output."""
    return sys.stdout.isatty()


def width() -> int:
    """Columns to fit into."""
    return shutil.get_terminal_size((PIPE_WIDTH, 24)).columns if is_terminal() else PIPE_WIDTH


def print_json(value: Any) -> None:
    """One JSON value on one line; escaped where the terminal or pipe does not take UTF-8."""
    text = msgspec.json.encode(value).decode()
    if not (text.isascii() or takes_utf8()):
        from json import dumps, loads

        text = dumps(loads(text), separators=(",", ":"))
    print(text)


def print_table(
    header: Row, rows: Sequence[Row], right: frozenset[str] = frozenset(), elastic: frozenset[str] = frozenset()
) -> None:
    """Columns under `header`; those named in `right` are aligned to the right, those in `elastic` are cut to fit.

    What does not fit for all that is on the next line of the terminal: nobody's words take another column away.
    """
    title, *lines = plain_lines(header, fitted(header, rows, elastic, width()), right)
    print("\n".join([f"\x1b[1m{title}\x1b[0m" if is_colourful() else title, *lines]))


def plain_lines(header: Row, rows: Sequence[Row], right: frozenset[str] = frozenset()) -> list[str]:
    """The table as text: two spaces between columns, nothing cut."""
    widths = _widths(header, rows)
    lines = []
    for row in (header, *rows):
        cells = [
            " " * (wide - cells_of(cell)) + cell if name in right else cell + " " * (wide - cells_of(cell))
            for name, cell, wide in zip(header, row, widths, strict=True)
        ]
        lines.append(GAP.join(cells).rstrip())
    return lines


def fitted(header: Row, rows: Sequence[Row], elastic: frozenset[str], room: int) -> list[Row]:
    """The rows with cells of `elastic` columns cut, the widest first, until the table fits or all are short."""
    widths = _widths(header, rows)
    cuttable = [place for place, name in enumerate(header) if name in elastic]
    while sum(widths) + len(GAP) * (len(widths) - 1) > room:
        widest = max(cuttable, key=widths.__getitem__, default=None)
        if widest is None or widths[widest] <= SHORTEST:
            break
        widths[widest] -= 1
    return [[_cut(cell, wide) for cell, wide in zip(row, widths, strict=True)] for row in rows]


def cells_of(text: str) -> int:
    """Columns of the terminal that a text takes: characters of some scripts take two each, and marks none."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(character: str) -> int:
    return 0 if combining(character) else 1 + (east_asian_width(character) in "WF")


def _cut(cell: str, wide: int) -> str:
    if cells_of(cell) <= wide:
        return cell
    ends = accumulate(map(_cells, cell))
    kept = sum(end < wide for end in ends)
    return f"{cell[:kept]}\N{HORIZONTAL ELLIPSIS}"


def _widths(header: Row, rows: Sequence[Row]) -> list[int]:
    return [max(map(cells_of, column)) for column in zip(header, *rows, strict=True)]


def print_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    """Names and values, one a line."""
    wide = max(len(name) for name, _ in pairs)
    print("\n".join(f"{name.ljust(wide)}  {value}" for name, value in pairs))


def beside(left: str, right: str) -> str:
    """Both on one line, the second at the right margin, or below where it does not fit."""
    room = width() - len(left) - len(right)
    return f"{left}{' ' * room}{right}" if room >= 2 else f"{left}\n{right}"


def tick(text: str) -> None:
    """A step is done."""
    print(f"✓ {text}" if takes_utf8() else f"ok: {text}", flush=True)


def takes_utf8() -> bool:
    """False in a locale that has fewer characters."""
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def clear_screen() -> None:
    """Begin at the top of an empty screen."""
    print("\x1b[H\x1b[2J", end="")


def is_colourful() -> bool:
    """False where colour is not wanted (no-color.org)."""
    return is_terminal() and not os.environ.get("NO_COLOR")
