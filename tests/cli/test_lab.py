"""`pulse lab`: what people type, what they read, how it ends."""

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


def test_a_lab_comes_up_is_entered_and_goes(plan: Path) -> None:
    up = pulse("lab", "up", str(plan))
    assert up.returncode == 0, up.stderr
    assert "left" in up.stdout
    name = up.stdout.rpartition("pulse lab clean ")[2].strip()

    entered = pulse("lab", "enter", name, "right", "sh", "-c", "hostname; ip -4 -o address show eth0")
    assert entered.stdout.startswith("right\n")
    assert "198.18.0.2/24" in entered.stdout

    unknown = pulse("lab", "enter", name, "middle")
    assert (unknown.returncode, unknown.stderr) == (
        4,
        f"error: lab {name} has no host middle (it has: left, right)\n",
    )

    assert pulse("lab", "clean", name).stdout == f"removed {name}\n"
    assert pulse("lab", "clean", name).returncode == 4


def test_a_command_runs_in_a_lab_of_its_own_and_its_exit_code_is_ours(plan: Path) -> None:
    good = pulse("lab", "run", "--plan", str(plan), "left", "ping", "--", "-c1", "198.18.0.2")
    assert good.returncode == 0, good.stderr
    assert "1 received" in good.stdout

    assert pulse("lab", "run", "a", "sh", "--", "-c", "exit 7").returncode == 7


def test_a_shipped_lab_is_known_by_its_name() -> None:
    require_root()
    reached = pulse("lab", "run", "--plan", "nat", "a", "ping", "--", "-c1", "198.18.0.1")
    assert reached.returncode == 0, reached.stderr

    hidden = pulse("lab", "run", "--plan", "nat", "hub", "ping", "--", "-c1", "-W1", "198.18.1.2")
    assert "Network is unreachable" in hidden.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["lab", "run", "nobody", "true"], 4, "there is no host nobody in this lab (there are: a, b)"),
        (["lab", "up", "/nowhere.toml"], 2, "cannot read /nowhere.toml: No such file"),
        (["lab", "up", "nut"], 2, "labs known by name: relay, two-relays, chain, nat, cgnat"),
        (["lab", "clean", "never"], 4, "there is no lab never here"),
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
        ("[hosts.a]\nnat = 'conical'", "in [hosts.a]: Invalid enum value 'conical'"),
        (f"{PLAN}impair = {{ loss_percent = 120 }}", "networks[0].impair.loss_percent: 120 is not between 0 and 100"),
    ],
)
def test_a_wrong_description_is_named(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "plan.toml"
    file.write_text(text)

    done = pulse("lab", "up", str(file))

    assert done.returncode == 2
    assert words in done.stderr
