"""A person is asked before what cannot be taken back; where nobody is, nothing is done.

Invariant: without an answer nothing happens.
"""

import sys
from typing import Final

from pulse.cli.output import is_terminal
from pulse.errors import ConfigError

DECLINED: Final = 1
"""Exit code of a command whose person said no."""


def agreed(question: str, otherwise: str) -> bool:
    """True if a person says yes. Raises ConfigError if there is none to ask; `otherwise` is what a script types."""
    if not (sys.stdin.isatty() and is_terminal()):
        raise ConfigError(f"nobody is here to be asked, so nothing is changed.\nIf it is meant: {otherwise}")
    if input(f"{question} [y/N] ").strip().lower() in ("y", "yes"):
        return True
    print("nothing is changed", file=sys.stderr)
    return False
