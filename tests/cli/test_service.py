"""`pulse install-service`: what is written, what stays, and that systemd itself finds nothing wrong with the unit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pulse.cli import service
from pulse.errors import Refused
from tests.cli.shell import Shell

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
    assert rule == (ROOT / "deploy" / "50-pulse.rules").read_text()
    assert 'subject.user == "pulse"' in rule

    install(shell, image, "--uninstall")
    assert not (image / service.RULE).exists()


def test_twice_changes_nothing_and_settings_of_a_person_stay(shell: Shell, image: Path) -> None:
    install(shell, image)
    (image / service.CONFIG).write_text("# mine\n")
    before = {path: path.stat().st_mtime_ns for path in image.rglob("*")}

    assert "nothing to do: it is installed so already" in install(shell, image)
    assert {path: path.stat().st_mtime_ns for path in image.rglob("*")} == before


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


@pytest.mark.parametrize("arguments", [["verify"], ["security", "--offline=true", "--threshold=30"]])
def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path, arguments: list[str]) -> None:
    file = tmp_path / "pulse.service"
    file.write_text(service.unit("/bin/true"))

    done = subprocess.run(
        ["systemd-analyze", *arguments, str(file)], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert arguments != ["verify"] or done.stderr == ""
