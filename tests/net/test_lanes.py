"""Join lanes: of a node's addresses the first that answers serves, and what failed last is told."""

import pytest

from pulse.errors import LinkError
from pulse.net import lanes
from pulse.net.lanes import open_lane
from tests.fakes import FakeLane, FakeLinks

DEAD, ALIVE = "192.0.2.1:443", "192.0.2.2:443"


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(address: str) -> list[str]:
        return [] if address == "nobody:443" else [DEAD, ALIVE]

    monkeypatch.setattr(lanes, "resolve", resolve)


async def test_a_dead_address_is_passed_over() -> None:
    lane = FakeLane()
    links = FakeLinks(lanes={ALIVE: lane})

    found, took = await open_lane(links, "relay:443", pinned=True)
    assert found is lane
    assert took >= 0
    assert links.joins == [(DEAD, True), (ALIVE, True)]


async def test_an_address_that_nobody_can_read_is_passed_over_too() -> None:
    links = FakeLinks(lanes={ALIVE: FakeLane()}, unreadable_addresses={DEAD})
    await open_lane(links, "relay:443", pinned=True)
    links.lanes.clear()
    links.unreadable_addresses = {DEAD, ALIVE}
    with pytest.raises(LinkError, match=f"cannot read the address {ALIVE}"):
        await open_lane(links, "relay:443", pinned=True)


async def test_without_an_answer_or_an_address_there_is_an_error() -> None:
    for address, said in (
        ("relay:443", "no answer"),
        ("nobody:443", "nobody:443 has no address"),
    ):
        with pytest.raises(LinkError, match=said):
            await open_lane(FakeLinks(), address, pinned=False)
