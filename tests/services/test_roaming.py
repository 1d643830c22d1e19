"""Roaming service: where this machine is reached, told at start and at each change of its network."""

import asyncio
from collections.abc import Iterator

import pytest

from pulse.core.facts import AddressesChanged, Fact, LinkSample, SourcesChanged, Woke
from pulse.core.types import LinkId
from pulse.errors import SystemRefused
from pulse.net.sleep import SleepWatch
from pulse.services import roaming
from pulse.services.roaming import RoamingService
from tests.fakes import FakeLinks
from tests.namespace import inside, ip, namespace


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roaming, "RATE", 1000.0)


@pytest.fixture
def host() -> Iterator[str]:
    with namespace() as name, inside(name):
        ip(name, "link", "add", "wan", "type", "veth", "peer", "name", "far")
        ip(name, "address", "add", "192.0.2.2/24", "dev", "wan")
        ip(name, "link", "set", "wan", "up")
        yield name


class Clock:
    """A clock that shows what it is told to, and else the time."""

    def __init__(self) -> None:
        self.asleep = 0.0

    def __call__(self) -> float:
        return asyncio.get_running_loop().time() + self.asleep


class Roaming:
    """A service and what it told."""

    def __init__(self, host: str = "", bound_to: str = "", links: FakeLinks | None = None) -> None:
        self.told, self.clock = asyncio.Queue[Fact](), Clock()
        self.service = RoamingService(
            links or FakeLinks(),
            bound_to,
            host,
            8443,
            lambda: ["pulse0"],
            self.told.put_nowait,
            SleepWatch(self.clock),
        )

    async def __aenter__(self) -> "Roaming":
        self.task = asyncio.ensure_future(self.service.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()

    async def next(self) -> tuple[str, ...]:
        fact = await self.next_fact()
        assert isinstance(fact, AddressesChanged)
        return fact.candidates

    async def next_fact(self) -> Fact:
        async with asyncio.timeout(20):
            return await self.told.get()


@pytest.mark.usefixtures("host")
async def test_the_addresses_of_the_interfaces_are_told_at_start() -> None:
    async with Roaming() as here:
        assert await here.next() == ("192.0.2.2:8443",)


@pytest.mark.usefixtures("host")
async def test_a_configured_address_is_told_first() -> None:
    async with Roaming("203.0.113.7") as here:
        assert await here.next() == ("203.0.113.7:8443", "192.0.2.2:8443")


@pytest.mark.usefixtures("host")
async def test_a_configured_name_is_told_by_number() -> None:
    async with Roaming("localhost") as here:
        assert "127.0.0.1:8443" in await here.next()


@pytest.mark.usefixtures("host")
async def test_a_name_that_does_not_resolve_is_left_out_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    async with Roaming("no-such-host.invalid") as here:
        assert await here.next() == ("192.0.2.2:8443",)
    assert "our own address does not resolve" in caplog.text


async def test_a_new_address_is_told_and_a_lost_one_not_any_more(host: str) -> None:
    async with Roaming() as here:
        await here.next()
        ip(host, "address", "add", "198.51.100.2/24", "dev", "wan")
        assert await here.next() == ("192.0.2.2:8443", "198.51.100.2:8443")
        ip(host, "address", "delete", "192.0.2.2/24", "dev", "wan")
        assert await here.next() == ("198.51.100.2:8443",)


async def test_a_change_that_leaves_the_addresses_is_told_too(host: str) -> None:
    async with Roaming() as here:
        await here.next()
        ip(host, "route", "add", "203.0.113.0/24", "dev", "lo")
        assert await here.next() == ("192.0.2.2:8443",)


async def test_addresses_of_tunnels_and_of_the_mesh_itself_are_never_told(host: str) -> None:
    ip(host, "tuntap", "add", "other0", "mode", "tun")
    ip(host, "address", "add", "10.9.0.1/24", "dev", "other0")
    ip(host, "link", "add", "pulse0", "type", "veth", "peer", "name", "far0")
    ip(host, "address", "add", "10.100.0.1/16", "dev", "pulse0")
    async with Roaming() as here:
        assert await here.next() == ("192.0.2.2:8443",)


@pytest.mark.usefixtures("host")
async def test_a_machine_that_does_not_tell_its_addresses_costs_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: object) -> None:
        raise SystemRefused("no netlink here")

    monkeypatch.setattr(roaming, "host_addresses", refuse)
    async with Roaming("203.0.113.7") as here:
        assert await here.next() == ("203.0.113.7:8443",)

    assert "addresses of this machine unknown" in [each.getMessage() for each in caplog.records]


# Links


LINK, OTHER = LinkId(1), LinkId(2)


async def test_links_that_leave_from_elsewhere_are_told_before_anything_that_may_take_its_time(host: str) -> None:
    links = FakeLinks()
    async with Roaming(links=links) as here:
        await here.next()
        links.moves = (LINK,)
        ip(host, "address", "add", "198.51.100.2/24", "dev", "wan")
        assert await here.next_fact() == SourcesChanged((LINK,))
        assert await here.next() == ("192.0.2.2:8443", "198.51.100.2:8443")


async def test_a_socket_whose_address_is_gone_has_all_until_that_is_back(
    host: str, caplog: pytest.LogCaptureFixture
) -> None:
    links = FakeLinks(samples=(LinkSample(LINK, None, 0.0, 0.0), LinkSample(OTHER, None, 0.0, 0.0)))
    async with Roaming(bound_to="192.0.2.2", links=links) as here:
        await here.next()
        for change, bound in (("delete", ""), ("add", "192.0.2.2")):
            ip(host, "address", change, "192.0.2.2/24", "dev", "wan")
            assert await here.next_fact() == SourcesChanged((LINK, OTHER))
            await here.next()
            assert links.hosts[-1] == bound

    said = [each for each in caplog.records if each.getMessage() == "listening elsewhere"]
    assert [vars(each)["listen"] for each in said] == ["*:8443", "192.0.2.2:8443"]


async def test_a_socket_that_cannot_move_costs_a_warning_and_is_tried_again(
    host: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    links = FakeLinks()

    def refuse(_: object) -> None:
        raise SystemRefused("no more descriptors")

    async with Roaming(bound_to="192.0.2.2", links=links) as here:
        await here.next()
        with monkeypatch.context() as broken:
            broken.setattr(links, "rebind", refuse)
            ip(host, "address", "delete", "192.0.2.2/24", "dev", "wan")
            await here.next()
        assert "not listening any more" in caplog.text
        ip(host, "address", "add", "198.51.100.2/24", "dev", "wan")
        await here.next_fact()
        assert links.hosts == [""]


# Sleep


@pytest.mark.usefixtures("host")
async def test_the_end_of_a_sleep_is_told() -> None:
    async with Roaming() as here:
        await here.next()
        await asyncio.sleep(0)
        here.clock.asleep = 90.0
        fact = await here.next_fact()
        assert isinstance(fact, Woke)
        assert round(fact.seconds) == 90
