"""The whole config as a file. What is applied is applied whole or not at all, on what was planned on."""

import pytest
from msgspec import structs

from pulse.core.network.edits import Edits
from pulse.errors import Conflict, Refused
from pulse.schemas.config import (
    ConfigWanted,
    FileAssertion,
    FileRule,
)
from pulse.schemas.policy import Connection
from tests.services.configfile.desk import Desk, desk, empty, tagged
from tests.services.office import HOME, RELAY

__all__ = ["desk"]


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
