"""Roaming service: where this machine is reached, told at start and at each change of its network."""

import asyncio
from collections.abc import Iterator

import pytest

from pulse.core.facts import AddressesChanged, Fact
from pulse.errors import SystemRefused
from pulse.services import roaming
from pulse.services.roaming import RoamingService
from tests.namespace import inside, ip, namespace


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roaming, "PAUSE", 0.0)


@pytest.fixture
def host() -> Iterator[str]:
    with namespace() as name, inside(name):
        ip(name, "link", "add", "wan", "type", "veth", "peer", "name", "far")
        ip(name, "address", "add", "192.0.2.2/24", "dev", "wan")
        ip(name, "link", "set", "wan", "up")
        yield name


class Roaming:
    """A service and what it told."""

    def __init__(self, host: str = "") -> None:
        self.told = asyncio.Queue[Fact]()
        self.service = RoamingService(host, 8443, lambda: ["pulse0"], self.told.put_nowait)

    async def __aenter__(self) -> "Roaming":
        self.task = asyncio.ensure_future(self.service.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()

    async def next(self) -> tuple[str, ...]:
        async with asyncio.timeout(20):
            fact = await self.told.get()
        assert isinstance(fact, AddressesChanged)
        return fact.candidates


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
