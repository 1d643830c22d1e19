"""The benches go on working: the last line of each has its figures; what they are is no test's business."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.leftovers import leftovers
from tests.namespace import require_root

pytestmark = pytest.mark.timeout(300)

BENCH = Path(__file__).parents[1] / "bench"

FIGURES = {
    "throughput.py --rounds 1 --seconds 1": (
        "raw_gbit", "direct_gbit", "ratio", "rtt_idle_ms", "rtt_loaded_ms", "rss_mb", "cpu_s_per_gbit",
    ),
    "relay.py --rounds 1 --seconds 1 --kills 1 --switches 1": (
        "raw_gbit", "relay_gbit", "ratio", "rtt_relay_ms", "join_to_ping_s", "start_to_ping_s", "first_ping_direct_s",
        "first_ping_relay_s", "failover_s", "failover_p95_s", "switch_gap_ms", "switch_gap_tcp_ms", "back_gap_ms",
        "calm_gap_ms",
    ),
    "roaming.py --rounds 1 --sleep 4 --flow 1.5 --steady 0.5 --rest 0": (
        "calm_gap_ms", "rebinding_gap_ms", "rebinding_tcp_ms", "address_gap_ms", "address_tcp_ms", "carried_gap_ms",
        "carried_tcp_ms", "resume_ms", "asleep_s", "stop_sent", "stop_s", "still_s", "silent_s", "one_way_s",
        "failures_p95_s",
    ),
    "fec.py --loss 0 --known 1 --settling 0 --seconds 1": ("rtt_ms", "fec_gbit", "times"),
    "multipath.py --rounds 1 --seconds 1 --settle 0": ("one_mbit", "both_mbit", "ratio", "near_to_far"),
    "spread.py --nodes 3 --rounds 1 --settle 0 --pause 1": ("nodes", "config_ms_p99", "revocation_ms_p99"),
    "top.py --nodes 20 --seconds 2": ("nodes", "core_percent", "looks", "look_ms"),
    "cli.py --rounds 1": ("nodes", "nothing_ms", "status_ms", "status_processor_ms", "help_ms", "acl_list_ms"),
    "session.py --rounds 1 --seconds 1": ("raw_gbit", "session_gbit", "session_relay_gbit", "ratio"),
}  # fmt: skip


@pytest.mark.parametrize("command", FIGURES, ids=lambda command: command.partition(".")[0])
def test_the_last_line_has_every_figure(command: str) -> None:
    require_root()
    before = leftovers()

    told = json.loads(run(*command.split()).splitlines()[-1])

    assert all(told[figure] > 0 for figure in FIGURES[command]), told
    assert leftovers() <= before


def test_idle_processor_time_is_told_of_every_daemon() -> None:
    require_root()

    told = json.loads(run("idle.py", "--peers", "2", "--seconds", "2", "--settle", "0").splitlines()[-1])

    assert (told["peers"], len(told["cpu_percents"])) == (2, 3)
    assert told["cpu_percent_worst"] == max(told["cpu_percents"]) >= 0
    assert told["rss_mb_worst"] >= told["rss_mb"] > 0


def test_rivals_that_are_not_there_are_left_out_of_the_table(tmp_path: Path) -> None:
    require_root()

    told = json.loads(run("rivals.py", "--rounds", "1", "--seconds", "1", "--bin", str(tmp_path)).splitlines()[-1])

    assert [each["system"] for each in told["systems"]] == ["raw", "pulse"]
    assert all(each["direct_gbit"] > 0 for each in told["systems"])
    assert told["systems"][1]["relay_gbit"] > 0


def test_the_rivals_script_is_one_that_a_shell_can_read() -> None:
    checked = subprocess.run(["sh", "-n", str(BENCH / "peers.sh")], capture_output=True, text=True, check=False)

    assert (checked.returncode, checked.stderr) == (0, "")


def run(script: str, *flags: str) -> str:
    """What a bench printed."""
    command = [sys.executable, str(BENCH / script), "--json", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    return done.stdout
