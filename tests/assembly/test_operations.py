"""Operations: a node that is composed tells of its own state."""

from pathlib import Path

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
