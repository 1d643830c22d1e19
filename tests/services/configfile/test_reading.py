"""The whole config as a file. What a file says is understood as it is meant, or nothing changes."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from pulse.cli import configtext
from pulse.errors import ConfigError, Conflict, NotFound, Refused
from pulse.schemas.config import (
    ConfigWanted,
    FileAssertion,
    FileRecord,
    FileRoute,
    FileRule,
    FileSettings,
    FileTemplate,
)
from tests.authority import MESH
from tests.services.configfile.desk import OTHER, Desk, desk
from tests.services.office import CAM, HOME, RELAY

__all__ = ["desk"]


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


async def test_a_newcomer_that_asks_for_a_name_that_was_given_changes_nothing(desk: Desk) -> None:
    number, file = await desk.service.export()
    taken = {**file.names, CAM.node_id: "keeper"}
    with pytest.raises(Conflict, match="keeper would be the name of"):
        await desk.service.plan(ConfigWanted(structs.replace(file, names=taken)))
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
