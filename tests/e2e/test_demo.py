"""`pulse demo` as people run it."""

import json
import subprocess
import sys

import pytest

from tests.leftovers import leftovers
from tests.namespace import require_root

pytestmark = pytest.mark.alone

POINTS = (
    "ok", "hash_equal", "stranger_refused", "wrong_token_refused", "token_reuse_refused", "clean",
    "relay_ping", "canary_absent", "direct_after_join", "direct_survives_relay_kill",
)  # fmt: skip


def test_the_demo_shows_what_it_says_and_leaves_nothing() -> None:
    require_root()
    before = leftovers()

    command = [sys.executable, "-m", "pulse", "demo", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)

    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    for point in POINTS:
        assert told[point] is True, point
    for figure in ("raw_gbit", "mesh_gbit", "relay_ping_ms", "seconds"):
        assert told[figure] > 0, figure
    assert leftovers() <= before
