"""Where streams of others lead: what is looked up, what is dialled, and what never is."""

import asyncio
import socket
from ipaddress import ip_address

import pytest

from pulse.core.network.destinations import IPAddress, Premises
from pulse.core.network.policy import Rule
from pulse.core.network.streamcodes import StreamCode, StreamKind
from pulse.net import outward
from pulse.services.streams import dialling
from tests.loopback import PATIENCE
from tests.ports import free_port
from tests.services.streaming import BEHIND, NAME, OWN, failing, hold, listening, opened, refused, shout, two


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


async def test_what_is_dialled_behind_a_node_is_judged_by_its_own_address_too() -> None:
    """As packets are: `cidr:` rules name what lies behind nodes, and of a name the exit alone knows the address."""

    async def connect(_: IPAddress, port: int) -> socket.socket:
        return await outward.connected(ip_address("127.0.0.1"), port)

    async with two() as both, listening(hold) as port, asyncio.timeout(PATIENCE):
        both.there.premises = Premises(OWN, leads_to=lambda _: True)
        both.there.service.dialling.connect = connect
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


async def test_of_a_name_what_was_not_approved_is_left_out() -> None:
    """Where the Internet was approved for IPv4 alone, names have IPv6 addresses all the same."""

    async def connect(address: IPAddress, port: int) -> socket.socket:
        assert address == ip_address(BEHIND)
        return await outward.connected(ip_address("127.0.0.1"), port)

    async with two() as both, listening(hold) as port:
        both.there.premises = Premises(OWN, leads_to=lambda address: address == ip_address(BEHIND))
        both.there.service.dialling.connect = connect
        both.there.names = {NAME: [ip_address("2001:db8::9"), ip_address(BEHIND)], "bad": [ip_address("fe80::1")]}
        both.there.names["worse"] = [*both.there.names[NAME], ip_address("169.254.169.254")]
        (await opened(both, port, NAME, StreamKind.EXIT)).cancel()
        for name in ("bad", "worse"):
            assert (await refused(both, port, name, StreamKind.EXIT)).code == StreamCode.FORBIDDEN


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


async def test_one_who_asks_for_slow_names_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    answered = asyncio.Event()

    async def resolve(host: str) -> list[IPAddress]:
        begun.append(host)
        await answered.wait()
        return []

    monkeypatch.setattr(dialling, "PATIENCE", 0.3)
    async with two() as both, asyncio.timeout(PATIENCE):
        both.there.service.dialling.resolve = resolve
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(refused(both, 1, f"{number}.example")) for number in range(9)]
        assert {each.result().code for each in asked} == {StreamCode.TIMED_OUT}
        # Given up or not, the threads are busy with those that were begun.
        assert (await refused(both, 1, "more.example")).code == StreamCode.TIMED_OUT
        assert len(begun) == dialling.LOOKUPS_OF_ONE
        answered.set()


async def test_an_address_of_a_mapped_range_is_dialled_as_it_is_behind_the_node() -> None:
    there, dialled = ip_address("192.168.7.9"), []

    async def connect(address: IPAddress, port: int) -> socket.socket:
        dialled.append(address)
        return await outward.connected(ip_address("127.0.0.1"), port)

    async with two() as both, listening(hold) as port:
        mapped = Premises(OWN, leads_to=lambda each: each == ip_address(BEHIND), behind=lambda _: there)
        both.there.premises, both.there.service.dialling.connect = mapped, connect
        (await opened(both, port, BEHIND, StreamKind.EXIT)).cancel()
        assert dialled == [there]
        assert (await refused(both, port, str(there), StreamKind.EXIT)).code == StreamCode.FORBIDDEN


async def test_who_leads_to_a_range_alone_looks_up_no_names_for_others() -> None:
    async with two() as both:
        both.there.service.dialling.resolve = failing(AssertionError("looked up"))
        both.there.premises = Premises(OWN, leads_to=lambda _: True, everywhere=False)
        assert (await refused(both, 1, NAME, StreamKind.EXIT)).code == StreamCode.FORBIDDEN
