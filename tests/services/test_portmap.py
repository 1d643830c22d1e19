"""Port mapping service: a real cable to a scripted router, honest or not, and what the mesh is told of it."""

import asyncio
import logging
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from random import Random

import pytest

from pulse.core.facts import Fact, PortMapped
from pulse.core.paths import portmap as machine
from pulse.core.paths.portmap import Gateway, PortMap
from pulse.errors import SystemRefused
from pulse.net.gateway import default_gateway
from pulse.net.portmap import announcements, datagrams, ssdp
from pulse.net.portmap.pcp import PORT
from pulse.net.portmap.router import Router
from pulse.services import portmap
from pulse.services.portmap import PortmapService
from tests.namespace import ip
from tests.net.portmap.cable import ROUTER, STRANGER, Cable, laid
from tests.net.portmap.igd import HTTP, Igd
from tests.net.portmap.test_announcements import say
from tests.net.portmap.test_natpmp import Box as NatPmpBox
from tests.net.portmap.test_pcp import Box as PcpBox
from tests.net.portmap.test_pcp import secret

OURS = 8443
OUTER = "203.0.113.7"
LIMIT = 20.0


@pytest.fixture
def cable() -> Iterator[Cable]:
    with laid() as built:
        yield built


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for longer than a test can bear."""
    monkeypatch.setattr(datagrams, "PAUSES", (0.1, 0.7))
    monkeypatch.setattr(ssdp, "PAUSES", (0.6,))
    monkeypatch.setattr(announcements, "REPEATED", 0.01)
    monkeypatch.setattr(portmap, "REPEATED", 0.01)
    monkeypatch.setattr(portmap, "PAUSE", 0.0)
    monkeypatch.setattr(machine, "LOOK_LEAST", 0.05)
    monkeypatch.setattr(machine, "ASK_LEAST", 0.05)


@dataclass
class Node:
    """A service and what it told the mesh."""

    told: asyncio.Queue[Fact] = field(default_factory=asyncio.Queue)
    gateways: list[Gateway | SystemRefused | None] = field(default_factory=list)
    """What it finds in place of what the kernel says, one after the other."""
    service: PortmapService = field(init=False)

    def __post_init__(self) -> None:
        router = Router(OURS, lambda: True, secret, Random(1))
        self.service = PortmapService(PortMap(Random(1), lambda: None), router, self.find, self.told.put_nowait)

    def find(self) -> Gateway | None:
        if not self.gateways:
            return default_gateway()
        found = self.gateways.pop(0)
        if isinstance(found, SystemRefused):
            raise found
        return found

    async def __aenter__(self) -> "Node":
        self.task = asyncio.ensure_future(self.service.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        self.task.cancel()
        async with asyncio.timeout(LIMIT):
            await asyncio.wait([self.task])

    async def next(self) -> str | None:
        """The address it tells next."""
        async with asyncio.timeout(LIMIT):
            fact = await self.told.get()
        assert isinstance(fact, PortMapped)
        return fact.address

    async def quiet(self, router: object, caplog: pytest.LogCaptureFixture) -> list[str]:
        """Wait until it gave the router up; why, if it says so. The mesh is told nothing."""
        assert router is not None
        async with asyncio.timeout(LIMIT):
            while not (said := reasons(caplog)):
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)
        assert self.told.empty()
        assert self.service.mapping() is None
        return said


def reasons(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [str(vars(each)["error"]) for each in caplog.records if each.getMessage() == "no port mapped"]


@pytest.fixture(autouse=True)
def all_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "pulse")


# A router that maps


async def test_what_the_router_gave_is_told_shown_and_given_back(cable: Cable) -> None:
    box = PcpBox()
    with cable.says(PORT, box):
        async with Node() as node:
            assert await node.next() == f"{OUTER}:{OURS}"
            mapping = node.service.mapping()
            assert mapping is not None
            assert (mapping.protocol, mapping.address, mapping.tcp) == ("pcp", f"{OUTER}:{OURS}", True)
            assert len(box.nonces) == 2
        assert box.nonces == {}
    assert node.told.empty(), "who stops tells nobody anything more"


@pytest.mark.parametrize("device", [NatPmpBox(), Igd()], ids=["nat-pmp", "upnp"])
async def test_the_other_two_protocols_serve_as_well(cable: Cable, device: NatPmpBox | Igd) -> None:
    async with Node() as node:
        if isinstance(device, Igd):
            async with device.runs(cable):
                ip(cable.home, "route", "replace", "default", "via", ROUTER, "metric", "5")
                assert await node.next() == f"{OUTER}:{OURS}"
                await node.stop()
        else:
            with cable.says(PORT, lambda data: device(data) if data[0] == 0 else []):
                assert await node.next() == f"{OUTER}:{OURS}"
                await node.stop()
    assert device.mapped == {}


async def test_a_router_that_says_it_restarted_is_asked_again(cable: Cable) -> None:
    box = PcpBox()
    with cable.says(PORT, box) as router:
        async with Node() as node:
            await node.next()
            box.nonces.clear()
            box.epoch = 3
            heard = len(router.heard)
            say(cable, announcements.GROUP)
            async with asyncio.timeout(LIMIT):
                while len(box.nonces) < 2:
                    await asyncio.sleep(0.02)
            assert len(router.heard) > heard
            assert node.told.empty(), "the address is the same"


async def test_at_another_gateway_the_port_is_asked_for_anew(cable: Cable) -> None:
    with cable.says(PORT, PcpBox()):
        async with Node() as node:
            assert await node.next() == f"{OUTER}:{OURS}"
            ip(cable.home, "route", "delete", "default")
            assert await node.next() is None
            ip(cable.home, "route", "add", "default", "via", ROUTER)
            assert await node.next() == f"{OUTER}:{OURS}"


async def test_a_gateway_that_changes_amid_a_question_is_not_waited_for(
    cable: Cable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datagrams, "PAUSES", (10 * LIMIT,))
    monkeypatch.setattr(ssdp, "PAUSES", (10 * LIMIT,))
    silent = Gateway(IPv4Address(STRANGER), IPv4Address("192.168.1.2"), "eth0")
    node = Node(gateways=[silent])
    with cable.says(PORT, PcpBox()), cable.udp(PORT, STRANGER):
        async with node:
            await asyncio.sleep(0.05)
            ip(cable.home, "address", "add", "192.168.1.9/24", "dev", "eth0")
            assert await node.next() == f"{OUTER}:{OURS}"


async def test_a_machine_that_does_not_tell_its_gateway_costs_a_warning(
    cable: Cable, caplog: pytest.LogCaptureFixture
) -> None:
    node = Node(gateways=[SystemRefused("no netlink here")])
    with cable.says(PORT, PcpBox()):
        async with node:
            await asyncio.sleep(0.1)
            assert node.told.empty()
            ip(cable.home, "address", "add", "192.168.1.9/24", "dev", "eth0")
            assert await node.next() == f"{OUTER}:{OURS}"
    assert "gateway of this machine unknown" in caplog.text


# A router that does not


async def test_an_answer_with_another_nonce_maps_nothing(cable: Cable, caplog: pytest.LogCaptureFixture) -> None:
    with cable.says(PORT, lambda data: PcpBox(wrong_nonce=True)(data) if data[0] == 2 else []) as router:
        async with Node() as node:
            assert await node.quiet(router, caplog) == ["PCP answer about another mapping"]


async def test_an_answer_of_another_address_maps_nothing(cable: Cable, caplog: pytest.LogCaptureFixture) -> None:
    box = PcpBox()
    with cable.says(PORT, lambda data: [(STRANGER, each) for each in box(data)] if data[0] == 2 else []) as router:
        async with Node() as node:
            assert await node.quiet(router, caplog) == ["no answer from the router"]


async def test_a_lease_of_nothing_maps_nothing(cable: Cable, caplog: pytest.LogCaptureFixture) -> None:
    with cable.says(PORT, PcpBox(lease=0)) as router:
        async with Node() as node:
            assert await node.quiet(router, caplog) == ["the router gave a port that cannot be used"]


async def test_a_router_behind_another_nat_maps_nothing_and_keeps_nothing(
    cable: Cable, caplog: pytest.LogCaptureFixture
) -> None:
    box = PcpBox(outer="100.64.0.9")
    with cable.says(PORT, box) as router:
        async with Node() as node:
            assert await node.quiet(router, caplog) == ["the router is behind another NAT itself"]
            assert box.nonces == {}


@pytest.mark.parametrize(
    ("device", "said"),
    [
        (Igd(page=b"<root>" + b"x" * 10_000_000 + b"</root>"), "says more than"),
        (Igd(page=b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'), "document type"),
        (Igd(redirect="http://203.0.113.9/"), "HTTP 301"),
        (Igd(location="http://203.0.113.9/root.xml"), "somebody else"),
        (Igd(location=f"http://127.0.0.1:{HTTP}/root.xml"), "somebody else"),
        (Igd(services=(("urn:schemas-upnp-org:service:WANIPConnection:1", "http://203.0.113.9/"),)), "no connection"),
        (Igd(outer="localhost"), "outer address is none"),
        (Igd(error=606), "owner does not allow it"),
    ],
)
async def test_a_device_that_lies_or_refuses_maps_nothing(
    cable: Cable, caplog: pytest.LogCaptureFixture, device: Igd, said: str
) -> None:
    async with device.runs(cable):
        ip(cable.home, "route", "add", "unreachable", "203.0.113.0/24")
        async with Node() as node:
            (reason,) = await node.quiet(device, caplog)
    assert said in reason


async def test_a_router_that_refuses_is_logged_once_however_often_it_is_asked(
    cable: Cable, caplog: pytest.LogCaptureFixture
) -> None:
    refusal = struct.pack(">BBxBII12x", 2, 128, 2, 0, 7)
    with cable.says(PORT, lambda data: [refusal] if data[0] == 2 else []) as router:
        async with Node() as node:
            await node.quiet(router, caplog)
            asked = len(router.heard)
            say(cable, announcements.GROUP)
            async with asyncio.timeout(LIMIT):
                while len(router.heard) == asked:
                    await asyncio.sleep(0.02)
            await asyncio.sleep(0.6)
    assert reasons(caplog) == ["the router's owner does not allow it"]


async def test_a_router_that_does_not_take_its_port_back_holds_up_no_stop(
    cable: Cable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portmap, "GOODBYE", 0.1)
    box = PcpBox()
    with cable.says(PORT, lambda data: [] if data[24:] and data[4:8] == bytes(4) else box(data)):
        async with Node() as node:
            await node.next()
            began = asyncio.get_running_loop().time()
            await node.stop()
    assert asyncio.get_running_loop().time() - began < LIMIT / 2
    assert len(box.nonces) == 2


async def test_where_the_port_of_announcements_is_somebody_elses_the_rest_goes_on(
    cable: Cable, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: Gateway) -> None:
        raise OSError(98, "Address already in use")

    monkeypatch.setattr(portmap, "Announcements", refuse)
    with cable.says(PORT, PcpBox()):
        async with Node() as node:
            assert await node.next() == f"{OUTER}:{OURS}"
    assert "announcements of the router are not heard" in caplog.text
