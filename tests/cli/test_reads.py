"""Every command of the tree either reads and speaks JSON, or is known to do something else."""

import json
import re
from collections.abc import Iterator

import pytest
from cyclopts import App

from pulse.cli.app import _run, app, main
from pulse.cli.help import text_of
from pulse.errors import PulseError
from pulse.wording import DASH
from tests.api.fake_control import FakeControl
from tests.cli.shell import Shell

READS = {
    "status", "id", "cert", "cert --fleet", "ping db-server -c 1", "trace db-server", "why db-server", "stats",
    "events", "events --verify", "acl list", "acl test", "acl explain laptop db-server:5432", "acl hits", "groups",
    "groups list", "dns", "dns list", "route", "route list", "config export", "token", "token list", "template",
    "template list", "api-key list", "ca roles", "ca log", "ca log --verify", "ca rotate --status",
    "status --at 2h", "logs",
}  # fmt: skip
"""Lines that a node answers, each with --json."""

ELSEWHERE = {
    "version",
    "doctor",
    "acl check",
    "acl diff",
    "config plan",
    "config check",
    "lab list",
    "lab show",
    "lab matrix",
    "lab failover",
}
"""Reads with --json that are not asked of the node alone: their own tests have them."""

SILENT = {
    "start": "starts a node", "stop": "stops it", "install-service": "writes a unit", "completion": "is a script",
    "top": "is a terminal", "cert request": "is a file for the CA", "bug-report": "writes an archive",
    "connect": "is a connection", "forward": "is ports", "lab up": "runs", "lab run": "runs", "lab enter": "runs",
    "lab exec": "runs", "lab capture": "is tcpdump",
    "lab clean": "cleans", "help": "is text", "detached": "is a node", "acl test add": "", "acl test remove": "",
}  # fmt: skip
"""What has nothing to tell a program."""

ACTS = re.compile(
    r"join|setup dns|restart|reload|cert install|name|tag|untag|remote-config|bulk|pin|unpin|revoke|invite|demo"
    r"|config apply|(acl|groups|dns|route|token|template|api-key|ca|acl test) "
    r"(add|remove|move|set|approve|create|revoke|grant|ungrant|backup|restore|sign|rotate)"
)


def leaves(parent: App = app, before: str = "") -> Iterator[tuple[str, set[str]]]:
    """Every command that can be run, with its flags."""
    for name in parent:
        if name.startswith("-"):
            continue
        inner, line = parent[name], f"{before} {name}".strip()
        if inner.default_command is not None:
            yield line, {flag for each in inner.assemble_argument_collection() for flag in each.names}
        yield from leaves(inner, line)


TREE = dict(leaves())


def test_every_command_that_reads_takes_json() -> None:
    assert {line for line, flags in TREE.items() if "--json" not in flags} <= {*SILENT}


@pytest.mark.parametrize("line", TREE)
def test_every_command_is_known_to_read_or_to_act(line: str) -> None:
    asked = any(each == line or each.startswith(f"{line} ") for each in READS)

    assert asked or line in ELSEWHERE or line in SILENT or ACTS.fullmatch(line)


@pytest.mark.parametrize("line", sorted(READS))
def test_what_is_read_is_json(
    line: str, shell: Shell, control: FakeControl, capsys: pytest.CaptureFixture[str]
) -> None:
    (shell.data_dir / "pulse.log").write_text("2026-11-22T10:00:00.123Z INFO link opened node=4b\nTraceback\n")

    assert _run([*line.split(), "--json", "--data-dir", str(shell.data_dir)]) == (line == "acl test"), (
        "a test fails there"
    )

    told = capsys.readouterr().out.splitlines()
    assert told
    for each in told:
        json.loads(each)


def test_commands_that_show_what_moves_can_be_watched() -> None:
    assert {line for line, flags in TREE.items() if "--watch" in flags} == {"status", "stats", "acl hits"}


ENDS = [
    (["version"], 0),
    (["status", "--json"], 0),
    (["statsu"], 2),
    (["status", "--jsno"], 2),
    (["token", "create", "--name", "abc"], 3),
    (["untag", "relay-01", "nothing"], 4),
    (["name", "laptop", "db-server"], 4),
    (["ping", "cam-7", "-c", "1"], 5),
    (["ping", "bug", "-c", "1"], 1),
    (["status", "--data-dir", "/nowhere"], 5),
]


@pytest.mark.parametrize(("words", "code"), ENDS, ids=lambda each: " ".join(each) if isinstance(each, list) else "")
def test_a_command_ends_with_the_code_of_what_happened(
    words: list[str], code: int, shell: Shell, control: FakeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULSE_DATA_DIR", str(shell.data_dir))
    monkeypatch.setattr("sys.argv", ["pulse", *words])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == code


def test_every_code_is_told_of() -> None:
    told = {int(found) for found in re.findall(r"^ +(\d+) ", text_of("exit-codes"), re.MULTILINE)}

    kinds: list[type[PulseError]] = [PulseError, *PulseError.__subclasses__()]
    assert told == {0, 130} | {kind.exit_code for kind in kinds}


def test_ctrl_c_is_quiet_and_has_its_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], shell: Shell, control: FakeControl
) -> None:
    def stop(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pulse.cli.watching.time.sleep", stop)
    monkeypatch.setattr("sys.argv", ["pulse", "acl", "hits", "--watch", "--data-dir", str(shell.data_dir)])
    with pytest.raises(SystemExit) as ended:
        main()

    assert (ended.value.code, capsys.readouterr().err) == (130, "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_locale_with_fewer_characters_gets_those_it_has(shell: Shell, control: FakeControl, encoding: str) -> None:
    shell.environment |= {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = shell.node("acl", "list")

    assert (done.code, done.err) == (0, "")
    assert DASH not in done.out
    assert shell.pulse("help").code == 0
