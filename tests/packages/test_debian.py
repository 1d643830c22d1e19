"""The Debian package on a bare Debian with its own systemd: installed, run, upgraded, removed, purged."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pulse.lab.host import wait_until
from tests.namespace import require_root
from tests.packages.debian import PATIENCE, Debian

pytestmark = [pytest.mark.packages, pytest.mark.timeout(1200)]

SUITES = {"3.11": "bookworm", "3.13": "trixie"}
"""By the Python that they have."""

SETTINGS = '[node]\naddr = "127.0.0.1:8443"\n[ca]\nenabled = true\n[tun]\nenabled = true\n'


@pytest.fixture(scope="module")
def debian(deb: Path) -> Iterator[Debian]:
    """With the package put on it, and running."""
    require_root()
    python = re.search(r"\+py([0-9.]+)_", deb.name)
    if python is None or python[1] not in SUITES:
        pytest.skip(f"no suite of Debian is known for {deb.name}")
    made = Debian.bootstrapped(SUITES[python[1]], "ca-certificates,systemd")
    try:
        shutil.copy(deb, made.path("/pulse-mesh.deb"))
        made.apt("update")
        made.apt("install", "/pulse-mesh.deb")
        made.boot()
        yield made
    finally:
        made.stop()


def state(debian: Debian) -> str:
    return debian.runs("systemctl", "show", "--property=ActiveState", "--value", "pulse").strip()


def identity(debian: Debian) -> str:
    wait_until(lambda: "{" in debian.tries("pulse", "id", "--json"), "the node answers", PATIENCE)
    told = json.loads(debian.runs("pulse", "id", "--json"))
    return str(told["id"])


def test_apt_brings_all_it_needs_and_starts_nothing(debian: Debian) -> None:
    assert re.fullmatch(r"[0-9a-f]{40}\+?", json.loads(debian.runs("pulse", "version", "--json"))["commit"])
    assert "quickstart" in debian.runs("pulse", "help")
    assert (state(debian), "disabled" in debian.tries("systemctl", "is-enabled", "pulse")) == ("inactive", True)
    assert debian.runs("stat", "-c", "%U:%G:%a", "/etc/pulse-mesh/config.toml") == "root:pulse:640\n"
    assert "pulse, an encrypted mesh network" in debian.runs("getent", "passwd", "pulse")
    for file in (
        "/usr/share/man/man1/pulse.1.gz",
        "/usr/share/bash-completion/completions/pulse",
        "/usr/share/zsh/vendor-completions/_pulse",
        "/usr/share/fish/vendor_completions.d/pulse.fish",
        "/usr/share/doc/pulse-mesh/copyright",
        "/usr/share/pulse-mesh/prometheus/alerts.yml",
        "/usr/share/pulse-mesh/grafana/pulse.json",
    ):
        assert debian.path(file).stat().st_size > 100, file
    assert debian.runs("dpkg", "--verify", "pulse-mesh") == ""


def test_its_systemd_finds_nothing_wrong_with_the_unit(debian: Debian) -> None:
    assert debian.runs("systemd-analyze", "verify", "/usr/lib/systemd/system/pulse.service") == ""


def test_a_second_unit_beside_it_is_refused(debian: Debian) -> None:
    assert "a package brought the service" in debian.tries("pulse", "install-service")


def test_it_runs_as_its_user_and_an_upgrade_restarts_it_with_the_settings_of_a_person(debian: Debian) -> None:
    debian.path("/etc/pulse-mesh/config.toml").write_text(SETTINGS)
    debian.runs("systemctl", "enable", "--now", "pulse")
    me = identity(debian)
    assert "pulse0" in debian.runs("pulse", "status", "--json")
    process = debian.runs("systemctl", "show", "--property=MainPID", "--value", "pulse")
    assert debian.runs("stat", "-c", "%U", f"/proc/{process.strip()}") == "pulse\n"

    debian.runs("dpkg", "--install", "/pulse-mesh.deb")
    assert state(debian) == "active"
    assert debian.runs("systemctl", "show", "--property=MainPID", "--value", "pulse") != process
    assert identity(debian) == me
    assert debian.path("/etc/pulse-mesh/config.toml").read_text() == SETTINGS


def test_removed_it_is_stopped_and_leaves_settings_and_state_and_comes_back(debian: Debian) -> None:
    me = identity(debian)

    debian.runs("dpkg", "--remove", "pulse-mesh")
    assert state(debian) != "active"
    assert not debian.path("/usr/lib/pulse-mesh").exists()
    assert debian.path("/etc/pulse-mesh/config.toml").read_text() == SETTINGS
    assert debian.path("/var/lib/pulse/ca/key").exists()

    debian.runs("dpkg", "--install", "/pulse-mesh.deb")
    debian.runs("systemctl", "start", "pulse")
    assert identity(debian) == me


def test_purged_it_leaves_the_key_of_a_ca_and_says_so(debian: Debian) -> None:
    said = debian.runs("dpkg", "--purge", "pulse-mesh")

    assert "the key of a CA is in /var/lib/pulse" in said
    assert debian.path("/var/lib/pulse/ca/key").exists()
    assert not debian.path("/etc/pulse-mesh").exists()


def test_purged_it_leaves_nothing_of_a_member(debian: Debian) -> None:
    shutil.rmtree(debian.path("/var/lib/pulse"))
    debian.runs("dpkg", "--install", "/pulse-mesh.deb")
    (debian.path("/var/lib/pulse") / "identity").mkdir(parents=True)

    assert "key of a CA" not in debian.runs("dpkg", "--purge", "pulse-mesh")
    for place in ("/var/lib/pulse", "/etc/pulse-mesh", "/usr/lib/pulse-mesh", "/usr/bin/pulse"):
        assert not debian.path(place).exists(), place
