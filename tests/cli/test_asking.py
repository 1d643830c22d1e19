"""A person is asked, and nothing happens without a yes."""

import os
import pty
import subprocess
import sys

import pytest

from pulse.cli.asking import agreed
from pulse.errors import ConfigError


def test_nobody_to_ask_is_an_error_that_names_what_a_script_types() -> None:
    with pytest.raises(ConfigError, match=r"nothing is changed\.\nIf it is meant: pulse x --yes$"):
        agreed("Do it?", "pulse x --yes")


@pytest.mark.parametrize(("typed", "told"), [("y", "True"), ("YES", "True"), ("n", "False"), ("", "False")])
def test_only_yes_is_yes(typed: str, told: str) -> None:
    master, terminal = pty.openpty()
    asks = "from pulse.cli.asking import agreed; print(agreed('Do it?', ''), flush=True)"
    with subprocess.Popen([sys.executable, "-c", asks], stdin=terminal, stdout=terminal, stderr=terminal) as asking:
        os.write(master, f"{typed}\n".encode())
        assert asking.wait(30) == 0
    assert told in os.read(master, 4096).decode()
    os.close(terminal)
    os.close(master)
