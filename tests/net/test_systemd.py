"""Notifier: what a service manager hears on a real socket, and that nobody waits for one that is not there."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pulse.net import systemd
from pulse.net.systemd import Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        yield listening


def heard(manager: socket.socket) -> list[str]:
    return manager.recv(4096).decode().splitlines()


def test_each_state_is_told_in_the_words_of_sd_notify(manager: socket.socket) -> None:
    notifier = Notifier(manager.getsockname())

    notifier.ready("All well.\n2 nodes")
    notifier.reloading()
    notifier.alive("x" * 1000)
    notifier.stopping()

    assert heard(manager) == ["READY=1", "STATUS=All well. 2 nodes"]
    word, moment = heard(manager)
    assert word == "RELOADING=1"
    assert moment.removeprefix("MONOTONIC_USEC=").isdecimal()
    assert heard(manager) == ["WATCHDOG=1", f"STATUS={'x' * 200}"]
    assert heard(manager)[0] == "STOPPING=1"


def test_an_abstract_socket_is_reached_too() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0pulse-test-{os.getpid()}")
        listening.settimeout(5)
        Notifier(f"@pulse-test-{os.getpid()}").stopping()
        assert heard(listening)[0] == "STOPPING=1"


@pytest.mark.parametrize("place", ["", "/nowhere/notify"])
def test_nobody_waits_for_a_manager_that_is_not_there(place: str) -> None:
    Notifier(place).ready("up")


def test_a_manager_that_does_not_listen_holds_nobody_up(manager: socket.socket) -> None:
    for _ in range(10_000):
        Notifier(manager.getsockname()).alive("still here")


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_the_one_meant_for_us(variables: dict[str, str], seconds: float | None) -> None:
    assert Notifier.from_environment(variables, 7).watchdog == seconds


JOBS = {
    "7 pulse.service restart running": True,
    "7 pulse.service stop running": False,
    "8 other.service restart running\n7 pulse.service stop running": False,
    "Failed to connect to bus: No such file or directory": False,
    "": False,
}
"""What systemctl of systemd 252 says, seen with the real one."""


@pytest.mark.parametrize(("jobs", "restarts"), JOBS.items())
async def test_a_restart_is_told_from_a_stop_by_the_managers_own_job_though_it_ends_all_it_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: str, restarts: bool
) -> None:
    (tmp_path / "systemctl").write_text(
        f'#!/bin/sh\nkill -TERM $$\necho "$*" >{tmp_path}/asked\nprintf "%s" "{jobs}"\n'
    )
    (tmp_path / "systemctl").chmod(0o755)
    (tmp_path / "cgroup").write_text("1:name=systemd:/system.slice/pulse.service\n0::/system.slice/pulse.service\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(systemd, "_GROUPS", tmp_path / "cgroup")

    assert await Notifier("/run/systemd/notify").restarts() is restarts
    assert (tmp_path / "asked").read_text() == "list-jobs --no-legend --plain pulse.service\n"


@pytest.mark.parametrize(("place", "group"), [("", "/system.slice/pulse.service"), ("/run/n", "/"), ("/run/n", None)])
async def test_without_a_manager_or_a_unit_nobody_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, group: str | None
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(systemd, "_GROUPS", tmp_path / "cgroup")
    if group:
        (tmp_path / "cgroup").write_text(f"0::{group}\n")
    assert not await Notifier(place).restarts()


async def test_a_manager_that_cannot_be_asked_restarts_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "systemctl").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "systemctl").chmod(0o755)
    (tmp_path / "cgroup").write_text("0::/system.slice/pulse.service\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(systemd, "_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(systemd, "_PATIENCE", 0.05)
    assert not await Notifier("/run/systemd/notify").restarts()
