"""`make bench` goes on working: its last line has the figures; what they are is no test's business."""

import json
import subprocess
import sys
from pathlib import Path

from tests.namespace import require_root

BENCH = Path(__file__).parents[2] / "bench" / "throughput.py"


def test_the_last_line_has_every_figure() -> None:
    require_root()

    command = [sys.executable, str(BENCH), "--json", "--rounds", "1", "--seconds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    figures = ["raw_gbit", "direct_gbit", "rtt_idle_ms", "rtt_loaded_ms", "rss_mb", "cpu_s_per_gbit"]
    assert all(told[figure] > 0 for figure in figures), told
