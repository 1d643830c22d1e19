"""The config as objects: every field under its name, and JSON takes it."""

import msgspec

from pulse.core.messages import Wire
from pulse.core.network.netconfig import Config, Settings
from pulse.core.network.plainconfig import plain
from pulse.core.network.policy import Rule
from tests.authority import MESH, node

CAM = node("cam")
CONFIG = Config(
    1,
    7,
    Settings(str(MESH)),
    {bytes.fromhex(CAM): "cam-7"},
    {bytes.fromhex(CAM): ["infra", "eye"]},
    [Rule("r1", ["*"], ["tag:eye"], True, [6], [(22, 22), (8000, 8100)])],
)


def test_all_of_a_config_is_told_by_name() -> None:
    told = plain(CONFIG)

    assert (told["scribe_epoch"], told["generation"], told["settings"]) == (1, 7, {"mesh_cidr": str(MESH)})
    assert (told["names"], told["tags"]) == ({CAM: "cam-7"}, {CAM: ["infra", "eye"]})
    (rule,) = told["acl"]
    assert (rule["id"], rule["sources"], rule["destinations"], rule["allow"]) == ("r1", ["*"], ["tag:eye"], True)
    assert (rule["protocols"], rule["ports"]) == ([6], [[22, 22], [8000, 8100]])


def test_no_field_is_left_out() -> None:
    told = plain(CONFIG)

    assert set(told) == set(Config.__struct_fields__)
    assert set(told["acl"][0]) == set(Rule.__struct_fields__)


def test_json_takes_it_and_nothing_is_a_wire_struct() -> None:
    told = plain(CONFIG)

    assert msgspec.json.decode(msgspec.json.encode(told)) == told
    assert not any(isinstance(each, Wire) for each in (told, *told["acl"]))
