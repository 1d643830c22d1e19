"""On which line of a TOML text each key stands: the reader of the standard library does not say.

Invariant: it is asked only of texts that were read already, so it finds keys and judges nothing.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

Path = tuple[str | int, ...]
"""The keys that lead to a value, and the places in lists on the way."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BLANK = re.compile(r"[ \t]*")
_BETWEEN = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_PLAIN = re.compile(r"[^,\]}\n#]*")
_STRINGS: Final = tuple(
    re.compile(each, re.DOTALL)
    for each in (
        r'"""(?:\\.|[^\\])*?"{3,5}(?!")',
        r"'''.*?'{3,5}(?!')",
        r'"(?:\\.|[^"\\])*"',
        r"'[^']*'",
    )
)
"""Those that may run over lines go first."""


def lines(text: str) -> Mapping[Path, int]:
    """The line of every key, and of every item of a list of tables, counted from 1."""
    reader = _Reader(text)
    reader.document()
    return reader.found


@dataclass(slots=True)
class _Reader:
    text: str
    at: int = 0
    found: dict[Path, int] = field(default_factory=dict)
    _line: int = 1
    _counted: int = 0
    """So far line ends are counted."""
    _items: dict[Path, int] = field(default_factory=dict)
    """How many tables each list has so far."""

    def document(self) -> None:
        table: Path = ()
        while self._skip(_BETWEEN) < len(self.text):
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Path:
        """`[table]` or `[[list of tables]]`; the path of what follows."""
        is_item = self.text.startswith("[[", self.at)
        line = self._here()
        self.at += 2 if is_item else 1
        keys = self._key()
        self.at += 2 if is_item else 1
        path: Path = ()
        for key in keys[:-1]:
            self.found.setdefault((*path, key), line)
            path = self._inside((*path, key))
        path = (*path, keys[-1])
        if not is_item:
            self.found.setdefault(path, line)
            return path
        number = self._items[path] = self._items.get(path, -1) + 1
        self.found.setdefault(path, line)
        self.found[*path, number] = line
        return (*path, number)

    def _inside(self, path: Path) -> Path:
        """What a key in a header leads to: in a list of tables the last one."""
        return (*path, self._items[path]) if path in self._items else path

    def _pair(self, table: Path) -> None:
        line, path = self._here(), table
        for key in self._key():
            path = (*path, key)
            self.found.setdefault(path, line)
        self.at += 1  # the equals sign
        self._skip(_BLANK)
        self._value(path)

    def _key(self) -> list[str]:
        """A key with dots between its parts, and the blanks around it."""
        keys: list[str] = []
        while True:
            self._skip(_BLANK)
            bare = _BARE.match(self.text, self.at)
            keys.append(bare[0] if bare else self._quoted())
            self.at = bare.end() if bare else self.at
            self._skip(_BLANK)
            if self.text[self.at] != ".":
                return keys
            self.at += 1

    def _quoted(self) -> str:
        start = self.at
        self._string()
        return next(iter(tomllib.loads(f"{self.text[start : self.at]} = 0")))

    def _value(self, path: Path) -> None:
        match self.text[self.at]:
            case "[":
                self._list(path)
            case "{":
                self._table(path)
            case '"' | "'":
                self._string()
            case _:
                self._skip(_PLAIN)

    def _list(self, path: Path) -> None:
        self.at += 1
        number = 0
        while self.text[self._skip(_BETWEEN)] != "]":
            if self.text[self.at] == ",":
                self.at += 1
                continue
            self.found[*path, number] = self._here()
            self._value((*path, number))
            number += 1
        self.at += 1

    def _table(self, path: Path) -> None:
        self.at += 1
        while self.text[self._skip(_BETWEEN)] != "}":
            if self.text[self.at] == ",":
                self.at += 1
                continue
            self._pair(path)
        self.at += 1

    def _string(self) -> None:
        matches = (each.match(self.text, self.at) for each in _STRINGS)
        self.at = next(each.end() for each in matches if each)

    def _skip(self, pattern: re.Pattern[str]) -> int:
        found = pattern.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return self.at

    def _here(self) -> int:
        """The line we are on."""
        self._line += self.text.count("\n", self._counted, self.at)
        self._counted = self.at
        return self._line
