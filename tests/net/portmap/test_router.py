"""The router as one thing: who is asked first, what is given back, and what a person is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from random import Random

import pytest

from pulse.core.paths.portmap import LEASE, Grant, Mapper, PortRefused
from pulse.errors import LinkError, ProtocolError
from pulse.net.portmap.pcp import PORT
from pulse.net.portmap.router import Router
from tests.net.portmap.cable import HOME, Cable
from tests.net.portmap.igd import Igd
from tests.net.portmap.test_natpmp import Box as NatPmpBox
from tests.net.portmap.test_pcp import Box as PcpBox
from tests.net.portmap.test_pcp import secret

OURS = 8443


def router(*, tcp: bool = True) -> Router:
    return Router(OURS, lambda: tcp, secret, Random(1))


@asynccontextmanager
async def speaks(cable: Cable, mapper: Mapper) -> AsyncIterator[None]:
    """A router that speaks one protocol, and of the others what such routers answer."""
    match mapper:
        case Mapper.PCP:
            pcp = PcpBox()
            with cable.says(PORT, lambda data: pcp(data) if data[0] == 2 else [b"\2\x80\0\1" + bytes(20)]):
                yield
        case Mapper.NAT_PMP:
            nat_pmp = NatPmpBox()
            with cable.says(PORT, lambda data: nat_pmp(data) if data[0] == 0 else [b"\0\x80\0\1\0\0\0\0"]):
                yield
        case Mapper.UPNP:
            async with Igd().runs(cable):
                yield


@pytest.mark.parametrize("mapper", Mapper)
async def test_a_router_is_asked_by_the_protocol_it_speaks(cable: Cable, mapper: Mapper) -> None:
    async with speaks(cable, mapper):
        grant = await router().ask(HOME, None)

    assert grant == Grant(mapper, IPv4Address("203.0.113.7"), OURS, LEASE, 1000, tcp=True)


async def test_of_all_three_pcp_goes_first_and_has_the_only_mapping(cable: Cable) -> None:
    pcp, nat_pmp, device = PcpBox(), NatPmpBox(), Igd()
    async with device.runs(cable):
        with cable.says(PORT, lambda data: pcp(data) if data[0] == 2 else nat_pmp(data)):
            assert (await router().ask(HOME, None)).mapper is Mapper.PCP
    assert len(pcp.nonces) == 2
    assert nat_pmp.mapped == {}
    assert device.mapped == {}


async def test_who_worked_goes_first_and_alone_the_next_time(cable: Cable) -> None:
    nat_pmp = NatPmpBox()
    before = Grant(Mapper.NAT_PMP, IPv4Address("203.0.113.7"), 9000, LEASE, 1.0)
    with cable.says(PORT, nat_pmp) as mouth:
        grant = await router().ask(HOME, before)
    assert (grant.mapper, grant.port) == (Mapper.NAT_PMP, 9000)
    assert all(data[0] == 0 for data in mouth.heard)


async def test_where_it_does_not_work_any_more_the_others_are_asked(cable: Cable) -> None:
    before = Grant(Mapper.PCP, IPv4Address("203.0.113.7"), 9000, LEASE, 1.0)
    async with Igd().runs(cable):
        grant = await router().ask(HOME, before)
    assert (grant.mapper, grant.port) == (Mapper.UPNP, 9000)


async def test_a_grant_is_given_back_with_tcp(cable: Cable) -> None:
    box, asked = PcpBox(), router()
    with cable.says(PORT, box):
        grant = await asked.ask(HOME, None)
        assert len(box.nonces) == 2
        await asked.give_back(HOME, grant)
    assert box.nonces == {}


async def test_who_does_not_listen_on_tcp_asks_for_udp_alone(cable: Cable) -> None:
    async with Igd().runs(cable) as device:
        grant = await router(tcp=False).ask(HOME, None)
        assert not grant.tcp
        assert set(device.mapped) == {("UDP", OURS)}


async def test_tcp_at_another_port_is_of_no_use_and_given_back(cable: Cable) -> None:
    async with Igd(tcp_taken=frozenset({OURS})).runs(cable) as device:
        grant = await router().ask(HOME, None)

    assert not grant.tcp
    assert set(device.mapped) == {("UDP", OURS)}


async def test_a_refusal_tells_more_than_silence(cable: Cable) -> None:
    no = b"\2\x80\0\2\0\0\7\b" + bytes(16)
    with (
        cable.says(PORT, lambda data: [no] if data[0] == 2 else []),
        pytest.raises(PortRefused, match="owner does not allow") as refusal,
    ):
        await router().ask(HOME, None)
    assert refusal.value.wait == 1800


async def test_nonsense_tells_more_than_silence(cable: Cable) -> None:
    with cable.says(PORT, lambda _: [b"?"]), pytest.raises(ProtocolError):
        await router().ask(HOME, None)


async def test_where_nobody_answers_there_is_no_router(cable: Cable) -> None:
    assert cable.home
    with pytest.raises(LinkError):
        await router().ask(HOME, None)


async def test_what_cannot_be_given_back_is_left_to_its_lease(cable: Cable) -> None:
    assert cable.home
    for mapper in Mapper:
        await router().give_back(HOME, Grant(mapper, IPv4Address("203.0.113.7"), 9000, LEASE, 1.0, tcp=True))


async def test_asking_can_be_broken_off(cable: Cable) -> None:
    with cable.says(PORT, lambda _: []):
        asking = asyncio.ensure_future(router().ask(HOME, None))
        await asyncio.sleep(0.05)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
