"""Small meshes whose nodes choose whom to have links with, as those of large ones do: only there holes must be punched.

Where everybody dials everybody, both ends of a pair knock at each other's NATs, and those are open before anybody asks.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from pulse.core.paths import wanted


@contextmanager
def sparse(by_hash: int) -> Iterator[None]:
    """Each node keeps links with two that strangers reach, with whom it had traffic, and with so many others."""
    with patch.object(wanted, "SMALL", 1), patch.object(wanted, "BY_HASH", by_hash):
        yield
