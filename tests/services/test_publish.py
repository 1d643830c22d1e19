"""Publishing: what the disk refuses, nobody hears of."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pulse.core.messages import ObjectKind
from pulse.core.network.netconfig import Config, Settings, sign_config
from pulse.core.trust.revocation import sign_revocation
from pulse.core.trust.roles import Roles, sign_roles
from pulse.errors import SystemRefused
from tests.authority import MESH, NOW, key
from tests.services.office import CA, CAM, HOME, Office, fill_disk

__all__ = ["fill_disk"]

ROLES = sign_roles(CA.network, Roles(1, HOME.node_id, 1, scribe_key=HOME.public_key), CA.key)
CONFIG = sign_config(CA.network, Config(1, 2, Settings(str(MESH))), key("home"))
REVOCATION = sign_revocation(CA.network, CAM.node_id, CA.key, time=NOW)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path / "data")


def test_what_is_published_is_on_disk_in_force_and_told(office: Office) -> None:
    office.publish.roles(ROLES)
    office.publish.config(CONFIG)
    office.publish.revocation(REVOCATION)

    assert office.store.load_roles().data == ROLES.data
    assert office.store.load_config().data == CONFIG.data
    assert office.store.load_revocations().objects == (REVOCATION.data,)
    assert office.told == [ObjectKind.ROLES, ObjectKind.CONFIG, ObjectKind.REVOCATION]
    assert office.statements.config == CONFIG


def test_what_a_full_disk_refuses_is_told_to_nobody(office: Office, fill_disk: Callable[[], None]) -> None:
    fill_disk()
    with pytest.raises(SystemRefused, match="No space left"):
        office.publish.roles(ROLES)
    with pytest.raises(SystemRefused, match="No space left"):
        office.publish.config(CONFIG)
    with pytest.raises(SystemRefused, match="No space left"):
        office.publish.revocation(REVOCATION)

    assert office.told == []
    assert office.statements.revoked() == frozenset()
    assert office.store.load_config().data is None
