"""`pulse completion <shell>`: what a shell needs to complete commands and flags.

Invariant: the script is made from the commands themselves, so it knows what this version knows.
"""

from typing import Literal

from pulse.cli.app import app

Shell = Literal["bash", "zsh", "fish"]


def completion(shell: Shell, /) -> None:
    """Print what your shell needs to complete pulse's commands and flags.

    Parameters
    ----------
    shell
        bash, zsh or fish.
    """
    print(app.generate_completion(shell=shell))
