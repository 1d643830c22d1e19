"""`pulse`, `start`, `join` as processes, with a node that stands in for the real one."""

import json
import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.api.fake_control import WEAK
from tests.cli.fake_node import NO_TUN, TAKEN
from tests.cli.shell import Shell, link, processes_about

TOKEN = "-Xr8" + "abcdefghijklmnopqrstuvwxyz0123456789"
CA_TOKEN = "Ca9_" + "9876543210zyxwvutsrqponmlkjihgfedcba"


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path).fake_node()
    yield shell
    if (shell.data_dir / "pulse.sock").exists():
        shell.node("stop")


def told(shell: Shell, name: str = "seen.json") -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = json.loads((shell.data_dir / name).read_bytes())
    return found


@contextmanager
def foreground(shell: Shell, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = shell.command(*arguments, "--data-dir", str(shell.data_dir))
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=shell.variables()
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def until_up(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "pulse join pls_" in line:
            break
    return lines


def test_a_member_killed_amid_a_renewal_is_a_member(shell: Shell) -> None:
    for beside in ("identity.old", "identity.next"):
        (shell.data_dir / beside).mkdir(mode=0o700, parents=True)

    assert shell.node("start").err == ""


def test_start_returns_when_the_node_is_up_and_shows_the_invite(shell: Shell) -> None:
    done = shell.node("start", "--ca", "--scribe")

    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith("network    mynet            made now; CA a91f 22c0 77e4, keep")
    assert lines[1].split() == ["node", "relay-01", "4be27a3391c0", "10.100.41.7", "fd7a::33"]
    assert lines[2] == "listening  udp+tcp 0.0.0.0:443, advertised relay.example.com:443"
    assert lines[-3:] == ["On the next machine:", "  pulse join pls_eyJhQ", "good for 1 hour and one machine"]
    assert shell.node("status").code == 0


def test_start_says_that_another_program_has_the_port_of_the_api_and_goes_on(shell: Shell) -> None:
    shell.environment["FAKE_NODE"] = "port taken"
    done = shell.node("start", "--ca", "--scribe")

    assert done.code == 0
    assert f"api        none: {TAKEN}" in done.out.splitlines()


def test_an_empty_node_to_dial_is_told(shell: Shell) -> None:
    for peers in (("",), ("relay.example.com:443", " ")):
        done = shell.node("start", *peers)
        assert (done.code, done.err) == (
            2,
            "error: one of the nodes to dial is empty. Write host:port, or leave it out\n",
        )


def test_start_says_where_metrics_are(shell: Shell) -> None:
    done = shell.node("start", "--ca", "--metrics-listen", "127.0.0.1:9100")

    assert (done.code, "metrics    http://127.0.0.1:9100/metrics" in done.out.splitlines()) == (0, True), done.out


def test_start_says_that_keys_go_in_clear_where_they_do(shell: Shell) -> None:
    done = shell.node("start", "--ca", "--scribe", "--scribe-listen", "0.0.0.0:8080")

    assert "           keys go in clear there: take --scribe-listen 10.100.41.7:<port>, or a proxy with TLS" in done.out
    shell.node("stop")
    done = shell.node("start", "--ca", "--scribe", "--scribe-listen", "10.100.41.7:8080")
    assert "in clear" not in done.out


def test_a_node_that_refuses_to_start_prints_why_and_gives_its_code(shell: Shell) -> None:
    done = shell.fake_node("refuse").node("start", "--ca", "--tun")

    assert (done.code, done.out, done.err) == (6, "", f"error: {NO_TUN}\n")
    assert processes_about(shell) == []


@pytest.mark.parametrize(("behaviour", "how"), [("crash", "signal 6"), ("bug", "exit code 1")])
def test_a_node_that_crashes_is_no_node_that_is_up(shell: Shell, behaviour: str, how: str) -> None:
    done = shell.fake_node(behaviour).node("start", "--ca")

    assert done.code == 1
    assert done.err == (
        f"error: the node ended before it was up ({how}).\nIts last words are in {shell.data_dir}/pulse.log\n"
    )


def test_the_detached_node_is_private_and_of_a_session_of_its_own(shell: Shell) -> None:
    shell.node("start", "--ca")
    (process,) = processes_about(shell)

    assert stat.S_IMODE((shell.data_dir / "pulse.log").stat().st_mode) == 0o600
    assert stat.S_IMODE(shell.data_dir.stat().st_mode) == 0o700
    assert os.getsid(int(process.name)) == int(process.name)
    assert link(process / "cwd") == "/"
    assert link(process / "fd" / "0") == os.devnull
    assert "Umask:\t0077" in (process / "status").read_text(encoding="utf-8")


def test_secrets_reach_the_detached_node_unseen(shell: Shell) -> None:
    shell.environment |= {"PULSE_CA_TOKEN": CA_TOKEN}
    done = shell.node("start", "--ca", "--token", TOKEN)
    (process,) = processes_about(shell)

    assert done.code == 0
    assert told(shell)["join"]["token"] == TOKEN
    assert told(shell)["ca"]["join_token"] == CA_TOKEN
    for place in ("cmdline", "environ"):
        seen = (process / place).read_bytes().decode()
        assert TOKEN not in seen
        assert CA_TOKEN not in seen
    assert TOKEN not in (shell.data_dir / "pulse.log").read_text(encoding="utf-8")


def test_a_node_in_the_foreground_hides_its_token(shell: Shell) -> None:
    with foreground(shell, "--ca", "--token", TOKEN, f"--ca-token={CA_TOKEN}") as process:
        until_up(process)
        seen = Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0

    assert "--token" in seen
    assert TOKEN not in seen
    assert CA_TOKEN not in seen
    assert told(shell)["join"]["token"] == TOKEN
    assert told(shell)["ca"]["join_token"] == CA_TOKEN


def test_ctrl_c_ends_a_node_in_the_foreground(shell: Shell) -> None:
    with foreground(shell, "--ca") as process:
        lines = until_up(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0

    assert lines[0].startswith("network")


def test_what_is_on_by_itself_can_be_switched_off(shell: Shell) -> None:
    assert shell.node("start", "--ca", "--no-portmap").code == 0

    assert told(shell)["portmap"]["enabled"] is False


def test_relative_paths_mean_where_the_command_was_typed(shell: Shell) -> None:
    done = shell.pulse("start", "--ca", "--data-dir", "data")

    assert done.code == 0
    assert told(shell)["node"]["data_dir"] == str(shell.data_dir)


def test_a_second_node_on_one_directory_is_refused(shell: Shell) -> None:
    shell.node("start", "--ca")
    done = shell.node("start", "--ca")

    assert done.code == 4
    assert done.err.startswith("error: ")


def test_start_with_a_token_joins_first_and_shows_the_steps(shell: Shell) -> None:
    done = shell.node("start", "relay.example.com:443", "--token", TOKEN)

    assert done.code == 0
    assert done.out.startswith("✓ reached relay.example.com:443 (quic, 23 ms)\n")
    assert told(shell, "joined.json")["bootstrap"]["peers"] == ["relay.example.com:443"]
    assert told(shell)["join"]["token"] == TOKEN


def test_a_member_does_not_join_again(shell: Shell) -> None:
    (shell.data_dir / "identity").mkdir(parents=True)
    shell.node("start", "relay.example.com:443", "--token", TOKEN)

    assert not (shell.data_dir / "joined.json").exists()


def test_a_joiner_may_ask_to_be_the_scribe(shell: Shell) -> None:
    done = shell.node("start", "--scribe", "--token", "t" * 40, "relay.example.com:443")

    assert (done.code, done.err) == (0, "")
    assert told(shell)["scribe"]["enabled"] is True


def test_start_says_where_the_proxy_listens(shell: Shell) -> None:
    done = shell.node("start", "--ca", "--tun", "--socks")

    assert (done.code, done.err) == (0, "")
    assert told(shell)["tun"]["enabled"] is True
    assert "socks      127.0.0.1:1080, for SOCKS5 and HTTP CONNECT" in done.out.splitlines()


def test_start_without_a_network_makes_nothing(shell: Shell) -> None:
    done = shell.node("start")

    assert done.code == 4
    assert not shell.data_dir.exists()


def test_a_data_directory_that_is_a_file_is_named(shell: Shell) -> None:
    shell.data_dir.touch()
    done = shell.node("start", "--ca")

    assert done.code == 3
    assert done.err.startswith(f"error: cannot use {shell.data_dir}: ")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_data_directory_of_another_user_is_left_alone(shell: Shell) -> None:
    shell.data_dir.mkdir()
    os.chown(shell.data_dir, 1234, 1234)
    done = shell.node("start", "--ca")

    assert done.code == 3
    assert "belongs to another user (uid 1234)" in done.err
    assert list(shell.data_dir.iterdir()) == []


@pytest.mark.parametrize(
    "typed",
    [["relay:443", "--token", TOKEN], ["--token", TOKEN, "relay:443"], ["--token=" + TOKEN, "relay:443"]],
    ids=["relay first", "token first", "with ="],
)
def test_join_takes_both_orders(shell: Shell, typed: list[str]) -> None:
    done = shell.node("join", *typed)

    assert (done.code, done.err) == (0, "")
    assert told(shell, "joined.json")["join"] == {
        "relay_addr": "relay:443", "token": TOKEN, "token_file": "", "invite": ""
    }  # fmt: skip
    assert done.out.splitlines() == [
        "✓ reached relay.example.com:443 (quic, 23 ms)",
        "✓ CA a91f 22c0 77e4 is the one in the invite",
        "Start it: pulse start --tun          (see it: pulse status)",
    ]


def test_join_takes_an_invite_and_a_name(shell: Shell) -> None:
    done = shell.node("join", "pls_eyJhQ", "--name", "db-server")

    assert done.code == 0
    assert told(shell, "joined.json")["join"]["invite"] == "pls_eyJhQ"
    assert told(shell, "joined.json")["node"]["name"] == "db-server"


def test_join_takes_an_invite_with_what_it_is_good_for(shell: Shell) -> None:
    done = shell.node("join", "pls_eyJhQ", "good", "for", "1", "hour", "and", "one", "machine")

    assert done.code == 0
    assert told(shell, "joined.json")["join"]["invite"] == "pls_eyJhQ"


@pytest.mark.parametrize("typed", [["--token-file", "-"], ["--token", "-"]])
def test_join_reads_the_token_from_standard_input(shell: Shell, typed: list[str]) -> None:
    done = shell.pulse("join", "relay:443", "--data-dir", str(shell.data_dir), *typed, given=TOKEN + "\n")

    assert done.code == 0
    assert told(shell, "joined.json")["join"]["token"] == TOKEN


def test_join_reads_the_token_from_a_file(shell: Shell) -> None:
    (shell.home / "token").write_text(TOKEN, encoding="utf-8")
    done = shell.node("join", "relay:443", "--token-file", "token")

    assert done.code == 0
    assert told(shell, "joined.json")["join"]["token"] == TOKEN


def test_the_refusal_of_a_weak_token_comes_whole(shell: Shell) -> None:
    done = shell.node("join", "relay.example.com:443", "--token", "abc")

    assert (done.code, done.err) == (3, f"error: {WEAK}\n")


@pytest.mark.parametrize(
    ("typed", "said"),
    [([], "to join takes an invite"), (["relay:443"], "no token to join through relay:443 with"), (["relay"], "relay")],
)
def test_join_needs_a_node_and_a_token(shell: Shell, typed: list[str], said: str) -> None:
    done = shell.node("join", *typed)

    assert done.code == 2
    assert said in done.err
    assert not shell.data_dir.exists()


def test_join_in_json_is_one_object(shell: Shell) -> None:
    done = shell.node("join", "pls_eyJhQ", "--json")

    assert json.loads(done.out)["pinned"] is True


def test_a_pulse_without_its_data_plane_says_so(shell: Shell) -> None:
    (shell.home / "sitecustomize.py").write_text("import sys\nsys.modules['pulse.node'] = None\n", encoding="utf-8")
    done = shell.node("join", "pls_eyJhQ")

    assert done.code == 6
    assert done.err.startswith("error: this pulse is incomplete: ")
