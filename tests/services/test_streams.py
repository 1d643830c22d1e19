"""Streams between two real data planes: both ends judge, the far one dials, and what turns is cut."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from ipaddress import ip_address

import pytest

from pulse.core.network.destinations import Destination, IPAddress, Premises
from pulse.core.network.policy import Rule
from pulse.core.network.streamcodes import StreamCode, StreamKind
from pulse.core.types import NodeId
from pulse.errors import StreamFailed, SystemRefused
from pulse.net import outward
from pulse.net.links import RuleHits
from pulse.services import streams as service
from pulse.services.streams import Opened
from tests.loopback import PATIENCE
from tests.ports import free_port
from tests.services.streaming import OWN, Two, listening, pair, two


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer in capitals, once all was said."""
    writer.write((await reader.read()).upper())
    writer.close()


async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say a word and keep the line open."""
    writer.write(b"word")
    await reader.read()
    writer.close()


async def opened(two: Two, port: int, host: str = "localhost", kind: StreamKind = StreamKind.CONNECT) -> Opened:
    async with asyncio.timeout(PATIENCE):
        return await two.here.service.open(two.there.node.me.node_id, Destination(host, port), kind)


async def refused(two: Two, port: int, host: str = "localhost", kind: StreamKind = StreamKind.CONNECT) -> StreamFailed:
    with pytest.raises(StreamFailed) as raised:
        await opened(two, port, host, kind)
    return raised.value


async def test_bytes_go_both_ways_an_end_is_passed_on_and_both_are_counted() -> None:
    loop = asyncio.get_running_loop()
    async with two() as both, listening(shout) as port, asyncio.timeout(PATIENCE):
        stream = await opened(both, port)
        ours, theirs = pair()
        with ours:
            stream.splice(theirs)
            await loop.sock_sendall(ours, b"hello")
            ours.shutdown(1)
            assert await loop.sock_recv(ours, 99) == b"HELLO"
            assert await loop.sock_recv(ours, 99) == b""
            assert await stream.closed() == (5, 5)
            await asyncio.sleep(0)
            assert both.here.service.count() == 0


async def test_what_the_rules_deny_is_refused_before_anything_is_sent() -> None:
    async with two() as both, listening(shout) as port:
        both.here.ruled(2, Rule("r1", ["*"], ["*"], allow=True, protocols=[6], ports=[(port + 1, port + 1)]))
        error = await refused(both, port)
        assert error.code == StreamCode.NOT_ALLOWED
        here, there = (each.node.me.node_id[:12] for each in (both.here, both.there))
        assert f"pulse acl explain {here} {there}:{port}" in str(error)
        assert both.there.service.count() == 0


async def test_the_far_end_asks_its_own_rules() -> None:
    async with two() as both, listening(shout) as port:
        both.there.ruled(2, Rule("r1", ["*"], ["*"], allow=True, protocols=[17]))
        assert (await refused(both, port)).code == StreamCode.NOT_ALLOWED


async def test_each_end_counts_the_rule_that_decided_and_what_none_matched() -> None:
    async with two() as both, listening(shout) as port:
        both.ruled(Rule("r1", ["*"], ["*"], allow=True, protocols=[6], ports=[(port, port)]))
        (await opened(both, port)).cancel()
        await refused(both, port + 1)
        both.there.ruled(9, Rule("r2", ["*"], ["*"], allow=False))
        await refused(both, port)
        assert both.here.service.hits() == RuleHits({"r1": 1}, 1)
        assert both.there.service.hits() == RuleHits({"r1": 1, "r2": 1}, 0)


async def test_a_rule_that_goes_cuts_the_stream_at_either_end() -> None:
    loop = asyncio.get_running_loop()
    async with two() as both, listening(hold) as port, asyncio.timeout(PATIENCE):
        for cuts in (both.here, both.there):
            both.ruled()
            stream = await opened(both, port)
            ours, theirs = pair()
            with ours:
                stream.splice(theirs)
                assert await loop.sock_recv(ours, 99) == b"word"
                both.config += 1
                cuts.ruled(both.config, Rule("r1", ["*"], ["*"], allow=False))
                with contextlib.suppress(ConnectionResetError):
                    assert await loop.sock_recv(ours, 99) == b""
                await stream.closed()


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("169.254.169.254", StreamKind.CONNECT),
        ("fe80::1", StreamKind.CONNECT),
        ("0.0.0.0", StreamKind.CONNECT),  # noqa: S104
        ("::ffff:127.0.0.1", StreamKind.CONNECT),
        ("192.0.2.1", StreamKind.CONNECT),
        ("2130706433", StreamKind.SOCKS),
        ("localhost", StreamKind.SOCKS),
        ("both.example", StreamKind.CONNECT),
        ("127.0.0.1", StreamKind.EXIT),
    ],
)
async def test_the_far_end_dials_nothing_that_is_forbidden(host: str, kind: StreamKind) -> None:
    async with two() as both, listening(shout) as port:
        both.there.names["both.example"] = [ip_address("127.0.0.1"), ip_address("169.254.169.254")]
        error = await refused(both, port, host, kind)
        assert error.code == StreamCode.FORBIDDEN
        assert error.exit_code == 3


BEHIND, NAME = "192.0.2.9", "inside.example"


async def test_what_is_dialled_behind_a_node_is_judged_by_its_own_address_too() -> None:
    """As packets are: `cidr:` rules name what lies behind nodes, and of a name the exit alone knows the address."""

    async def connect(_: IPAddress, port: int) -> socket.socket:
        return await outward.connected(ip_address("127.0.0.1"), port)

    async with two() as both, listening(hold) as port, asyncio.timeout(PATIENCE):
        both.there.premises = Premises(OWN, leads_to=lambda _: True)
        both.there.service.connect = connect
        both.there.names[NAME] = [ip_address(BEHIND)]
        closed = Rule("r1", ["*"], ["cidr:192.0.2.0/24"], allow=False)
        both.ruled(closed, Rule("r2", ["*"], ["*"], allow=True))
        for host, kind in ((BEHIND, StreamKind.EXIT), (NAME, StreamKind.EXIT), (NAME, StreamKind.CONNECT)):
            assert (await refused(both, port, host, kind)).code == StreamCode.NOT_ALLOWED, (host, kind)
        (await opened(both, port, "198.51.100.1", StreamKind.EXIT)).cancel()

        both.ruled(Rule("r3", ["*"], ["cidr:192.0.2.0/24"], allow=True, protocols=[6], ports=[(port, port)]))
        stream = await opened(both, port, BEHIND, StreamKind.EXIT)
        assert (await refused(both, port, "198.51.100.1", StreamKind.EXIT)).code == StreamCode.NOT_ALLOWED
        both.there.ruled(99, closed)
        await stream.closed()


async def test_a_stream_ends_with_the_approval_of_what_it_leads_to() -> None:
    async def connect(_: IPAddress, port: int) -> socket.socket:
        return await outward.connected(ip_address("127.0.0.1"), port)

    async with two() as both, listening(hold) as port, asyncio.timeout(PATIENCE):
        both.there.premises = Premises(OWN, leads_to=lambda _: True)
        both.there.service.connect = connect
        stream, own = await opened(both, port, BEHIND, StreamKind.EXIT), await opened(both, port)
        both.ruled()
        assert both.there.service.count() == 2
        both.there.premises = Premises(OWN)
        both.ruled()
        await stream.closed()
        assert both.there.service.count() == 1
        own.cancel()


async def test_of_a_name_what_was_not_approved_is_left_out() -> None:
    """Where the Internet was approved for IPv4 alone, names have IPv6 addresses all the same."""

    async def connect(address: IPAddress, port: int) -> socket.socket:
        assert address == ip_address(BEHIND)
        return await outward.connected(ip_address("127.0.0.1"), port)

    async with two() as both, listening(hold) as port:
        both.there.premises = Premises(OWN, leads_to=lambda address: address == ip_address(BEHIND))
        both.there.service.connect = connect
        both.there.names = {NAME: [ip_address("2001:db8::9"), ip_address(BEHIND)], "bad": [ip_address("fe80::1")]}
        both.there.names["worse"] = [*both.there.names[NAME], ip_address("169.254.169.254")]
        (await opened(both, port, NAME, StreamKind.EXIT)).cancel()
        for name in ("bad", "worse"):
            assert (await refused(both, port, name, StreamKind.EXIT)).code == StreamCode.FORBIDDEN


def failing(error: Exception) -> Callable[[str], Awaitable[list[IPAddress]]]:
    async def resolve(_: str) -> list[IPAddress]:
        raise error

    return resolve


async def test_a_fault_ends_one_stream_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    faults = ((SystemRefused("no more descriptors"), StreamCode.BUSY), (KeyError("x"), StreamCode.BROKEN))
    async with two() as both, listening(hold) as port:
        held, wanted = await opened(both, port), both.there.service.resolve
        for error, code in faults:
            both.there.service.resolve = failing(error)
            assert (await refused(both, port)).code == code
        both.there.service.resolve = wanted
        (await opened(both, port)).cancel()
        held.cancel()
    assert "stream not answered" in caplog.text


async def test_pulses_own_ports_are_refused_and_the_own_mesh_address_is_the_node_itself() -> None:
    async with two() as both, listening(shout) as port:
        theirs = str(both.there.node.me.addresses.v4)
        (await opened(both, port, theirs, StreamKind.SOCKS)).cancel()
        both.there.premises = Premises(OWN, frozenset({port}))
        assert (await refused(both, port, theirs, StreamKind.SOCKS)).code == StreamCode.FORBIDDEN


async def test_the_true_reason_comes_back() -> None:
    async with two() as both:
        error = await refused(both, free_port())
        assert (error.code, error.exit_code) == (StreamCode.REFUSED, 5)
        both.there.names["nothing.example"] = []
        assert (await refused(both, 1, "nothing.example")).code == StreamCode.NO_NAME
        assert (await refused(both, 1, "no-such-host.invalid")).code == StreamCode.NO_NAME


async def test_a_node_that_is_away_or_is_ourselves_is_said_so() -> None:
    async with two() as both:
        with pytest.raises(StreamFailed, match="is this node itself"):
            await both.here.service.open(both.here.node.me.node_id, Destination("localhost", 1), StreamKind.CONNECT)
        with pytest.raises(StreamFailed) as raised:
            await both.here.service.open(NodeId("ab" * 32), Destination("localhost", 1), StreamKind.CONNECT)
        assert raised.value.code == StreamCode.NOT_ALLOWED


async def test_no_node_opens_more_streams_than_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    async with two() as both, listening(hold) as port:
        monkeypatch.setattr(service, "MOST_OF_ONE", 2)
        held = [await opened(both, port) for _ in range(2)]
        assert (await refused(both, port)).code == StreamCode.BUSY
        held.pop().cancel()
        async with asyncio.timeout(PATIENCE):
            while both.there.service.count() > 1 or both.here.service.count() > 1:
                await asyncio.sleep(0.01)
        (await opened(both, port)).cancel()


async def test_who_takes_what_it_can_leaves_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    async with two() as both, listening(hold) as port:
        monkeypatch.setattr(service, "MOST", 8)
        held = [await opened(both, port) for _ in range(4)]
        # As many as are left for all others.
        assert (await refused(both, port)).code == StreamCode.BUSY
        assert not both.there.service._is_full(NodeId("ab" * 32))
        for each in held:
            each.cancel()


async def test_one_who_asks_for_slow_names_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    answered = asyncio.Event()

    async def resolve(host: str) -> list[IPAddress]:
        begun.append(host)
        await answered.wait()
        return []

    monkeypatch.setattr(service, "PATIENCE", 0.3)
    async with two() as both, asyncio.timeout(PATIENCE):
        both.there.service.resolve = resolve
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(refused(both, 1, f"{number}.example")) for number in range(9)]
        assert {each.result().code for each in asked} == {StreamCode.TIMED_OUT}
        # Given up or not, the threads are busy with those that were begun.
        assert (await refused(both, 1, "more.example")).code == StreamCode.TIMED_OUT
        assert len(begun) == service.LOOKUPS_OF_ONE
        answered.set()


async def test_an_address_of_a_mapped_range_is_dialled_as_it_is_behind_the_node() -> None:
    there, dialled = ip_address("192.168.7.9"), []

    async def connect(address: IPAddress, port: int) -> socket.socket:
        dialled.append(address)
        return await outward.connected(ip_address("127.0.0.1"), port)

    async with two() as both, listening(hold) as port:
        mapped = Premises(OWN, leads_to=lambda each: each == ip_address(BEHIND), behind=lambda _: there)
        both.there.premises, both.there.service.connect = mapped, connect
        (await opened(both, port, BEHIND, StreamKind.EXIT)).cancel()
        assert dialled == [there]
        assert (await refused(both, port, str(there), StreamKind.EXIT)).code == StreamCode.FORBIDDEN


async def test_who_leads_to_a_range_alone_looks_up_no_names_for_others() -> None:
    async with two() as both:
        both.there.service.resolve = failing(AssertionError("looked up"))
        both.there.premises = Premises(OWN, leads_to=lambda _: True, everywhere=False)
        assert (await refused(both, 1, NAME, StreamKind.EXIT)).code == StreamCode.FORBIDDEN


async def test_an_opener_who_gives_up_leaves_nothing_behind() -> None:
    async with two() as both, listening(hold) as port:
        async with asyncio.TaskGroup() as tasks:
            opening = tasks.create_task(opened(both, port))
            await asyncio.sleep(0)
            opening.cancel()
        async with asyncio.timeout(PATIENCE):
            while both.there.service.count() or both.here.service.count():
                await asyncio.sleep(0.01)


async def test_a_header_that_makes_no_sense_is_refused() -> None:
    async with two() as both, asyncio.timeout(PATIENCE):
        stream = both.here.node.links.streams.open(both.there.node.me.node_id, b"\xc1")
        assert await stream.answered() == StreamCode.BROKEN
