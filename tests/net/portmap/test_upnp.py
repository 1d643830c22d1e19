"""UPnP against devices right and wrong."""

import socket
from ipaddress import IPv4Address
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.paths.portmap import LEASE, Grant, Mapper, PortRefused
from pulse.errors import LinkError, ProtocolError
from pulse.net.portmap.soap import read
from pulse.net.portmap.upnp import MOST_SERVICES, Service, Upnp, services
from pulse.net.portmap.web import BODY_LIMIT, Place
from tests.net.portmap.cable import HOME, Cable
from tests.net.portmap.igd import HTTP, PPP, V1, V2, Igd, description

OURS = 8443
UDP, TCP = socket.IPPROTO_UDP, socket.IPPROTO_TCP
ROOT = Place(HTTP, "/root.xml")
INNER = "192.168.1.2:8443 for 7200"


@pytest.fixture
def client() -> Upnp:
    return Upnp(OURS, Random(1))


# Descriptions


def listed(*found: tuple[str, str], base: str = "") -> list[Service]:
    return services(read(description(*found, base=base)), HOME, ROOT)


def test_the_best_connection_goes_first() -> None:
    found = listed((PPP, "/ppp"), (V1, "/one"), ("urn:schemas-upnp-org:service:Layer3Forwarding:1", "/l3"), (V2, "two"))

    assert found == [
        Service(Place(HTTP, "/two"), V2),
        Service(Place(HTTP, "/one"), V1),
        Service(Place(HTTP, "/ppp"), PPP),
    ]


def test_control_addresses_stand_under_the_base_if_there_is_one() -> None:
    assert listed((V1, "ctl"), base="http://192.168.1.1:6000/x/") == [Service(Place(6000, "/x/ctl"), V1)]


@pytest.mark.parametrize("control", ["http://203.0.113.9/ctl", "//203.0.113.9/ctl", "/a b", "http://127.0.0.1:8443/"])
def test_a_control_address_elsewhere_is_none(control: str) -> None:
    assert listed((V1, control), (PPP, "/ppp")) == [Service(Place(HTTP, "/ppp"), PPP)]


def test_a_base_elsewhere_leaves_nothing() -> None:
    assert listed((V1, "ctl"), base="http://203.0.113.9/") == []


@pytest.mark.parametrize("kind", ["", "urn:x:service:WANIPConnection:9", f"{V1}&gt;", V1.upper(), "WANIPConnection:1"])
def test_a_service_of_an_unknown_kind_is_none(kind: str) -> None:
    assert listed((kind, "/ctl")) == []


def test_a_description_of_a_thousand_connections_costs_no_more_than_a_few() -> None:
    assert len(listed(*[(V1, f"/{number}") for number in range(300)])) == MOST_SERVICES


@given(
    st.lists(st.tuples(st.text("urn:-sWANIPConnection12", max_size=60), st.text("/:.@a1 []", max_size=20)), max_size=4)
)
def test_whatever_a_description_says_all_that_is_found_is_at_the_gateway(found: list[tuple[str, str]]) -> None:
    for service in listed(*found):
        assert service.place.under(HOME).startswith("http://192.168.1.1:")


# Mapping


@pytest.mark.parametrize(
    ("kind", "action"), [(V1, "AddPortMapping"), (V2, "AddAnyPortMapping"), (PPP, "AddPortMapping")]
)
async def test_a_device_maps_tells_its_age_and_takes_back(cable: Cable, client: Upnp, kind: str, action: str) -> None:
    async with Igd(services=((kind, "/ctl"),)).runs(cable) as device:
        await client.find(HOME)
        grant = await client.map(HOME, UDP, OURS)
        assert grant == Grant(Mapper.UPNP, IPv4Address("203.0.113.7"), OURS, LEASE, 1000)
        await client.map(HOME, TCP, OURS)
        assert device.mapped == {("UDP", OURS): INNER, ("TCP", OURS): INNER}
        assert device.calls.count(action) == 2
        assert await client.look(HOME) == (1000, IPv4Address("203.0.113.7"))

        await client.unmap(HOME, UDP, OURS)
        assert set(device.mapped) == {("TCP", OURS)}


async def test_a_port_of_somebody_else_is_left_to_them(cable: Cable, client: Upnp) -> None:
    async with Igd(taken=frozenset({OURS})).runs(cable) as device:
        grant = await client.map(HOME, UDP, OURS)

    assert grant.port != OURS
    assert device.mapped == {("UDP", grant.port): INNER}


async def test_where_all_ports_are_taken_it_is_given_up(cable: Cable, client: Upnp) -> None:
    async with Igd(taken=frozenset(range(65536))).runs(cable) as device:
        with pytest.raises(PortRefused, match="UPnP error 718"):
            await client.map(HOME, UDP, OURS)
    assert device.calls.count("AddPortMapping") <= 6


async def test_low_ports_are_not_asked_for(cable: Cable) -> None:
    async with Igd().runs(cable):
        grant = await Upnp(443, Random(1)).map(HOME, UDP, 443)

    assert grant.port >= 1024


@pytest.mark.parametrize("error", [402, 725])
async def test_a_device_that_knows_no_leases_maps_for_good(cable: Cable, client: Upnp, error: int) -> None:
    async with Igd(permanent_only=error).runs(cable) as device:
        await client.map(HOME, UDP, OURS)

    assert list(device.mapped.values()) == ["192.168.1.2:8443 for 0"]


@pytest.mark.parametrize(
    ("error", "reason"), [(606, "owner does not allow"), (728, "no room"), (501, "UPnP error 501")]
)
async def test_a_device_that_refuses_says_why(cable: Cable, client: Upnp, error: int, reason: str) -> None:
    async with Igd(error=error).runs(cable):
        with pytest.raises(PortRefused, match=reason):
            await client.map(HOME, UDP, OURS)


async def test_of_two_connections_the_one_that_is_up_is_used(cable: Cable, client: Upnp) -> None:
    async with Igd(services=((V1, "/down"), (PPP, "/up")), down="/down").runs(cable) as device:
        await client.map(HOME, UDP, OURS)

    assert device.mapped == {("UDP", OURS): INNER}
    assert device.calls == ["GetStatusInfo", "GetStatusInfo", "AddPortMapping", "GetExternalIPAddress", "GetStatusInfo"]


async def test_a_device_without_a_connection_is_told_as_such(cable: Cable, client: Upnp) -> None:
    for device in (Igd(status="Disconnected"), Igd(services=()), Igd(services=((V1, "http://203.0.113.9/ctl"),))):
        async with device.runs(cable):
            with pytest.raises(PortRefused, match="no connection to the outside"):
                await client.find(HOME)
        assert device.mapped == {}


# Nonsense


@pytest.mark.parametrize(
    "page",
    [
        b"<html>log in</html",
        b"<!DOCTYPE html><html/>",
        b"<root>" + b"x" * BODY_LIMIT + b"</root>",
        b"<a>" * 1000 + b"</a>" * 1000,
    ],
)
async def test_a_description_that_is_none_is_nonsense(cable: Cable, client: Upnp, page: bytes) -> None:
    async with Igd(page=page).runs(cable):
        with pytest.raises(ProtocolError):
            await client.find(HOME)


async def test_a_description_that_redirects_is_not_followed(cable: Cable, client: Upnp) -> None:
    async with Igd(redirect="http://203.0.113.9/").runs(cable):
        with pytest.raises(ProtocolError, match="HTTP 301"):
            await client.find(HOME)


@pytest.mark.parametrize("outer", ["", "203.0.113", "fe80::1", "x" * 1000])
async def test_an_outer_address_that_is_none_is_nonsense(cable: Cable, client: Upnp, outer: str) -> None:
    async with Igd(outer=outer).runs(cable):
        with pytest.raises(ProtocolError, match="outer address is none"):
            await client.map(HOME, UDP, OURS)


@pytest.mark.parametrize(("uptime", "epoch"), [("77", 77), ("", None), ("-1", None), ("9" * 5000, None), ("²", None)])
async def test_an_age_that_is_none_is_not_known(cable: Cable, client: Upnp, uptime: str, epoch: float | None) -> None:
    async with Igd(uptime=uptime).runs(cable):
        assert (await client.map(HOME, UDP, OURS)).epoch == epoch


@pytest.mark.parametrize(("reserved", "port"), [("0", 0), ("x", 0), ("9" * 5000, 0), ("99999", 99999), ("5000", 5000)])
async def test_a_port_that_is_none_is_for_the_machine_to_refuse(
    cable: Cable, client: Upnp, reserved: str, port: int
) -> None:
    async with Igd(services=((V2, "/ctl"),), reserved=reserved).runs(cable):
        assert (await client.map(HOME, UDP, OURS)).port == port


async def test_a_device_that_restarted_at_another_port_is_found_anew(cable: Cable, client: Upnp) -> None:
    async with Igd().runs(cable):
        await client.map(HOME, UDP, OURS)
    with pytest.raises(LinkError):
        await client.look(HOME)
    async with Igd(services=((V1, "/elsewhere"),)).runs(cable) as device:
        await client.map(HOME, UDP, OURS)
    assert device.mapped == {("UDP", OURS): INNER}


async def test_a_mapping_whose_outer_address_nobody_tells_is_taken_back(cable: Cable, client: Upnp) -> None:
    async with Igd(outer="nowhere").runs(cable) as device:
        with pytest.raises(ProtocolError, match="outer address is none"):
            await client.map(HOME, UDP, OURS)

    assert device.mapped == {}
    assert "AddPortMapping" in device.calls
