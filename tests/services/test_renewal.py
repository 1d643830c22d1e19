"""Renewal service: asks the CA, keeps what it proved, shows it; over any lane once the certificate has ended."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import pytest

from pulse import clock
from pulse.core.facts import ChainShown, Fact, IdentityRenewed
from pulse.core.messages import MethodName
from pulse.core.trust.authorities import sign_succession
from pulse.core.trust.ca import make_authority
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.join import Denied, Floors, Granted, Refusal, build_general_refusal, build_showing
from pulse.core.trust.renew import build_answer, read_renewal
from pulse.core.trust.renewal import LONGEST_PAUSE, Overdue, Phase, Renewal
from pulse.core.types import NodeId
from pulse.errors import LinkError, NotFound
from pulse.services import renewal as module
from pulse.services.renewal import MOST_BOOTSTRAP, RenewalDenied, RenewalService, over_lanes
from pulse.store import identity as disk
from pulse.store.files import open_data_dir
from pulse.store.identity import Identity
from tests.authority import NOW, Ca, key, node
from tests.fakes import FakeLane, FakeLinks

CA, FOREIGN = Ca(), Ca("other ca")
MINE = CA.certificate("a")
NEXT = CA.certificate("a", not_before=NOW + 60 * 86400.0, not_after=NOW + 150 * 86400.0)
DUE = MINE.not_after - 20 * 86400.0
ENDED = MINE.not_after + 86400.0
HERE, THERE = "192.0.2.1:443", "192.0.2.2:443"
HELD = Identity(key("a"), MINE, (CA.authority.der,), bootstrap=("old.example:443",))

Answers = Callable[[bytes], bytes]


def grants(request: bytes, certificate: Certificate = NEXT, ca: Ca = CA) -> bytes:
    """The CA's answer to whoever proves to be `a`."""
    assert read_renewal(request, (CA.authority,)).node_id == node("a")
    granted = Granted(certificate.der, [CA.authority.der], [], Floors(), clock.wall())
    return build_answer(request, granted, CA.network, ca.key)


def denies(refusal: Refusal) -> Answers:
    return lambda request: build_answer(request, Denied(refusal, clock.wall()), CA.network, CA.key)


class Lane(FakeLane):
    """The join lane of a member, that hands on to whoever answers."""

    def __init__(self, answers: Answers, ca: Ca = CA) -> None:
        super().__init__(leaf=ca.leaf("relay"), objects=build_showing([ca.authority.der]))
        self.answers = answers

    async def send(self, request: bytes) -> bytes:
        self.requests.append(request)
        return self.answers(request)


@dataclass
class World:
    """What time it is, and what the node did."""

    data_dir: Path
    now: float = DUE
    answers: Answers = grants
    links: FakeLinks = field(default_factory=FakeLinks)
    shown: list[Identity] = field(default_factory=list)
    told: list[Fact] = field(default_factory=list)
    asked: list[tuple[NodeId, str]] = field(default_factory=list)
    cas: frozenset[NodeId] = frozenset({node("ca")})

    async def call(self, ca: NodeId, method: str, request: bytes, _: float) -> bytes:
        self.asked.append((ca, method))
        return self.answers(request)

    def service(self) -> RenewalService:
        disk.save(self.data_dir, HELD)
        return RenewalService(
            self.links,
            HELD,
            Renewal(MINE, Random(1)),
            self.data_dir,
            self.shown.append,
            self.told.append,
            self.call,
            lambda: self.cas,
            lambda: [HERE, THERE],
        )


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(open_data_dir(tmp_path / "data"))
    monkeypatch.setattr(clock, "wall", lambda: world.now)
    return world


@asynccontextmanager
async def running(service: RenewalService) -> AsyncIterator[None]:
    task = asyncio.ensure_future(service.run())
    async with asyncio.timeout(10):
        while service.machine.tick(0.0) != [] or service.machine.phase is Phase.ASKING:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        yield
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_next_certificate_is_kept_then_shown_then_told(world: World) -> None:
    service = world.service()
    async with running(service):
        pass

    assert world.asked == [(node("ca"), MethodName.RENEW)]
    assert disk.load(world.data_dir).certificate == NEXT
    assert [each.certificate for each in world.shown] == [NEXT]
    assert world.told == [ChainShown(()), IdentityRenewed(NEXT.der)]
    assert service.machine.certificate == NEXT


async def test_the_cas_own_node_asks_itself(world: World) -> None:
    async def own(who: NodeId, request: bytes) -> bytes:
        assert who == node("a")
        return grants(request)

    service = world.service()
    service.own_ca = own
    async with running(service):
        pass

    assert (world.asked, [each.certificate for each in world.shown]) == ([], [NEXT])


@pytest.mark.parametrize(
    "answers",
    [
        lambda request: grants(request, ca=FOREIGN),
        lambda request: grants(request, CA.certificate("b")),
        lambda _: b"",
        lambda _: build_general_refusal(Refusal.CA_UNREACHABLE, DUE),
        denies(Refusal.CA_CLOCK),
        denies(Refusal.REPLAYED),
        lambda request: grants(request, MINE),
    ],
    ids=["foreign CA", "another's", "nothing", "CA away", "CA's clock", "replayed", "the same again"],
)
async def test_whatever_else_comes_changes_nothing_and_is_tried_again(world: World, answers: Answers) -> None:
    world.answers = answers
    service = world.service()
    async with running(service):
        pass

    assert (world.shown, world.told) == ([], [])
    assert disk.load(world.data_dir).certificate == MINE
    assert service.machine.deadline() is not None


async def test_of_several_ca_nodes_the_next_is_asked_if_one_is_away(world: World) -> None:
    world.cas = frozenset({node("ca"), node("second ca")})

    def first_is_away(request: bytes) -> bytes:
        if len(world.asked) == 1:
            raise LinkError("no path")
        return grants(request)

    world.answers = first_is_away
    async with running(world.service()):
        pass

    assert {who for who, _ in world.asked} == world.cas
    assert len(world.shown) == 1


async def test_a_ca_of_an_earlier_release_and_a_node_without_a_ca_wait(world: World) -> None:
    def unknown(_: bytes) -> bytes:
        raise NotFound("no method 'renew'")

    world.answers = unknown
    service = world.service()
    async with running(service):
        pass
    world.cas = frozenset()
    service.machine.tick(world.now + 1e5)
    assert world.shown == []


async def test_a_revoked_node_hears_it_and_asks_seldom(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.answers = denies(Refusal.NODE_REVOKED)
    service = world.service()
    async with running(service):
        pass

    assert service.machine.deadline() == world.now + LONGEST_PAUSE
    assert "certificate not renewed: the CA refused" in caplog.messages


async def test_an_ended_certificate_is_renewed_over_the_lane_of_any_node(world: World) -> None:
    world.now = ENDED
    world.links.lanes = {THERE: Lane(grants)}
    async with running(world.service()):
        pass

    assert world.links.joins == [(HERE, True), (THERE, True)]
    assert world.asked == []
    assert [each.bootstrap for each in world.shown] == [(THERE, "old.example:443")]


async def test_a_node_with_whom_nobody_links_asks_over_a_lane_before_its_certificate_ends(world: World) -> None:
    def away(_: bytes) -> bytes:
        raise LinkError("no path")

    world.answers = away
    world.links.lanes = {HERE: Lane(grants)}
    service = world.service()
    service.is_linked = lambda: False
    async with running(service):
        pass

    assert [each.certificate for each in world.shown] == [NEXT]


async def test_a_lane_of_another_network_is_sent_nothing() -> None:
    lane = Lane(grants, FOREIGN)
    with pytest.raises(LinkError, match="belongs to the CA"):
        await over_lanes(FakeLinks(lanes={HERE: lane}), HELD, [HERE])

    assert lane.requests == []


async def test_a_silent_lane_is_left_and_the_cas_no_is_final(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LANE_PATIENCE", 0.01)

    class Silent(Lane):
        async def send(self, request: bytes) -> bytes:
            await asyncio.Event().wait()
            return request

    late = Lane(denies(Refusal.TOO_LATE))
    last = Lane(grants)
    links = FakeLinks(lanes={"192.0.2.9:1": Silent(grants), HERE: late, THERE: last})
    with pytest.raises(RenewalDenied, match="more than 30 days ago"):
        await over_lanes(links, HELD, ["192.0.2.9:1", HERE, THERE])
    assert last.requests == []


async def test_places_that_helped_are_kept_up_to_a_limit() -> None:
    held = replace(HELD, bootstrap=tuple(f"old-{number}.example:443" for number in range(20)))
    found = await over_lanes(FakeLinks(lanes={HERE: Lane(grants)}), held, [HERE])

    assert (found.bootstrap[0], len(found.bootstrap)) == (HERE, MOST_BOOTSTRAP)
    with pytest.raises(LinkError, match="no address of another node is known"):
        await over_lanes(FakeLinks(), held, [])


SECOND = make_authority(key("second"), CA.network.name, NOW, 2, CA.network.ca_hash)
INTRODUCED = sign_succession(CA.network, CA.key, SECOND)


def denied_by_second(request: bytes) -> bytes:
    return build_answer(request, Denied(Refusal.NODE_REVOKED, clock.wall()), CA.network, key("second"))


@pytest.mark.parametrize("known", [True, False])
async def test_a_refusal_under_a_later_ca_key_counts_where_that_key_is_known(
    world: World, caplog: pytest.LogCaptureFixture, *, known: bool
) -> None:
    world.answers = denied_by_second
    service = world.service()
    service.statements = lambda: (INTRODUCED,) if known else ()
    async with running(service):
        pass
    assert ("certificate not renewed: the CA refused" in caplog.messages) is known


async def test_under_another_ca_key_it_asks_before_its_time_and_an_outcast_asks_over_lanes(world: World) -> None:
    world.now = MINE.not_before + 3600
    service = world.service()
    service.overdue = lambda certificate: Overdue.SUPERSEDED if certificate == MINE else Overdue.NOT
    async with running(service):
        while not world.shown:
            world.now += 1
            service.trust_changed()
            await asyncio.sleep(0)
    assert world.asked == [(node("ca"), MethodName.RENEW)]

    outcast = World(world.data_dir, now=world.now, links=FakeLinks(lanes={HERE: Lane(grants)}))
    service = outcast.service()
    service.overdue = lambda certificate: Overdue.OUTCAST if certificate == MINE else Overdue.NOT
    async with running(service):
        while not outcast.shown:
            world.now += 1
            service.trust_changed()
            await asyncio.sleep(0)
    assert outcast.asked == []
    assert outcast.links.joins == [(HERE, True)]
