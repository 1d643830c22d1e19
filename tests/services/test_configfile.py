"""The whole config as a file: what is written out changes nothing, what is applied is applied whole or not at all."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs

from pulse import clock
from pulse.cli import configtext
from pulse.core.network.edits import Edit, Edits
from pulse.core.network.hours import Window
from pulse.core.network.naming import NodeNamed, NodeTagged
from pulse.core.network.netconfig import SignedConfig
from pulse.core.network.routes import Route
from pulse.core.network.ruling import AssertionAdded, GroupSet, RuleAdded
from pulse.core.network.scribe import Scribe
from pulse.core.network.sections import RoutesReplaced, TemplateSet, ZonesReplaced
from pulse.core.network.templates import Template
from pulse.core.network.zones import ZoneRecord
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.identity import node_bytes
from pulse.errors import ConfigError, Conflict, NotFound, Refused
from pulse.schemas.config import (
    ConfigFile,
    ConfigWanted,
    FileAssertion,
    FileRecord,
    FileRoute,
    FileRule,
    FileSettings,
    FileTemplate,
)
from pulse.schemas.policy import Connection
from pulse.services.configfile import ConfigFileService
from tests.authority import MESH, NOW, key
from tests.services.office import CA, CAM, HOME, RELAY, Office

OTHER = f"mynet.{'f' * 64}"
HOURS = Window(31, 540, 1080)


def tagged(node: Certificate, tag: str) -> NodeTagged:
    return NodeTagged(node_bytes(node.node_id), tag)


FULL: list[Edit] = [
    NodeNamed(node_bytes(HOME.node_id), "desk"),
    NodeNamed(node_bytes(RELAY.node_id), "relay"),
    tagged(RELAY, "edge"),
    tagged(CAM, "eye"),
    GroupSet("ops", ["desk", "tag:edge"]),
    RuleAdded(["group:ops"], ["*"], True, [6, 1, 58, 17], [], note="all of it"),
    RuleAdded(["tag:eye"], ["desk", CAM.node_id], True, [6], [(22, 22), (8000, 8100)], True, NOW + 60.25, HOURS),
    RuleAdded(["tag:contractor"], ["cidr:192.168.7.0/24"], False, ahead=True),
    AssertionAdded("tag:edge", "desk", True, 6, 22),
    AssertionAdded("group:ops", "tag:eye", True, 1),
    TemplateSet("web", Template(["web"], "web-*", 5400, 1)),
    ZonesReplaced([ZoneRecord("db", "A", "10.9.0.1"), ZoneRecord("_pg._tcp.db.pulse", "SRV", "0 0 5432 desk")]),
    RoutesReplaced(
        [
            Route(node_bytes(RELAY.node_id), "0.0.0.0/0", approved=True),
            Route(node_bytes(CAM.node_id), "10.7.7.0/24", "10.8.8.0/24"),
        ],
        {"10.20.0.0/16": "site"},
    ),
]  # fmt: skip
"""Edits that leave nothing out."""


@dataclass
class Desk:
    """The scribe `home`, which writes its configs to disk."""

    office: Office
    pen: Scribe = field(init=False)
    made: int = 0

    def __post_init__(self) -> None:
        self.office.appoint(HOME)
        self.pen = Scribe(HOME.node_id, key("home"), self.office.statements, self.office.members, lambda: 0)

    @property
    def service(self) -> ConfigFileService:
        return ConfigFileService(self.office.statements, self.office.members, self.edit)

    def config(self) -> SignedConfig:
        return self.office.statements.config_in_force()

    async def edit(self, edits: Edits) -> SignedConfig:
        self.made += 1
        signed = self.pen.edited(edits, NOW)
        self.office.publish.config(signed)
        return signed

    async def file(self, **changes: Any) -> ConfigWanted:
        """The config in force, with other sections."""
        return ConfigWanted(structs.replace((await self.service.export())[1], **changes))


@pytest.fixture
async def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(clock, "wall", lambda: NOW)
    found = Desk(Office(tmp_path / "data"))
    await found.edit(Edits(FULL))
    return found


def empty() -> ConfigFile:
    return ConfigFile(settings=FileSettings(str(MESH), CA.network.label))


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


async def test_a_plan_tells_all_and_changes_nothing(desk: Desk) -> None:
    before = desk.config()
    plan = await desk.service.plan(ConfigWanted(empty(), force=True))

    assert [each.section for each in plan.changes if each.change == "removed"] == (
        ["names"] * 2 + ["tags"] * 2 + ["groups"] + ["acl"] * 3 + ["tests"] * 2 + ["templates"] + ["zones"] * 2
        + ["routes"] * 2 + ["auto_approve"]
    )  # fmt: skip
    assert (plan.opens, plan.applied, desk.config(), desk.made) == (True, False, before, 1)
    assert plan.gained_pairs == len(plan.gained) > 0


async def test_a_file_is_put_in_place_in_one_config_and_then_there_is_nothing_to_do(desk: Desk) -> None:
    wanted = ConfigWanted(empty(), force=True)
    plan = await desk.service.apply(wanted, None)

    assert (plan.applied, plan.version, desk.made) == (True, "1.3", 2)
    assert (await desk.service.export()) == ((1, 3), empty())
    again = await desk.service.apply(wanted, None)
    assert (again.applied, again.changes, desk.made) == (False, [], 2)


async def test_names_digits_and_hosts_stand_for_nodes(desk: Desk) -> None:
    wanted = await desk.file(
        names={"desk": "table", RELAY.node_id[:6]: "relay"},
        tags={"cam-7": ["eye"], "table": ["new"], "relay": ["edge"]},
        groups={"ops": ["table", "tag:edge"]},
        acl=[FileRule(source="table", destination=[f"{CAM.node_id[:8]}*"])],
        tests=[],
    )
    await desk.service.apply(structs.replace(wanted, force=True), None)

    _, file = await desk.service.export()
    assert file.names == {HOME.node_id: "table", RELAY.node_id: "relay"}
    assert file.tags == {CAM.node_id: ["eye"], "relay": ["edge"], "table": ["new"]}
    assert [(each.source, each.destination) for each in file.acl] == [(["table"], [CAM.node_id])]


@pytest.mark.parametrize(
    ("changes", "error", "said_of_it"),
    [
        ({"settings": FileSettings("10.0.0.0/8")}, Refused, "range of a mesh never changes"),
        ({"settings": FileSettings(str(MESH))}, Refused, "says no network"),
        ({"settings": FileSettings(str(MESH), OTHER)}, Refused, f"is of the network {OTHER}"),
        ({"acl": [], "tests": []}, Refused, "no rules are left of 3: .*\n.*--force"),
        ({"tests": []}, Refused, "no tests are left of 2.*\n.*--force"),
        ({"names": {"nobody": "x"}}, NotFound, 'names: no node is called "nobody"'),
        ({"names": {HOME.node_id: "relay", RELAY.node_id: "relay"}}, Conflict, "relay would be the name of"),
        ({"names": {HOME.node_id: "a", HOME.node_id[:6]: "b"}}, Conflict, "is there twice"),
        ({"names": {"f" * 64: "ghost"}}, NotFound, "no node ffffffffffff"),
        ({"names": {HOME.node_id: "x"}, "tags": {"desk": []}}, NotFound, "desk is called x in this file"),
        ({"tags": {"relay": ["no tag"]}}, Refused, "cannot be a tag"),
        ({"acl": [FileRule(source="*", destination="dsek")]}, NotFound, "rule 1: .*Did you mean desk"),
        ({"acl": [FileRule(source="*", destination="*", ports=["x"])]}, ConfigError, "rule 1: .*no port"),
        ({"acl": [FileRule(source="*", destination="*", window="never")]}, ConfigError, "rule 1: "),
        ({"tests": [FileAssertion(source="*", destination="*", proto="x")]}, ConfigError, "test 1: .*no protocol"),
        ({"acl": [FileRule(source="tag:eye", destination="*")]}, Refused, "test t1 would fail"),
        ({"templates": {"web": FileTemplate(ttl="1.5s")}}, Refused, "template web: .*whole seconds"),
        ({"zones": [FileRecord("db", "A", "::1")]}, Refused, "zone record 1"),
        ({"routes": [FileRoute("nobody", "::/0")]}, NotFound, "route 1: no node"),
        ({"auto_approve": {"0.0.0.0/0": "site"}}, Refused, "whole Internet"),
    ],
)  # fmt: skip
async def test_what_cannot_be_so_changes_nothing(
    desk: Desk, changes: dict[str, Any], error: type[Exception], said_of_it: str
) -> None:
    before, wanted = desk.config(), await desk.file(**{"zones": [], **changes})

    for ask in (desk.service.plan(wanted), desk.service.apply(wanted, None)):
        with pytest.raises(error, match=said_of_it):
            await ask
    assert (desk.config(), desk.made) == (before, 1)


async def test_a_plan_for_another_config_is_not_applied(desk: Desk) -> None:
    number, _ = await desk.service.export()
    wanted = await desk.file(zones=[])
    await desk.edit(Edits([tagged(RELAY, "more")]))

    with pytest.raises(Conflict, match=r"is 1\.3 by now, and this was planned on 1\.2"):
        await desk.service.apply(wanted, number)
    assert len((await desk.service.export())[1].zones) == 2


async def test_the_connection_it_is_typed_through_is_closed_by_force_alone(desk: Desk) -> None:
    ssh = Connection(str(RELAY.addresses.v4), str(HOME.addresses.v4), 22)
    shut = FileRule(source="*", destination="*", action="deny")
    never = FileAssertion(source="*", destination="*", expect="deny", proto="tcp", port=22)
    closing = structs.replace(await desk.file(acl=[shut], tests=[never]), through=ssh)
    with pytest.raises(Refused, match="would close the connection"):
        await desk.service.apply(closing, None)
    assert (await desk.service.apply(structs.replace(closing, force=True), None)).applied


async def test_a_newcomer_that_asks_for_a_name_that_was_given_changes_nothing(desk: Desk) -> None:
    number, file = await desk.service.export()
    taken = {**file.names, CAM.node_id: "keeper"}
    with pytest.raises(Conflict, match="keeper would be the name of"):
        await desk.service.plan(ConfigWanted(structs.replace(file, names=taken)))
    assert (await desk.service.apply(ConfigWanted(file), number)).changes == []


async def test_a_revoked_node_is_in_no_file(desk: Desk) -> None:
    desk.office.revoke(RELAY)
    number, file = await desk.service.export()

    assert "relay" not in {*file.names.values(), *file.tags, *(each.node for each in file.routes)}
    assert (await desk.service.apply(ConfigWanted(file), number)).changes == []


async def test_a_file_that_was_cut_off_opens_nothing(desk: Desk, tmp_path: Path) -> None:
    before, (_, file) = desk.config(), await desk.service.export()
    text, path = configtext.written(file), tmp_path / "mesh.toml"

    for section in ("[[acl]]", "[[tests]]"):
        path.write_text(text[: text.index(section)], encoding="utf-8")
        cut = configtext.read(str(path)).config
        with pytest.raises(Refused, match=r"are left of .*Is the file whole\?"):
            await desk.service.apply(ConfigWanted(cut), None)
    assert (desk.config(), desk.made) == (before, 1)
    assert (await desk.service.apply(ConfigWanted(cut, force=True), None)).applied
