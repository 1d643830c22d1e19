"""What listens where nobody asked for it: a default port is a courtesy, and may be another program's.

Invariant: a place that somebody asked for is listened at, or the node does not start.
"""

import logging
from collections.abc import Callable
from typing import TypeVar

from pulse.errors import PulseError

log = logging.getLogger(__name__)

_T = TypeVar("_T")


def unless_taken(listen: Callable[[], _T], *, asked: bool) -> tuple[_T | None, str]:
    """What listens, or None and why not: what happened, and what to do; raises that if the place was `asked` for."""
    try:
        return listen(), ""
    except PulseError as error:
        if asked:
            raise
        problem = " ".join(str(error).splitlines())
        log.warning("default port not listened on", extra={"error": problem})
        return None, problem
