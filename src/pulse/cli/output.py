"""How answers are printed: JSON for programs, plain columns in a pipe, rich tables on a terminal.

Invariant: rich is imported for a terminal only, and nothing but layout differs between the two.
"""

import codecs
import io
import os
import shutil
import sys
from collections.abc import Sequence
from typing import Any, Final

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
    """Columns under `header`; those named in `right` are aligned to the right, those in `elastic` are cut to fit."""
    rows = fitted(header, rows, elastic, width())
    if is_terminal():
        _print_rich(header, rows, right)
    else:
        print("\n".join(plain_lines(header, rows, right)))


def plain_lines(header: Row, rows: Sequence[Row], right: frozenset[str] = frozenset()) -> list[str]:
    """The table as text: two spaces between columns, nothing cut."""
    widths = _widths(header, rows)
    lines = []
    for row in (header, *rows):
        cells = [
            cell.rjust(wide) if name in right else cell.ljust(wide)
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


def _cut(cell: str, wide: int) -> str:
    return cell if len(cell) <= wide else f"{cell[: wide - 1]}\N{HORIZONTAL ELLIPSIS}"


def _widths(header: Row, rows: Sequence[Row]) -> list[int]:
    return [max(map(len, column)) for column in zip(header, *rows, strict=True)]


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


def _print_rich(header: Row, rows: Sequence[Row], right: frozenset[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for name in header:
        table.add_column(name, justify="right" if name in right else "left", no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(highlight=False, no_color=not is_colourful()).print(table)
