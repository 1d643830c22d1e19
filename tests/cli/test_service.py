"""`pulse install-service`: what is written, what stays, and that systemd itself finds nothing wrong with the unit."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pulse.cli import service
from pulse.errors import ConfigError, Refused
from pulse.store.files import lock
from tests.cli.shell import Shell
from tests.namespace import inside, namespace
from tests.test_aftermath import crashed, state

ROOT = Path(__file__).parents[2]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """The file system of a machine that is not there."""
    return tmp_path / "image"


def install(shell: Shell, image: Path, *more: str) -> str:
    done = shell.pulse("install-service", "--root", str(image), *more)
    assert (done.code, done.err) == (0, "")
    return done.out


@pytest.fixture(autouse=True)
def readable(monkeypatch: pytest.MonkeyPatch, shell: Shell) -> None:
    """This pulse may well be in a home directory."""
    (shell.home / "sitecustomize.py").write_text("from pulse.cli import service; service.HOMES = ('/nowhere/',)")


def test_unit_user_and_settings_are_written_and_the_next_steps_told(shell: Shell, image: Path) -> None:
    said = install(shell, image)

    unit = (image / service.UNIT).read_text()
    assert f"ExecStart={sys.executable} -P -m pulse --config /etc/pulse-mesh/config.toml" in unit
    assert "Type=notify" in unit
    assert (image / service.USER).read_text().splitlines()[0] == "g pulse -"
    assert "systemctl enable --now pulse" in said
    checked = shell.pulse("config", "check", str(image / service.CONFIG))
    assert (checked.code, checked.err) == (0, "")


def test_its_user_may_tell_resolved_which_names_it_answers_and_nothing_more(shell: Shell, image: Path) -> None:
    """By hand with the real polkitd; here that the rule says so of the settings that a node makes."""
    install(shell, image)
    rule = (image / service.RULE).read_text()
    assert rule.startswith((ROOT / "deploy" / "50-pulse.rules").read_text())
    assert 'subject.user == "pulse"' in rule

    install(shell, image, "--uninstall")
    assert not (image / service.RULE).exists()


def test_twice_changes_nothing_and_settings_of_a_person_stay(shell: Shell, image: Path) -> None:
    install(shell, image)
    (image / service.CONFIG).write_text("# mine\n")
    before = {path: path.stat().st_mtime_ns for path in image.rglob("*")}

    assert "nothing to do: it is installed so already" in install(shell, image)
    assert {path: path.stat().st_mtime_ns for path in image.rglob("*")} == before


def test_a_unit_that_a_person_changed_stays_and_is_told(shell: Shell, image: Path) -> None:
    install(shell, image)
    unit = image / service.UNIT
    unit.write_text(mine := unit.read_text().replace("WatchdogSec=30", "WatchdogSec=90"))

    done = shell.pulse("install-service", "--root", str(image))

    assert (done.code, unit.read_text()) == (0, mine)
    assert f"{unit} was changed, and stays" in done.err
    assert "which was changed: it is pulse.service.saved now" in install(shell, image, "--uninstall")
    assert unit.with_name("pulse.service.saved").read_text() == mine


def test_a_unit_of_another_release_is_renewed(shell: Shell, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "HOMES", ("/nowhere/",))
    with monkeypatch.context() as older:
        older.setattr(service, "text", lambda name: f"# older {name}\n")
        service.install_service(root=image)

    assert f"wrote {image / service.UNIT}" in install(shell, image)
    assert "Type=notify" in (image / service.UNIT).read_text()


def test_settings_are_closed_from_the_first(shell: Shell, image: Path) -> None:
    """In an image, too, which has no group pulse yet: its systemd lets the service read them."""
    install(shell, image)

    assert (image / service.CONFIG).stat().st_mode & 0o777 == 0o600
    assert f"z /{service.CONFIG} 0640 root pulse -" in (image / service.OPENED).read_text()


def test_somebody_who_hangs_up_leaves_nothing_half_done(shell: Shell, image: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)

    done = subprocess.run(
        shell.command("install-service", "--root", str(image)), stdout=writer, stderr=subprocess.PIPE, text=True,
        timeout=60, check=False, env=shell.variables(), cwd=shell.home,
    )  # fmt: skip
    os.close(writer)

    assert "cannot write" not in done.stderr
    assert (image / service.CONFIG).exists()


def test_uninstall_puts_back_what_a_node_left_and_says_what(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("UNIT", "USER", "RULE", "OPENED", "RUNS"):
        monkeypatch.setattr(service, name, str(tmp_path / "nothing"))
    monkeypatch.setattr(service, "SERVICE_DATA_DIR", tmp_path)
    with namespace() as name, inside(name):
        crashed(name, tmp_path)
        with lock(tmp_path):
            service.install_service(uninstall=True)
        told = capsys.readouterr()
        assert "not put back: another pulse" in told.err
        assert "nothing to do: it is not installed" in told.out

        service.install_service(uninstall=True)
        assert "put back routing table 28789, and its rules" in capsys.readouterr().out
        assert state(name) == (False, "", "0")


def test_uninstall_takes_away_the_unit_and_leaves_settings(shell: Shell, image: Path) -> None:
    install(shell, image)

    assert "Settings stay in /etc/pulse-mesh" in install(shell, image, "--uninstall")
    assert not (image / service.UNIT).exists()
    assert (image / service.CONFIG).exists()
    assert "nothing to do: it is not installed" in install(shell, image, "--uninstall")


def test_without_root_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(Refused, match="sudo pulse install-service"):
        service.install_service()


def test_a_pulse_that_the_service_could_not_read_is_refused(monkeypatch: pytest.MonkeyPatch, image: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["/home/me/.venv/bin/pulse.py"])
    monkeypatch.setattr(sys, "executable", "/home/me/.venv/bin/python")

    with pytest.raises(Refused, match="in a home directory"):
        service.install_service(root=image)


@pytest.mark.parametrize("place", ["/root/venv/bin", "/tmp/venv/bin", "/var/tmp"])  # noqa: S108 (nothing is written)
def test_a_link_to_where_a_service_cannot_read_is_refused(
    monkeypatch: pytest.MonkeyPatch, image: Path, tmp_path: Path, place: str
) -> None:
    monkeypatch.setattr(service, "HOMES", tuple(each for each in service.HOMES if place.startswith(each[:-1])))
    monkeypatch.setattr(service, "pulse", SimpleNamespace(__path__=["/opt/pulse"]))
    link = tmp_path / "python"
    link.symlink_to(f"{place}/python")
    monkeypatch.setattr(sys, "argv", ["/nowhere/pulse.py"])
    monkeypatch.setattr(sys, "executable", str(link))

    with pytest.raises(Refused, match="cannot read"):
        service.install_service(root=image)


@pytest.mark.parametrize("name", ["with space", "100%i", "a;b", "a$b"])
def test_systemd_finds_a_command_whatever_its_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    program = tmp_path / name / "python"
    program.parent.mkdir()
    program.symlink_to("/bin/true")
    monkeypatch.setattr(service, "HOMES", ("/nowhere/",))
    monkeypatch.setattr(sys, "argv", ["/nowhere/pulse.py"])
    monkeypatch.setattr(sys, "executable", str(program))
    service.install_service(root=tmp_path / "image")

    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / "image" / service.UNIT)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_stands_once() -> None:
    assert (ROOT / "deploy" / "pulse.service").samefile(service.FILES / "pulse.service")
    assert service.unit("/usr/bin/pulse") == service.text("pulse.service")


def test_beside_the_service_of_a_package_there_is_no_second_one(shell: Shell, image: Path) -> None:
    packaged = image / service.PACKAGED_UNIT
    packaged.parent.mkdir(parents=True)
    packaged.touch()

    done = shell.pulse("install-service", "--root", str(image))
    assert (done.code, "a package brought the service" in done.err) == (3, True), done
    assert not (image / service.UNIT).exists()


def test_a_path_that_systemd_takes_nowhere_is_refused(monkeypatch: pytest.MonkeyPatch, image: Path) -> None:
    monkeypatch.setattr(service, "HOMES", ("/nowhere/",))
    monkeypatch.setattr(sys, "argv", ["/nowhere/pulse.py"])
    monkeypatch.setattr(sys, "executable", "/opt/it's/python")

    with pytest.raises(Refused, match="which systemd takes in no path"):
        service.install_service(root=image)


def test_what_may_pass_does_not_keep_the_service_down() -> None:
    """A full disk or an address that is not there yet ends a start with the code of SystemRefused."""
    line = next(line for line in service.text("pulse.service").splitlines() if line.startswith("RestartPrevent"))

    assert line.partition("=")[2].split() == [str(ConfigError.exit_code), str(Refused.exit_code)]


@pytest.mark.parametrize("arguments", [["verify"], ["security", "--offline=true", "--threshold=30"]])
def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path, arguments: list[str]) -> None:
    file = tmp_path / "pulse.service"
    file.write_text(service.unit("/bin/true"))

    done = subprocess.run(
        ["systemd-analyze", *arguments, str(file)], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert arguments != ["verify"] or done.stderr == ""
