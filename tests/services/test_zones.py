"""Zones service: records told, added and taken away through edits, on the scribe or by it."""

from pathlib import Path

import pytest

from pulse.errors import Conflict, NotFound, Refused
from pulse.schemas.dns import RecordRef, RecordRequest, RecordView
from pulse.services.zones import ZonesService
from tests.services.office import RELAY, Office
from tests.services.test_templates import Desk

OVER_A_NODE = "relay.pulse is a node: its own addresses are not told any more"


@pytest.fixture
def service(tmp_path: Path) -> ZonesService:
    desk = Desk(Office(tmp_path / "data"))
    return ZonesService(desk.office.statements, desk.office.members, desk.edit)


async def test_a_record_is_told_as_it_was_added_and_gone_when_it_is_taken_away(service: ZonesService) -> None:
    made = await service.add(RecordRequest("db", "a", "10.100.3.4"))
    assert (made.version, made.records, made.note) == ("1.2", [RecordView("db.pulse", "A", "10.100.3.4", 60)], "")
    await service.add(RecordRequest("a", "TXT", "x", 5))
    assert [each.name for each in await service.all()] == ["a.pulse", "db.pulse"]

    gone = await service.remove(RecordRef("DB", "A"))
    assert gone.records == made.records
    assert [each.name for each in await service.all()] == ["a.pulse"]
    with pytest.raises(NotFound, match=r"no record db\.pulse A"):
        await service.remove(RecordRef("db", "A"))


async def test_a_second_record_lives_as_long_as_the_first_unless_it_says_otherwise(service: ZonesService) -> None:
    await service.add(RecordRequest("db", "A", "10.100.3.4", 300))
    await service.add(RecordRequest("db", "A", "10.100.3.5"))
    assert [each.ttl for each in await service.all()] == [300, 300]
    with pytest.raises(Conflict, match="several ttl"):
        await service.add(RecordRequest("db", "A", "10.100.3.6", 60))


@pytest.mark.parametrize(
    ("wanted", "note"),
    [
        (RecordRequest("db", "CNAME", "relay.pulse"), ""),
        (RecordRequest("db", "CNAME", f"x.{RELAY.node_id[:8]}.pulse"), ""),
        (RecordRequest("db", "CNAME", "example.com"), ""),
        (RecordRequest("db", "CNAME", "rely"), "nothing is called rely.pulse yet. Did you mean relay.pulse?"),
        (RecordRequest("_pg._tcp.db.pulse", "SRV", "0 0 5432 zz.pulse"), "nothing is called zz.pulse yet."),
        (
            RecordRequest("relay", "A", "10.9.0.1"),
            "relay.pulse is a node: its own addresses are not told any more",
        ),
        (RecordRequest("relay", "TXT", "rack 4"), ""),
        (RecordRequest("pg.relay.pulse", "A", "10.9.0.1"), ""),
    ],
)
async def test_what_may_not_be_meant_is_noted(service: ZonesService, wanted: RecordRequest, note: str) -> None:
    assert (await service.add(wanted)).note == note


@pytest.mark.parametrize("wanted", [("db", "MX", "10 x"), ("db", "A", "10.1"), ("", "A", "10.9.0.1")])
async def test_what_is_no_record_changes_nothing(service: ZonesService, wanted: tuple[str, str, str]) -> None:
    with pytest.raises(Refused):
        await service.add(RecordRequest(*wanted))
    assert await service.all() == []
