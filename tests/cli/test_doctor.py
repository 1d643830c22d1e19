"""`pulse doctor` without a node and beside one: the sentence, the fault with its fix, and the exit code."""

import json
import socket

from pulse.core.symptoms import Running
from tests.api.fake_control import FakeControl
from tests.cli.shell import Shell


def test_a_machine_in_no_network_is_well_and_nothing_is_made_there(shell: Shell) -> None:
    done = shell.node("doctor")

    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("All well (")
    assert "note     state: this machine is in no network yet" in done.out
    assert not shell.data_dir.exists()


def test_a_fault_is_named_with_what_to_do_and_the_exit_code_is_1(shell: Shell) -> None:
    shell.data_dir.mkdir()
    shell.data_dir.chmod(0o755)

    done = shell.node("doctor")

    assert done.code == 1
    assert f"broken   state: {shell.data_dir} is open to other users.\n         Close it: chmod 700" in done.out
    found = json.loads(shell.node("doctor", "--json").out)
    assert found["well"] is False
    assert [(each["check"], each["gravity"]) for each in found["findings"]] == [("state", "broken")]


def test_a_file_with_a_mistake_is_a_finding_not_the_end(shell: Shell) -> None:
    shell.data_dir.mkdir(mode=0o700)
    (shell.data_dir / "config.toml").write_text("[tun]\nenabledx = true\n")

    done = shell.node("doctor")

    assert done.code == 1
    assert "config: " in done.out
    assert "tun.enabledx" in done.out


def test_what_the_node_itself_tells_is_judged_too(shell: Shell, control: FakeControl) -> None:
    done = shell.node("doctor")

    assert done.code == 1
    assert "broken   peers: 192.0.2.1:443 is not reached: silent" in done.out
    control.doctor.running = Running(version="0.1.0", certificate_left=7e6, certificate_life=8e6)
    assert "peers" not in {each["check"] for each in json.loads(shell.node("doctor", "--json").out)["findings"]}


def test_a_port_that_another_program_has_is_named(shell: Shell) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as other:
        other.bind(("::", 0))
        shell.environment["PULSE_ADDR"] = f":{other.getsockname()[1]}"

        done = shell.node("doctor")

    assert done.code == 1
    assert f"UDP port {shell.environment['PULSE_ADDR'][1:]} is in use by another program" in done.out
