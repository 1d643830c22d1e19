"""What a process has in its memory, read as somebody with root on its machine can: is a text somewhere in it?

Invariant: every readable byte is looked at, in pieces that overlap, and the process is only read.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pulse.errors import SystemRefused

PIECE: Final = 4 << 20
"""Bytes read at once."""


@dataclass(frozen=True, slots=True)
class Searched:
    """How much was looked at, and how often the text was there."""

    size: int
    found: int


def search(pid: int, text: bytes) -> Searched:
    """Look for `text` in all of a process's memory. Raises SystemRefused if it may not be read."""
    size = found = 0
    try:
        regions = list(_readable(pid))
        memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    except OSError as error:
        raise SystemRefused(f"the memory of process {pid} cannot be read: {error.strerror}") from error
    try:
        for start, end in regions:
            for piece, fresh in _pieces(memory, start, end, len(text) - 1):
                size += fresh
                found += piece.count(text)
    finally:
        os.close(memory)
    return Searched(size, found)


def _readable(pid: int) -> Iterator[tuple[int, int]]:
    """Where its readable memory begins and ends, piece by piece."""
    for line in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace").splitlines():
        place, rights, *_ = line.split()
        if rights.startswith("r"):
            start, _, end = place.partition("-")
            yield int(start, 16), int(end, 16)


def _pieces(memory: int, start: int, end: int, overlap: int) -> Iterator[tuple[bytes, int]]:
    """The bytes of one region, each piece with the last bytes of the one before, and how many of it are new."""
    tail = b""
    while start < end:
        try:
            piece = os.pread(memory, min(PIECE, end - start), start)
        except (OSError, OverflowError):
            return  # the kernel's own pages, or a mapping that went meanwhile
        if not piece:
            return
        yield tail + piece, len(piece)
        tail = (tail + piece)[-overlap:] if overlap else b""
        start += len(piece)
