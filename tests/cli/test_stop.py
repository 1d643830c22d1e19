"""`pulse stop`, with a node that stands in for the real one, and with none."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pulse.cli import stop as stopping
from pulse.client import Client
from pulse.errors import LinkError, Refused
from pulse.store import undo
from pulse.store.undo import Kind, Undo
from tests.cli.fake_node import STAYS
from tests.cli.shell import Shell, processes_about
from tests.namespace import inside, namespace
from tests.test_aftermath import crashed, state


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path).fake_node()
    yield shell
    if (shell.data_dir / "pulse.sock").exists():
        shell.node("stop")


def test_stop_returns_when_the_process_is_gone(shell: Shell) -> None:
    shell.node("start", "--ca")
    (process,) = processes_about(shell)

    done = shell.node("stop")

    assert (done.code, done.out) == (0, f"stopped (process {process.name})\n")
    assert processes_about(shell) == []


def test_stop_says_what_stays_on_for_others(shell: Shell) -> None:
    shell.environment["FAKE_NODE"] = "others forward"
    shell.node("start", "--ca")

    done = shell.node("stop")

    assert (done.code, done.out.splitlines()[1:]) == (0, [STAYS])


def test_stop_without_a_node_says_which_socket_was_asked(shell: Shell) -> None:
    done = shell.node("stop")

    assert done.code == 5
    assert str(shell.data_dir) in done.err


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The directories of a person's node and of the service, where no node answers."""

    def nobody(_: Path | None) -> Client:
        raise LinkError("no pulse node is running here")

    ours, service = tmp_path / ".pulse", tmp_path / "service"
    monkeypatch.setattr(stopping, "connect", nobody)
    monkeypatch.setattr(stopping, "SERVICE_DATA_DIR", service)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("PULSE_DATA_DIR", "PULSE_CONTROL_SOCKET"):
        monkeypatch.delenv(name, raising=False)
    for each in (ours, service):
        each.mkdir(mode=0o700)
    return ours, service


def test_stop_without_a_node_puts_back_what_the_service_left_though_nobody_names_its_directory(
    places: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    with namespace() as name, inside(name):
        with pytest.raises(LinkError):
            stopping.stop()
        crashed(name, places[1])
        stopping.stop()
        assert "is put back: routing table 28789, and its rules; the firewall" in capsys.readouterr().out
        assert state(name) == (False, "", "0")


def test_what_fails_at_one_directory_hides_nothing_that_another_had_put_back(
    places: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    ours, service = places
    with namespace() as name, inside(name):
        crashed(name, ours)
        (ours / "undo").unlink()
        undo.add(service, Undo(Kind.SYSCTL, "kernel/hostname"))
        with pytest.raises(Refused, match="kernel/hostname, which no node sets"):
            stopping.stop()
        assert f"in {ours}; what the last one set on this machine is put back: routing" in capsys.readouterr().out
        assert state(name) == (False, "", "0")
