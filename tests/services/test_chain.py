"""Who is refused asks at join lanes which CA keys count, and tells the mesh what they show."""

import asyncio
from dataclasses import dataclass, field

import pytest

from pulse.core.facts import ChainShown, Fact
from pulse.core.network.statements import Statements
from pulse.core.trust.authorities import sign_succession
from pulse.core.trust.ca import make_authority
from pulse.core.trust.join import build_showing
from pulse.services.chain import ChainService
from tests.authority import NOW, Ca, key
from tests.fakes import FakeLane, FakeLinks

CA = Ca()
SECOND = make_authority(key("second"), "mynet", NOW, 2, CA.network.ca_hash)
INTRODUCED = sign_succession(CA.network, CA.key, SECOND)
OLD, NEW, DEAD, ODD = "192.0.2.1:443", "192.0.2.2:443", "192.0.2.3:443", "192.0.2.4:443"


@dataclass
class World:
    """The lanes there are, and what the node knows."""

    links: FakeLinks = field(
        default_factory=lambda: FakeLinks(
            lanes={
                OLD: FakeLane(objects=build_showing([CA.authority.der])),
                NEW: FakeLane(objects=build_showing([SECOND.der], [INTRODUCED])),
                ODD: FakeLane(objects=b"nothing of ours"),
            }
        )
    )
    statements: Statements = field(default_factory=lambda: Statements(CA.chain, frozenset, lambda _: None))
    told: list[tuple[bytes, ...]] = field(default_factory=list)

    def tell(self, fact: Fact) -> None:
        assert isinstance(fact, ChainShown)
        self.told.append(fact.statements)
        for data in fact.statements:
            self.statements.object_received(data[0], data)

    async def run(self, places: list[str], *codes: str) -> None:
        """The service runs for a moment in which dials fail so."""
        service = ChainService(self.links, self.statements, self.tell, lambda: places, pause=0.0)
        for code in codes:
            service.dial_refused(code)
        task = asyncio.ensure_future(service.run())
        for _ in range(50):
            await asyncio.sleep(0)
        task.cancel()


@pytest.mark.parametrize("code", ["certificate", "refused"])
async def test_the_first_lane_that_knows_more_is_enough(code: str) -> None:
    world = World()
    await world.run([DEAD, ODD, OLD, NEW, OLD], code)
    assert world.statements.authorities == (SECOND, CA.authority)
    assert world.told == [(), (INTRODUCED,)]
    assert world.links.joins == [(each, True) for each in (DEAD, ODD, OLD, NEW)]
    assert all(not lane.requests for lane in world.links.lanes.values()), "nothing is asked of them"


async def test_other_failures_are_no_reason_to_ask() -> None:
    world = World()
    await world.run([NEW], "timeout", "duplicate")
    assert world.links.joins == []


async def test_lanes_that_know_no_more_change_nothing() -> None:
    world = World()
    await world.run([OLD], "refused")
    assert world.statements.authorities == (CA.authority,)
    assert world.links.joins == [(OLD, True)]


async def test_rounds_go_on_round_the_places_until_one_knows_more() -> None:
    world = World()
    dead = [f"192.0.2.{each}:443" for each in range(100, 120)]
    places = [*dead, NEW]
    service = ChainService(world.links, world.statements, world.tell, lambda: places)

    rounds = [await service._learnt() for _ in range(3)]

    assert rounds == [False, False, True]
    assert world.links.joins == [(each, True) for each in places], "each place once"
    assert service._turn() == places[:8], "and round again"
    places.insert(0, OLD)
    assert service._turn() == [OLD, *places[9:16]], "those that are new come first"
