"""One look at a node, or one each second: what `--watch` is in every command that has it.

Invariant: a pipe gets whole looks, one below the other, as soon as they are there.
"""

import sys
import time
from collections.abc import Callable
from typing import Annotated, Final, TypeVar

from cyclopts import Parameter

from pulse.cli.output import clear_screen, is_terminal, print_json

EVERY: Final = 1.0
"""Seconds between two looks."""

Watch = Annotated[bool, Parameter(help="Look again each second until Ctrl-C.")]

_T = TypeVar("_T")


def show(look: Callable[[], _T], draw: Callable[[_T], None], *, json: bool, watch: bool) -> _T:
    """Draw what `look` says, or print it as JSON; with `watch` again and again. What was said last."""
    while True:
        found = look()
        if json:
            print_json(found)
        else:
            if watch and is_terminal():
                clear_screen()
            draw(found)
        if not watch:
            return found
        sys.stdout.flush()
        time.sleep(EVERY)
