"""`pulse lab`: what people type, what they read, how it ends."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.namespace import require_root

PLAN = """
[hosts.left]
[hosts.right]
[[networks]]
hosts = ["left", "right"]
"""


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    require_root()
    file = tmp_path / "plan.toml"
    file.write_text(PLAN)
    return file


def pulse(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pulse", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, input=stdin)


EXPECTED = """
[[fault]]
do = "impair"
network = "0"
impair = { delay_ms = 1 }

[[expect]]
from = "left"
to = "right"
"""


def test_a_lab_comes_up_is_entered_watched_and_goes(plan: Path, tmp_path: Path) -> None:
    up = pulse("lab", "up", str(plan), "--json")
    assert up.returncode == 0, up.stderr
    name = json.loads(up.stdout)["lab"]
    of_it = ("--lab", name)

    entered = pulse("lab", "enter", "right", *of_it, "--", "sh", "-c", "hostname; ip -4 -o address show eth0")
    assert entered.stdout.startswith("right\n"), entered.stderr
    assert "198.18.0.2/24" in entered.stdout

    pings = [sys.executable, "-m", "pulse", "lab", "enter", "left", *of_it, "--", "ping", "-i0.1", "198.18.0.2"]
    with subprocess.Popen(pings, stdout=subprocess.DEVNULL) as going:
        seen = pulse("lab", "capture", "right:left", *of_it, "--count", "1", "--", "icmp")
        file = tmp_path / "packets"
        pulse("lab", "capture", "left", *of_it, "--count", "1", "-w", str(file))
        going.terminate()
    assert "198.18.0.1 > 198.18.0.2: ICMP echo request" in seen.stdout
    assert file.read_bytes()[:4] == b"\xd4\xc3\xb2\xa1"

    for arguments, said in (
        (("enter", "middle"), f"error: lab {name} has no host middle (it has: left, right)\n"),
        (
            ("capture", "left:middle"),
            "error: no network of this lab joins left and middle (with left are: right)\n",
        ),
    ):
        unknown = pulse("lab", *arguments, *of_it)
        assert (unknown.returncode, unknown.stderr) == (4, said)

    assert pulse("lab", "clean", name).stdout == f"removed {name}\n"
    assert pulse("lab", "clean", name).returncode == 4


def test_a_scenario_is_played_and_its_exit_code_says_whether_all_was_as_expected(plan: Path) -> None:
    plan.write_text(PLAN + EXPECTED)
    good = pulse("lab", "run", str(plan), "--json")
    assert good.returncode == 0, good.stderr
    assert json.loads(good.stdout)["faults"][0]["fault"] == "impair 0 delay_ms=1"

    plan.write_text(PLAN + EXPECTED + 'reached = "no"\nwithin = "0.1s"\n')
    bad = pulse("lab", "run", str(plan))
    assert bad.returncode == 1, bad.stderr
    assert re.search(r"FAILED +left to right +not at all +0 s +not in 0.1 s +answers", bad.stdout)
    assert f"{plan}: 1 of 1 not as expected" in bad.stdout


def test_a_command_runs_in_a_lab_of_its_own_and_its_exit_code_is_ours(plan: Path) -> None:
    assert pulse("lab", "exec", str(plan), "left", "--", "sh", "-c", "ping -c1 198.18.0.2 && exit 7").returncode == 7


def test_what_is_shipped_is_listed_and_shown() -> None:
    listed = json.loads(pulse("lab", "list", "--json").stdout)
    assert listed["scenarios"]["cgnat"].startswith("Two homes of one carrier")

    shown = pulse("lab", "show", "relay-killed").stdout
    assert re.search(r"0 +relay +eth0 +198.18.0.1/24 +pulse, CA and scribe", shown)
    assert "10s  kill relay" in shown
    assert json.loads(pulse("lab", "show", "relay-killed", "--json").stdout)["fault"][0]["do"] == "kill"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["lab", "exec", "cgnat", "nobody", "true"], 4, "there is no host nobody in this lab (there are: hub, carrier"),
        (["lab", "up", "/nowhere.toml"], 2, "cannot read /nowhere.toml: No such file"),
        (["lab", "run", "cgnt"], 2, "Did you mean: cgnat?"),
        (["lab", "matrix", "--rounds", "0"], 2, "--rounds 0: try each pair once at least"),
        (["lab", "failover", "--kills", "0"], 2, "--kills 0: without a kill there is no figure"),
        (["lab", "clean", "never"], 4, "there is no lab never here"),
        (["lab", "enter", "a", "--lab", "never"], 4, "there is no lab never here"),
    ],
)
def test_a_mistake_is_named(arguments: list[str], code: int, words: str) -> None:
    done = pulse(*arguments)

    assert done.returncode == code
    assert words in done.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[hosts.a]\n[[networks]]\nhosts = ['a', 'b']", 'networks[0] joins "b"'),
        ("[hosts.a]\nnat = 'conical'", 'plan.toml:2: hosts, a, nat: there is no "conical"'),
        (f"{PLAN}impair = {{ loss_percent = 120 }}", "networks[0].impair.loss_percent: 120 is not between 0 and 100"),
    ],
)
def test_a_wrong_description_is_named(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "plan.toml"
    file.write_text(text)

    done = pulse("lab", "up", str(file))

    assert done.returncode == 2
    assert words in done.stderr
