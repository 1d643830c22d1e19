"""`pulse status` in a pipe, on a terminal, watching and checking."""

import json
import os
import pty
import signal
import subprocess

import msgspec
import pytest

from pulse.schemas.scribe import MeshState
from pulse.wording import DASH
from tests.api.fake_control import FakeControl, peer
from tests.api.fake_ways import AWAY, pinned
from tests.cli.shell import Shell


def test_the_first_line_says_whether_all_is_well(shell: Shell, control: FakeControl) -> None:
    done = shell.node("status")

    assert (done.code, done.err) == (0, "")
    first = done.out.splitlines()[0]
    assert first.startswith("All well. 2 nodes, 2 direct.")
    assert first.endswith("mynet · relay-01 10.100.41.7 · up 1 min")
    assert len(first) <= 80


def test_every_node_is_a_line_with_units(shell: Shell, control: FakeControl) -> None:
    control.node.peers = [
        peer("db-server", link="direct_quic", rtt=0.0081, loss=0.004, roles=["exit"], via="relay-01"),
        peer("cam-7", link="-", rtt=None, loss=None, seen=7200.0, last_error="198.51.100.4:443 did not answer"),
    ]
    lines = shell.node("status").out.splitlines()

    assert lines[2].split() == ["NODE", "ADDRESS", "LINK", "VIA", "RTT", "LOSS", "SEEN", "ROLES"]
    assert lines[3].split() == [
        "db-server", "10.100.87.53", "direct_quic", "relay-01", "8.1", "ms", "0.4", "%", "now", "exit"
    ]  # fmt: skip
    assert lines[4].split() == ["cam-7", "10.100.87.53", "-", DASH, DASH, DASH, "2", "h", DASH]
    assert lines[6] == "cam-7: 198.51.100.4:443 did not answer"
    assert max(map(len, lines)) <= 80


def test_a_pinned_node_is_marked_and_a_pin_that_is_not_followed_says_why(shell: Shell, control: FakeControl) -> None:
    control.node.peers = [
        peer("db-server", via="relay-01", pinned=pinned()),
        peer("cam-7", pinned=pinned(direct=True)),
        peer("cam-8", via="relay-01", pinned=pinned("relay-9", problem=AWAY)),
    ]
    lines = shell.node("status").out.splitlines()

    assert "relay-01 (pinned)" in lines[3]
    assert "direct (pinned)" in lines[4]
    assert "relay-01" in lines[5]
    assert "pinned" not in lines[5]
    assert lines[7] == f"db-server: pinned over relay-9; {AWAY}"
    told = json.loads(shell.node("status", "--json").out)["peers"]
    assert [each["pinned"]["followed"] for each in told] == [True, True, False]


def test_that_the_cas_key_is_being_replaced_is_told_with_where_to_look(shell: Shell, control: FakeControl) -> None:
    assert "CA's key" not in shell.node("status").out + shell.node("cert").out

    control.node.rotating = True

    assert shell.node("status").out.endswith("How far it is: pulse ca rotate --status, on the CA\n")
    assert "is being replaced; this is under the old one, and renewed by itself" in shell.node("cert").out


def test_long_names_are_cut_so_that_a_line_fits(shell: Shell, control: FakeControl) -> None:
    control.node.peers = [peer("database-server-in-frankfurt", link="websocket", via="relay-in-amsterdam-west", hops=2)]
    lines = shell.node("status").out.splitlines()

    assert max(map(len, lines)) == 80
    assert lines[3].startswith("database")
    assert "…" in lines[3]
    whole = json.loads(shell.node("status", "--json").out)["peers"][0]
    assert (whole["name"], whole["via"], whole["hops"]) == (
        "database-server-in-frankfurt", "relay-in-amsterdam-west", 2,
    )  # fmt: skip


def test_a_node_without_peers_has_no_table(shell: Shell, control: FakeControl) -> None:
    control.node.peers = []

    assert len(shell.node("status").out.splitlines()) == 1


def test_json_is_the_whole_answer(shell: Shell, control: FakeControl) -> None:
    answer = json.loads(shell.node("status", "--json").out)

    assert answer["well"] is True
    assert answer["peers"][0]["rtt"] == 0.0228


def test_only_check_makes_ill_an_exit_code(shell: Shell, control: FakeControl) -> None:
    well = control.node.status

    async def status() -> MeshState:
        return msgspec.structs.replace(await well(), well=False, sentence="1 thing to see to: cam-7 is not reached.")

    control.node.status = status  # type: ignore[method-assign]

    assert shell.node("status").code == 0
    assert shell.node("status", "--check").code == 1


def test_check_of_a_well_node_is_zero(shell: Shell, control: FakeControl) -> None:
    assert shell.node("status", "--check").code == 0


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_watch_appends_in_a_pipe(shell: Shell, control: FakeControl, flags: list[str]) -> None:
    # Whoever runs the tests may have it ignored, and nohup is heeded.
    heeding = ["env", "--default-signal=INT"]
    command = shell.command("status", "--watch", "--data-dir", str(shell.data_dir), *flags)
    with subprocess.Popen(
        [*heeding, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=shell.variables()
    ) as watching:
        assert watching.stdout is not None
        seen = 0
        while seen < 2:
            seen += "relay-01" in watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        rest, errors = watching.communicate(timeout=30)

    assert watching.returncode == 130
    assert errors == ""
    assert "\x1b" not in rest


def test_a_terminal_gets_the_same_facts(shell: Shell, control: FakeControl) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        shell.command("status", "--data-dir", str(shell.data_dir)), stdout=theirs, env=shell.variables()
    ) as command:
        assert command.wait(30) == 0
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)

    assert "All well." in shown
    assert "db-server" in shown
    assert "22.8 ms" in shown
