"""`pulse config` against a control socket."""

import json
import os
import pty
import subprocess
import tomllib
from pathlib import Path

import pytest

from pulse.cli import configtext
from pulse.errors import ConfigError
from pulse.schemas.config import ConfigFile, ConfigWanted, FileSettings
from tests.api.fake_configs import FILE
from tests.api.fake_control import FakeControl
from tests.cli.shell import Shell

OTHER = '[settings]\nmesh_cidr = "10.100.0.0/16"\n'
RULE = OTHER + "[[acl]]\nfrom = '*'\nto = '*'\n"
WANTED = ConfigWanted(ConfigFile(settings=FileSettings("10.100.0.0/16")))


def typed(shell: Shell, text: str) -> str:
    path = shell.home / "mesh.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_what_is_exported_is_read_as_the_same_and_says_what_to_do_with_it(shell: Shell, control: FakeControl) -> None:
    done = shell.node("config", "export")

    assert done.code == 0
    assert done.out.startswith("# The whole network config")
    assert configtext.read(typed(shell, done.out)).config == FILE
    assert shell.node("config", "export", "-o", str(shell.home / "out.toml")).out == ""
    assert (shell.home / "out.toml").read_text(encoding="utf-8") == done.out
    assert json.loads(shell.node("config", "export", "--json").out)["acl"][0]["from"] == ["tag:backend"]
    assert shell.node("config", "export", "-o", "/nowhere/out.toml").code == 2


def test_comments_and_order_do_not_matter(shell: Shell, control: FakeControl) -> None:
    text = shell.node("config", "export").out.replace("[settings]", "# a thought\n[settings] # another")
    done = shell.pulse("config", "plan", "-", "--data-dir", str(shell.data_dir), given=text)

    assert (done.code, done.out) == (0, "nothing to do: the file says what network config 1.7 does\n")


def test_a_plan_with_something_to_do_ends_with_2_and_changes_nothing(shell: Shell, control: FakeControl) -> None:
    done = shell.node("config", "plan", typed(shell, OTHER))

    assert done.code == 2
    assert done.out.splitlines() == [
        "acl",
        "  removed  r1: allow tag:backend → tag:db tcp 5432",
        "  changed  r2: allow * → db tcp 22",
        "      was  r2: allow * → db",
        "zones",
        "  added    db.pulse A 10.100.87.53, ttl 60 s",
        "",
        "lost  laptop → db-server  tcp 5432",
        "3 changes to network config 1.7",
    ]
    assert control.asked == [WANTED]
    assert json.loads(shell.node("config", "plan", typed(shell, OTHER), "--json").out)["applied"] is False


@pytest.mark.parametrize(
    ("text", "told", "code"),
    [
        (RULE + "prot = 'tcp'\n", 'mesh.toml:6: unknown key "prot" in acl, number 1. Did you mean proto?', 2),
        ("# nothing\n" + RULE.replace("'*'", "'backendx'", 1), 'mesh.toml:4: rule 1: no node is called "backendx"', 4),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line_and_is_no_plan(
    shell: Shell, control: FakeControl, text: str, told: str, code: int
) -> None:
    planned = shell.node("config", "plan", typed(shell, text))
    applied = shell.node("config", "apply", typed(shell, text), "--yes")

    assert (planned.code, applied.code) == ({2: 1, 4: 4}[code], code)
    assert told in planned.err
    assert told in applied.err
    assert not any(isinstance(each, tuple) for each in control.asked)


def test_nothing_is_applied_unasked(shell: Shell, control: FakeControl) -> None:
    done = shell.node("config", "apply", typed(shell, OTHER))

    assert (done.code, control.asked) == (2, [WANTED])
    assert "3 changes" in done.out
    assert "--yes" in done.err


def test_what_was_planned_is_applied_on_what_it_was_planned_on(shell: Shell, control: FakeControl) -> None:
    done = shell.node("config", "apply", typed(shell, OTHER), "--yes")

    assert (done.code, done.out.splitlines()[-1]) == (0, "network config 1.8")
    assert control.asked == [WANTED, (WANTED, (1, 7))]
    told = shell.node("config", "apply", typed(shell, OTHER), "--yes", "--json")
    assert json.loads(told.out)["applied"] is True


def test_with_nothing_to_do_nothing_is_applied(shell: Shell, control: FakeControl) -> None:
    text = typed(shell, shell.node("config", "export").out)
    done = shell.node("config", "apply", text)

    assert done.code == 0
    assert [type(each) for each in control.asked] == [ConfigWanted]


@pytest.mark.parametrize(
    ("more", "code", "told"),
    [("[groups]\nx = ['a']\n", 3, "test t1 would fail"), ("[names]\nabcd = 'x'\n", 4, "1.8 by now")],
)
def test_a_refusal_is_told_in_its_own_words(
    shell: Shell, control: FakeControl, more: str, code: int, told: str
) -> None:
    done = shell.node("config", "apply", typed(shell, OTHER + more), "--yes")

    assert done.code == code
    assert told in done.err


@pytest.mark.parametrize(("answer", "code", "asked"), [(b"y\n", 0, 2), (b"\n", 1, 1)])
def test_a_person_is_asked(shell: Shell, control: FakeControl, answer: bytes, code: int, asked: int) -> None:
    ours, theirs = pty.openpty()
    command = shell.command("config", "apply", typed(shell, OTHER), "--data-dir", str(shell.data_dir))
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=shell.variables()) as process:
        os.close(theirs)
        os.write(ours, answer)
        assert process.wait(60) == code
    said_to_them = os.read(ours, 65536).decode()
    os.close(ours)

    assert "Apply this? [y/N]" in said_to_them
    assert len(control.asked) == asked


def test_moments_are_written_as_such(shell: Shell, control: FakeControl) -> None:
    rule = tomllib.loads(shell.node("config", "export").out)["acl"][0]
    assert rule["expires"].timestamp() == FILE.acl[0].expires


def test_settings_that_are_understood_are_counted(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text("[tun]\nenabled = true\nqueues = 2\n")

    done = shell.pulse("config", "check", str(file))

    assert (done.code, done.out) == (0, f"{file}: 2 settings of its own, all understood\n")
    assert json.loads(shell.pulse("config", "check", str(file), "--json").out)["settings"] == [
        "tun.enabled",
        "tun.queues",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# a\n[tun]\nqueuse = 2\n", ":3: unknown key tun.queuse. Did you mean: queues?"),
        ("[node]\n\nlog_level = 'loud'\n", ":3: node.log_level: invalid enum value 'loud'"),
        ("[tunn]\n", ":1: unknown section [tunn]. Did you mean: tun?"),
        ("[node]\naddr = 443\n", ":2: node.addr: expected str, got int"),
        ("[node\n", " is no TOML: "),
        ("[settings]\nmesh_cidr = '10.100.0.0/16'\n", "pulse config plan"),
    ],
)
def test_a_mistake_in_settings_names_file_line_key_and_the_nearest_name(
    shell: Shell, tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "x.toml"
    file.write_text(text)

    done = shell.pulse("config", "check", str(file))

    assert done.code == ConfigError.exit_code
    assert f"error: {file}" in done.err
    assert said in done.err
