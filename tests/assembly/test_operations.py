"""Operations: a node that is composed tells of its own state."""

from pathlib import Path

import pytest

from pulse.net.systemd import Notifier
from pulse.services import enrol
from pulse.store.files import open_data_dir
from tests.authority import MESH
from tests.killpoints.damage import started


async def test_a_node_tells_of_itself(tmp_path: Path) -> None:
    enrol.found(open_data_dir(tmp_path / "data"), "harmed", MESH, "first")
    async with started(tmp_path / "data") as made:
        told = await made.control.doctor.checkup()

    assert told.data_dir == str(tmp_path / "data")
    assert told.running.cas is None, "it is the CA itself"
    assert (told.running.missing, told.running.alarms, told.running.revoked) == ([], [], False)


@pytest.mark.parametrize(
    ("keeps", "restarts", "again", "leaves"),
    [
        (True, True, False, False),
        (True, False, False, True),
        (False, True, False, True),
        (False, False, True, False),
    ],
)
async def test_a_node_that_its_manager_starts_anew_does_not_leave_if_anything_of_it_is_to_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, keeps: bool, restarts: bool, again: bool, leaves: bool
) -> None:
    async def told(_: Notifier) -> bool:
        return restarts

    monkeypatch.setattr(Notifier, "restarts", told)
    enrol.found(open_data_dir(tmp_path / "data"), "harmed", MESH, "first")
    async with started(tmp_path / "data") as made:
        made.operating.keeps = lambda: keeps
        made.operating.again = again
        assert not made.operating.leaves, "one that fails was not told to"
        await made.operating.leaving()
        assert made.operating.leaves is leaves
