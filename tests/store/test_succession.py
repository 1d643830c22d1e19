"""What a CA remembers of the replacement of its key."""

from pathlib import Path

import pytest

from pulse.errors import Damaged
from pulse.store import authority, rotation
from pulse.store.files import open_data_dir, write_checked
from tests.authority import MESH, NOW


@pytest.mark.parametrize("cut", [0, 40, -1])
def test_a_damaged_file_is_no_reason_to_sign_with_another_key(tmp_path: Path, cut: int) -> None:
    data_dir = open_data_dir(tmp_path / "data")
    authority.found(data_dir, "mynet", MESH, NOW)
    rotation.begin(data_dir, authority.open_issuer(data_dir), NOW)
    path = data_dir / "ca" / "succession"
    path.write_bytes(path.read_bytes()[:cut] if cut else b"nothing")
    with pytest.raises(Damaged, match="succession"):
        authority.open_issuer(data_dir)
    write_checked(path, "ca-succession", b"\x01")
    with pytest.raises(Damaged, match="cannot be read"):
        authority.open_issuer(data_dir)
