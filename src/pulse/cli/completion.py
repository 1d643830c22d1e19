"""`pulse completion <shell>`: what a shell needs to complete commands and flags.

Invariant: the script is made from the commands themselves, so it knows what this version knows.
"""

from typing import Literal

from pulse.cli.app import app

Shell = Literal["bash", "zsh", "fish"]


def completion(shell: Shell, /) -> None:
    """Print what a shell needs to complete commands and flags.

    bash: pulse completion bash > ~/.local/share/bash-completion/completions/pulse

    zsh: pulse completion zsh > <a directory of $fpath>/_cyclopts_pulse

    fish: pulse completion fish > ~/.config/fish/completions/pulse.fish

    Parameters
    ----------
    shell
        bash, zsh or fish.
    """
    print(app.generate_completion(shell=shell))
