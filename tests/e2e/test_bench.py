"""The benches go on working: the last line of each has its figures; what they are is no test's business."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.leftovers import leftovers
from tests.namespace import require_root

BENCH = Path(__file__).parents[2] / "bench"

FIGURES = {
    "throughput.py --rounds 1 --seconds 1": (
        "raw_gbit", "direct_gbit", "ratio", "rtt_idle_ms", "rtt_loaded_ms", "rss_mb", "cpu_s_per_gbit",
    ),
    "relay.py --rounds 1 --seconds 1 --kills 1 --switches 1": (
        "raw_gbit", "relay_gbit", "ratio", "rtt_relay_ms", "first_ping_direct_s", "first_ping_relay_s", "failover_s",
        "failover_p95_s", "switch_gap_ms", "switch_gap_tcp_ms", "back_gap_ms",
    ),
    "session.py --rounds 1 --seconds 1": ("raw_gbit", "session_gbit", "session_relay_gbit", "ratio"),
    "idle.py --peers 2 --seconds 3 --settle 1": ("peers", "rss_mb", "rss_mb_worst"),
}  # fmt: skip


@pytest.mark.parametrize(("command", "figures"), FIGURES.items(), ids=lambda each: str(each).partition(".")[0])
def test_the_last_line_has_every_figure(command: str, figures: tuple[str, ...]) -> None:
    require_root()
    before = leftovers()

    script, *flags = command.split()
    done = subprocess.run(
        [sys.executable, str(BENCH / script), "--json", *flags],
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert all(told[figure] > 0 for figure in figures), told
    assert leftovers() <= before


def test_idle_processor_time_is_told_of_every_daemon() -> None:
    require_root()

    command = [sys.executable, str(BENCH / "idle.py"), "--json", "--peers", "1", "--seconds", "1", "--settle", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)

    told = json.loads(done.stdout.splitlines()[-1])
    assert len(told["cpu_percents"]) == 2
    assert told["cpu_percent_worst"] == max(told["cpu_percents"]) >= 0


def test_the_rivals_script_is_one_that_a_shell_can_read() -> None:
    checked = subprocess.run(["sh", "-n", str(BENCH / "peers.sh")], capture_output=True, text=True, check=False)

    assert (checked.returncode, checked.stderr) == (0, "")
