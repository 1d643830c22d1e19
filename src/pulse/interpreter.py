"""How a program of pulse starts another of its own.

Invariant: no module is taken from the directory somebody stands in: as root that would be anybody's code.
"""

import sys


def program(module: str, *words: str) -> list[str]:
    """The command line that runs a module of this installation with these arguments."""
    return [sys.executable, "-P", "-m", module, *words]
