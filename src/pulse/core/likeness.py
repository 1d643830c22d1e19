"""The known word that a mistyped one was perhaps meant to be.

Invariant: one measure of likeness, wherever a word is refused because nothing is called so.
"""

from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches
from typing import Final

LIKE: Final = 0.6
"""How much alike two words are at least: parts of all letters."""


def is_close(word: str, other: str, least: float) -> bool:
    """True if two words are at least so much alike, letters in their order."""
    return SequenceMatcher(None, word, other).ratio() >= least


def nearest(word: str, known: Iterable[str], least: float = LIKE) -> str:
    """The known word most like `word`, or nothing if none is at least so much alike; its very letters go first."""
    known = [*known]
    if swapped := next((each for each in known if sorted(each) == sorted(word)), ""):
        return swapped
    return next(iter(get_close_matches(word, known, n=1, cutoff=least)), "")


def meant(word: str, known: Iterable[str]) -> str:
    """` Did you mean x?`, to follow a sentence; nothing if nothing known is like it."""
    near = nearest(word, known)
    return f" Did you mean {near}?" if near else ""
