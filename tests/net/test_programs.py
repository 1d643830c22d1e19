"""Programs of this machine are quoted where they fail, and keep nobody waiting."""

from pathlib import Path

import pytest

from pulse.errors import SystemRefused
from pulse.net.programs import run
from tests.net.programs import Programs, added


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    return added(tmp_path, monkeypatch)


async def test_a_program_that_fails_is_quoted(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_TOKEN", "secret")
    programs("resolvectl", 'echo "Access denied${PULSE_TOKEN}" >&2; exit 1')

    with pytest.raises(SystemRefused, match=r"resolvectl dns failed: Access denied$"):
        await run("resolvectl", "dns")
    with pytest.raises(SystemRefused, match="cannot run nothing-like-it: No such file"):
        await run("nothing-like-it")


async def test_a_program_that_hangs_is_ended(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pulse.net.programs.PATIENCE", 0.2)
    programs("resolvectl", "exec sleep 60")

    with pytest.raises(SystemRefused, match=r"resolvectl did not end within 0\.2 s"):
        await run("resolvectl")


async def test_a_daemon_that_a_program_leaves_behind_keeps_nobody_waiting(programs: Programs) -> None:
    programs("resolvconf", "sleep 5 & echo done")

    assert await run("resolvconf") == "done\n"
