"""Beacon service: a node on one end of a cable; on the other a member, and a rogue that knows the network's label."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, closing

import pytest

from pulse.core.effects import Dial, Effect, SendBeacon
from pulse.core.facts import BeaconHeard, Fact, LansChanged
from pulse.core.paths.datagram import read_beacon
from pulse.errors import SystemRefused
from pulse.net.beacon import GROUP_V4, PORT, Channel, Lan, lans
from pulse.net.netlink import HostAddress, Netlink
from pulse.services import beacon as module
from pulse.services.beacon import BATCH, EVERY, BeaconService
from tests.authority import Ca
from tests.cables import DEVICE, HERE, THERE, cable
from tests.core.meshing import ALICE, CA, ME
from tests.core.paths.calls import datagram
from tests.mint import mesh
from tests.namespace import inside, ip

LIMIT = 20.0
LURE = "192.168.7.66"
"""An address on the LAN that is the rogue's."""


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.0)


@pytest.fixture
def ends() -> Iterator[tuple[str, str]]:
    with cable() as made, inside(made[0]):
        yield made


class Node:
    """A mesh that knows alice, what it is told and what it does."""

    def __init__(self, ends: tuple[str, str], host: str = "") -> None:
        self.here, self.there = ends
        self.host = host
        self.service = BeaconService(lambda: self.host, 443, lambda: ["pulse0"], self.tell)
        self.mesh = mesh(CA, ME)
        self.told: list[Fact] = []
        self.effects: list[Effect] = []
        self.mesh.peer_restored(ALICE, [], self.now)

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def tell(self, fact: Fact) -> None:
        self.told.append(fact)
        self.perform(self.mesh.happened(fact, self.now))

    def perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, SendBeacon):
                self.service.send(effect.data)
        self.effects += effects

    @property
    def dialled(self) -> list[str]:
        """Where alice was looked for; nobody else is."""
        dials = [effect for effect in self.effects if isinstance(effect, Dial)]
        assert {dial.expect for dial in dials} <= {ALICE.node_id}
        return [dial.address for dial in dials]

    @property
    def lans(self) -> list[int]:
        """How many LANs it was told of, each time."""
        return [fact.count for fact in self.told if isinstance(fact, LansChanged)]

    def count(self, what: str) -> int:
        return self.mesh.beacons.statistics()[what]

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(LIMIT):
            while not true():
                await asyncio.sleep(0.01)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.ensure_future(self.service.run())
        await self.until(lambda: self.lans)
        yield
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


class Mouth:
    """What the machine at the other end says, whatever it likes, from any of its addresses."""

    def __init__(self, there: str, stack: ExitStack) -> None:
        with inside(there), Netlink() as kernel:
            ip(there, "address", "add", f"{LURE}/24", "dev", DEVICE)
            ip(there, "address", "add", "203.0.113.7/32", "dev", DEVICE)
            self.channels = {
                lan.version: stack.enter_context(closing(Channel(lan))) for lan in lans(kernel.addresses())
            }
            self._socket = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            self._index = socket.if_nametoindex(DEVICE)

    def says(self, data: bytes, source: str = THERE) -> None:
        where = struct.pack("=4s4si", bytes(4), socket.inet_aton(source), self._index)
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, where)
        self._socket.sendto(data, (GROUP_V4, PORT))

    async def hears(self, node: Node, family: int) -> list[tuple[bytes, str]]:
        """What the other end hears, once it does."""
        heard: list[tuple[bytes, str]] = []

        def anything() -> bool:
            heard.extend(self.channels[family].receive(8))
            return bool(heard)

        await node.until(anything)
        return heard


@pytest.fixture
def mouth(ends: tuple[str, str]) -> Iterator[Mouth]:
    with ExitStack() as stack:
        yield Mouth(ends[1], stack)


@pytest.fixture
async def node(ends: tuple[str, str]) -> AsyncIterator[Node]:
    made = Node(ends)
    async with made.running():
        yield made


async def test_a_node_says_that_it_is_there_over_both_families(node: Node, mouth: Mouth) -> None:
    node.perform(node.mesh.tick(node.now + 1.0))

    for family, source in ((4, HERE), (6, "fe80::1")):
        (data, where), *_ = await mouth.hears(node, family)
        assert where.partition("%")[0] == source
        claim = read_beacon(data, CA.network)
        claim.vouched(CA.network)
        assert (claim.node, claim.beacon.port) == (ME.node_id, 443)


async def test_a_member_that_says_so_is_dialled_where_it_is(node: Node, mouth: Mouth) -> None:
    mouth.says(datagram("alice"))
    await node.until(lambda: node.dialled)

    assert node.dialled == [f"{THERE}:8443"]


async def test_over_ipv6_with_the_number_of_our_own_interface(node: Node, mouth: Mouth) -> None:
    mouth.channels[6].send(datagram("alice"))
    await node.until(lambda: node.dialled)

    assert node.dialled == [f"[fe80::2%{socket.if_nametoindex(DEVICE)}]:8443"]


# The rogue


async def test_what_another_key_signed_is_counted_and_nobody_is_dialled(node: Node, mouth: Mouth) -> None:
    mouth.says(datagram("alice", signer="mallory"), LURE)
    await node.until(lambda: node.count("forged"))

    assert node.dialled == []


@pytest.mark.parametrize("data", [datagram("alice", network=Ca("other ca").network), b"", bytes(1400), b"\x01" * 152])
async def test_another_network_and_noise_are_foreign(node: Node, mouth: Mouth, data: bytes) -> None:
    mouth.says(data)
    await node.until(lambda: node.count("foreign"))

    assert node.dialled == []


async def test_an_old_beacon_from_elsewhere_redirects_nothing(node: Node, mouth: Mouth) -> None:
    recorded = datagram("alice", 1)
    mouth.says(datagram("alice", 2))
    await node.until(lambda: node.dialled)

    mouth.says(recorded, LURE)
    await node.until(lambda: node.count("stale"))

    assert node.dialled == [f"{THERE}:8443"]
    assert node.mesh.heard.places_of(ALICE.node_id) == (f"{THERE}:8443",)


async def test_a_fresh_beacon_sent_again_from_elsewhere_costs_one_dial_of_the_same_node(
    node: Node, mouth: Mouth
) -> None:
    mouth.says(datagram("alice"))
    mouth.says(datagram("alice"), LURE)
    for _ in range(50):
        mouth.says(datagram("alice"), LURE)
    await node.until(lambda: node.count("stale") >= 50)

    assert node.dialled == [f"{THERE}:8443", f"{LURE}:8443"]


async def test_who_is_not_on_the_lans_subnet_is_not_heard(node: Node, mouth: Mouth) -> None:
    ip(node.here, "route", "add", "203.0.113.7", "dev", DEVICE)
    mouth.says(datagram("alice"), "203.0.113.7")
    await node.until(lambda: node.count("elsewhere"))

    assert (node.dialled, node.count("heard")) == ([], 0)


async def test_a_flood_costs_so_much_and_no_more_and_is_over_when_it_is_over(node: Node, mouth: Mouth) -> None:
    began, flood = node.now, [datagram("alice", seq, signer="mallory") for seq in range(500)] * 10
    for number, data in enumerate(flood):
        mouth.says(data)
        if number % 500 == 0:
            await asyncio.sleep(0.02)
    await asyncio.sleep(5 * EVERY)

    read = sum(isinstance(fact, BeaconHeard) for fact in node.told)
    assert BATCH <= read <= BATCH * ((node.now - began) / EVERY + 1)
    await node.until(lambda: quiet(node))
    assert node.count("forged") + node.count("throttled") == sum(isinstance(fact, BeaconHeard) for fact in node.told)
    assert node.dialled == []
    mouth.says(datagram("alice", 1000))
    await node.until(lambda: node.dialled)


def quiet(node: Node) -> bool:
    """Nothing is waiting in the kernel any more."""
    return not any(channel and channel.receive(64) for channel in node.service._channels.values())


# Which LANs there are


async def test_a_lan_that_comes_is_joined_and_told_and_one_that_goes_is_left(node: Node) -> None:
    (both,) = node.lans
    ip(node.here, "address", "flush", "dev", DEVICE)
    await node.until(lambda: node.lans[-1] == 0)

    ip(node.here, "address", "add", "192.168.8.1/24", "dev", DEVICE)
    await node.until(lambda: node.lans[-1] == 1)

    assert both == 2


async def test_a_cable_that_is_plugged_into_another_lan_is_told_though_the_addresses_stay(node: Node) -> None:
    ip(node.there, "link", "set", DEVICE, "down")
    await node.until(lambda: node.lans[-1] == 0)

    ip(node.there, "link", "set", DEVICE, "up")
    await node.until(lambda: node.lans[-1] == 2)


async def test_a_change_that_leaves_the_lans_as_they_are_is_not_told(node: Node) -> None:
    ip(node.here, "route", "add", "198.51.100.0/24", "dev", "lo")
    ip(node.here, "link", "add", "pulse0", "type", "veth", "peer", "name", "far0")
    ip(node.here, "address", "add", "10.100.0.1/16", "dev", "pulse0")
    await asyncio.sleep(0.5)

    assert node.lans == [2]


async def test_after_the_end_nothing_is_held(ends: tuple[str, str]) -> None:
    made = Node(ends)
    async with made.running():
        opened = [*made.service._channels.values()]

    assert all(channel is not None and channel.fileno() == -1 for channel in opened)
    made.service.send(b"nobody hears this")


async def test_a_node_that_takes_in_links_on_the_machine_itself_alone_has_no_lan(ends: tuple[str, str]) -> None:
    made = Node(ends, "127.0.0.1")
    task = asyncio.ensure_future(made.service.run())
    await asyncio.sleep(0.2)
    task.cancel()

    assert made.told == []


async def test_links_that_move_to_one_address_take_the_beacons_along(
    ends: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.2)
    made = Node(ends)
    async with made.running():
        made.host = HERE
        await made.until(lambda: made.lans[-1] == 1)

    assert made.lans == [2, 1]


async def test_a_lan_the_system_refuses_costs_a_warning_and_the_other_one_works(
    ends: tuple[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Refusing(Channel):
        def __init__(self, lan: Lan) -> None:
            if lan.version == 6:
                raise PermissionError("not here")
            super().__init__(lan)

    monkeypatch.setattr(module, "Channel", Refusing)
    made = Node(ends)
    async with made.running():
        assert made.lans == [1]

    assert [each.getMessage() for each in caplog.records] == ["no beacons on a LAN"]


async def test_a_machine_that_does_not_tell_its_addresses_costs_a_warning(
    ends: tuple[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: Netlink) -> list[HostAddress]:
        raise SystemRefused("no netlink here")

    monkeypatch.setattr(Netlink, "addresses", refuse)
    made = Node(ends)
    task = asyncio.ensure_future(made.service.run())
    await asyncio.sleep(0.1)
    task.cancel()

    assert made.told == []
    assert [each.getMessage() for each in caplog.records] == ["LANs of this machine unknown"]
