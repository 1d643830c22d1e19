"""Keys to the scribe's HTTP API: what a program shows that asks over TCP.

A key is 32 random bytes, so a plain hash of it is as hard to turn round as the key is to guess. Invariant: what is
kept can open nothing.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pulse.core.trust.tokens import SECRET_BYTES, base64url
from pulse.core.types import SHORT_ID

PREFIX: Final = "plk_"
"""What a key begins with, so that people and scanners know one when they see it."""

MOST_KEYS: Final = 64
"""Keys of one node: each request is compared with all of them."""

_KEY: Final = re.compile(PREFIX + r"[A-Za-z0-9_-]{43}")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class Scope(StrEnum):
    """What a key is good for."""

    READ = "read"
    WRITE = "write"

    def covers(self, needed: "Scope") -> bool:
        """Who may write may read."""
        return self is needed or self is Scope.WRITE


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as the node keeps it."""

    sha256: bytes
    name: str
    scope: Scope
    created: float

    @property
    def key_id(self) -> str:
        """How people name it besides its name: the first digits of its hash."""
        return self.sha256.hex()[:SHORT_ID]


def key_from(random: bytes) -> str:
    """A new key of 47 characters from 32 random bytes."""
    if len(random) != SECRET_BYTES:
        raise ValueError(f"a key is made of {SECRET_BYTES} random bytes, not {len(random)}")
    return PREFIX + base64url(random)


def digest(text: str) -> bytes:
    """What is kept of a key."""
    return hashlib.sha256(text.encode()).digest()


def find(keys: Iterable[ApiKey], text: str) -> ApiKey | None:
    """The key that `text` is, or None; takes the same time whichever it is."""
    if not _KEY.fullmatch(text):
        return None
    shown = digest(text)
    found = [key for key in keys if hmac.compare_digest(key.sha256, shown)]
    return found[0] if found else None


def is_key_name(text: str) -> bool:
    """True if `text` can name a key."""
    return _NAME.fullmatch(text) is not None
