"""`pulse demo` as people run it."""

import json
import subprocess
import sys

from tests.leftovers import leftovers
from tests.namespace import require_root


def test_the_demo_shows_what_it_says_and_leaves_nothing() -> None:
    require_root()
    before = leftovers()

    command = [sys.executable, "-m", "pulse", "demo", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)

    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    for point in ("ok", "hash_equal", "stranger_refused", "wrong_token_refused", "token_reuse_refused", "clean"):
        assert told[point] is True, point
    assert told["raw_gbit"] > 0
    assert told["mesh_gbit"] > 0
    assert leftovers() <= before
