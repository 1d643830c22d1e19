"""`pulse version` with the data plane it runs on."""

import json
import platform

import pytest

from pulse import release
from tests.cli.shell import Shell

dataplane = pytest.importorskip("pulse._dataplane", exc_type=ImportError)


@pytest.mark.parametrize("typed", ["version", "--version"])
def test_both_halves_tell_their_version(shell: Shell, typed: str) -> None:
    done = shell.pulse(typed)

    assert done.code == 0
    assert f"data plane {dataplane.version()}" in done.out
    assert f"commit {release.shown(release.commit())}," in done.out
    assert platform.python_version() in done.out


def test_json_names_each_half(shell: Shell) -> None:
    told = json.loads(shell.pulse("version", "--json").out)

    assert set(told) == {"pulse", "commit", "dataplane", "python"}
    assert told["commit"] == release.commit()
