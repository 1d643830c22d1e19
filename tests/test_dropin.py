"""The drop-in of systemd-resolved: whole, ours, readable, and gone if nobody takes it; e2e has the real resolved."""

import os
from pathlib import Path

import pytest

from pulse import dropin
from pulse.errors import Conflict, NotFound, Refused, SystemRefused
from pulse.net.resolver import Resolved

SERVER = "127.0.0.1:5353"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a resolved that takes everything; `said` has what it was told."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(Resolved, "runs", lambda _: True)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    (tmp_path / "bin").mkdir()
    program(tmp_path, "systemctl", f'echo "$*" >> {tmp_path}/said')
    program(tmp_path, "resolvectl", 'echo "Global:"; echo "Link 2 (eth0): 192.0.2.53"')
    return tmp_path / "resolved.conf.d" / "pulse.conf"


def program(root: Path, name: str, script: str) -> None:
    (root / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
    (root / "bin" / name).chmod(0o755)


def test_it_is_written_once_and_removed_with_its_directory(place: Path) -> None:
    assert dropin.install(SERVER, place) is True
    assert dropin.install(SERVER, place) is False
    assert place.read_text().endswith("[Resolve]\nDNS=127.0.0.1:5353\nDomains=~pulse\n")
    assert (place.stat().st_mode & 0o777, place.parent.stat().st_mode & 0o777) == (0o644, 0o755)

    dropin.remove(place)
    assert not place.parent.exists()
    with pytest.raises(NotFound, match="there is no "):
        dropin.remove(place)
    assert (place.parents[1] / "said").read_text() == "restart systemd-resolved\n" * 2


def test_another_server_replaces_it_and_other_files_stay(place: Path) -> None:
    dropin.install(SERVER, place)
    (place.parent / "other.conf").write_text("[Resolve]\n")

    assert dropin.install("127.0.0.1:53", place) is True
    assert "DNS=127.0.0.1:53\n" in place.read_text()
    dropin.remove(place)
    assert [each.name for each in place.parent.iterdir()] == ["other.conf"]


def test_what_resolved_does_not_take_is_not_left(place: Path) -> None:
    program(place.parents[1], "systemctl", "echo no such unit; exit 5")
    with pytest.raises(SystemRefused, match="systemctl restart systemd-resolved failed: no such unit"):
        dropin.install(SERVER, place)
    assert not place.parent.exists()


def test_what_pulse_did_not_write_is_not_touched(place: Path) -> None:
    place.parent.mkdir()
    place.write_text("[Resolve]\nDNS=192.0.2.53\n")

    with pytest.raises(Conflict, match="is not what pulse wrote"):
        dropin.install(SERVER, place)
    with pytest.raises(Conflict, match="is not what pulse wrote"):
        dropin.remove(place)
    assert place.read_text() == "[Resolve]\nDNS=192.0.2.53\n"


def test_servers_of_the_whole_machine_are_not_mixed_with_it(place: Path) -> None:
    program(place.parents[1], "resolvectl", f'echo "Global: {SERVER} 192.0.2.53"')

    with pytest.raises(Conflict, match=r"\(192\.0\.2\.53\) are set for the whole of it"):
        dropin.install(SERVER, place)
    assert not place.exists()


def test_where_resolved_does_not_run_or_by_anybody_nothing_is_written(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Resolved, "runs", lambda _: False)
    with pytest.raises(SystemRefused, match="does not run here"):
        dropin.install(SERVER, place)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Refused, match="Type: sudo pulse setup dns --global"):
        dropin.install(SERVER, place)
    with pytest.raises(Refused, match="Type: sudo pulse setup dns --undo --global"):
        dropin.remove(place)
    assert not place.parent.exists()
