"""Commands on a host: its network, its name, its home, and how they fail."""

import re
import time
from collections.abc import Iterator

import pytest

from pulse.errors import PulseError
from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from tests.namespace import require_root


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    require_root()
    with Lab() as lab:
        yield lab


def test_a_command_runs_under_the_hosts_name_and_in_its_home(lab: Lab) -> None:
    output = lab["b"].run(["sh", "-c", "hostname; echo $HOME; cat"], stdin="given")

    assert output.stdout.split() == ["b", str(lab["b"].directory), "given"]


def test_settings_of_another_pulse_stay_outside(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_TUN", "true")

    said = lab["a"].run(["env"]).stdout.splitlines()
    assert [line for line in said if line.startswith("PULSE_")] == [f"PULSE_DATA_DIR={lab['a'].data}"]


def test_a_failure_tells_what_was_said(lab: Lab) -> None:
    with pytest.raises(PulseError, match=re.compile(r"on a ended with 3:\nout\nerr", re.DOTALL)):
        lab["a"].run(["sh", "-c", "echo out; echo err >&2; exit 3"])


def test_a_failure_can_be_looked_at(lab: Lab) -> None:
    output = lab["a"].run(["sh", "-c", "echo err >&2; exit 3"], check=False)

    assert (output.code, output.stderr) == (3, "err\n")


def test_a_command_without_end_is_named(lab: Lab) -> None:
    with pytest.raises(PulseError, match=r"no end after 0\.2 s on a: sleep 60"):
        lab["a"].run(["sleep", "60"], timeout=0.2)


def test_a_program_runs_on_and_its_words_are_kept(lab: Lab) -> None:
    running = lab["a"].popen(["sh", "-c", "echo ready; sleep 60"])
    wait_until(lambda: "ready" in running.text(), "the program is ready")

    assert running.stop() == -15


def test_a_program_that_does_not_end_is_named(lab: Lab) -> None:
    running = lab["a"].popen(["sleep", "60"])

    with pytest.raises(PulseError, match=r"still running after 0\.1 s: .*sleep 60"):
        running.wait(0.1)
    running.stop()


def test_a_call_has_the_commands_exit_code(lab: Lab) -> None:
    assert lab["a"].call(["sh", "-c", "exit 7"]) == 7


def test_waiting_in_vain_names_what_did_not_come() -> None:
    begin = time.monotonic()
    with pytest.raises(PulseError, match=r"waited 0\.1 s in vain: the link comes up"):
        wait_until(lambda: False, "the link comes up", timeout=0.1)
    assert time.monotonic() - begin >= 0.1


def test_pulse_runs_on_the_hosts_own_data_directory(lab: Lab) -> None:
    command = lab["a"].pulse_command("status", "--json")

    assert command[1:] == ["-P", "-m", "pulse", "status", "--json", "--data-dir", str(lab["a"].data)]


def test_the_process_of_its_pulse_is_known_while_one_runs(lab: Lab) -> None:
    with pytest.raises(PulseError, match="no pulse runs on b"):
        _ = lab["b"].pulse_pid
    lab["b"].data.mkdir()
    (lab["b"].data / "lock").write_text("4711\n")

    assert lab["b"].pulse_pid == 4711
