"""The ways beyond the mesh as services that tell of them see them: how they are, and what is wrong.

Invariant: nothing here changes one.
"""

from typing import Protocol


class Exits(Protocol):
    """Who leads packets to exits."""

    bypasses: tuple[str, ...]
    """Routes of this host by which packets for the Internet go past the exit in use."""

    @property
    def problem(self) -> str:
        """Why packets do not go through exits as they should, and what to do about it; empty if they do."""
        ...

    def refused(self) -> list[str]:
        """Approved ranges that no exit carries now."""
        ...


class ExitNode(Protocol):
    """Who lets others out here."""

    left: str
    """What an earlier run may have left, and what to do about it; empty if nothing."""

    @property
    def problem(self) -> str:
        """Why not all get out whose ranges are approved, and what to do about it; empty if they do, or none is."""
        ...
