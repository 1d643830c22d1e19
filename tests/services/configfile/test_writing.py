"""The whole config as a file. What is written out changes nothing, and is the same each time."""

import msgspec

from pulse.schemas.config import (
    ConfigFile,
    ConfigWanted,
)
from tests.authority import NOW
from tests.services.configfile.desk import Desk, desk
from tests.services.office import CAM, RELAY

__all__ = ["desk"]


async def test_what_is_written_out_changes_nothing(desk: Desk) -> None:
    number, file = await desk.service.export()
    before = desk.config()

    plan = await desk.service.apply(ConfigWanted(file), number)

    assert (plan.changes, plan.applied, plan.version, desk.config()) == ([], False, before.version, before)


async def test_a_file_is_written_the_same_each_time_and_by_people(desk: Desk) -> None:
    _, file = await desk.service.export()
    assert list(file.names.values()) == ["desk", "relay"]
    assert file.tags == {CAM.node_id: ["eye"], "relay": ["edge"]}
    assert (file.acl[0].proto, file.acl[1].window) == (["tcp", "icmp", "udp"], "mon-fri 09:00-18:00 UTC")
    assert file.acl[1].expires == int(NOW + 60)
    assert [(each.node, each.mapped) for each in file.routes if each.mapped] == [(CAM.node_id, "10.8.8.0/24")]
    assert file.templates["web"].ttl == "1h30m"
    assert msgspec.json.decode(msgspec.json.encode(file), type=ConfigFile) == file


async def test_a_revoked_node_is_in_no_file(desk: Desk) -> None:
    desk.office.revoke(RELAY)
    number, file = await desk.service.export()

    assert "relay" not in {*file.names.values(), *file.tags, *(each.node for each in file.routes)}
    assert (await desk.service.apply(ConfigWanted(file), number)).changes == []
