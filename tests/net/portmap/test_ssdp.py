"""SSDP: only the gateway's answers count, and only places at the gateway."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.errors import LinkError, ProtocolError
from pulse.net.portmap.ssdp import GROUP, PORT, find, read_answer, search
from pulse.net.portmap.web import Place
from tests.net.portmap.cable import HOME, STRANGER, Cable


def answer(location: str = "http://192.168.1.1:5000/root.xml", kind: str = "InternetGatewayDevice:1") -> bytes:
    return (
        "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\n"
        f"ST: urn:schemas-upnp-org:device:{kind}\r\nLocation: {location}\r\nEXT:\r\n\r\n"
    ).encode()


DESCRIPTION = Place(5000, "/root.xml")


def test_a_search_is_these_words() -> None:
    assert search("x:1") == (
        b'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\nMX: 1\r\nST: x:1\r\n\r\n'
    )


def test_an_answer_names_the_description() -> None:
    assert read_answer(answer(), HOME) == DESCRIPTION
    assert read_answer(answer(kind="WANConnectionDevice:2"), HOME) == DESCRIPTION


def test_another_device_is_passed_over() -> None:
    assert read_answer(answer(kind="MediaServer:1"), HOME) is None
    assert read_answer(b"HTTP/1.1 200 OK\r\n\r\n", HOME) is None


@pytest.mark.parametrize(
    "location",
    [
        "http://192.168.1.3:5000/root.xml",
        "http://evil.example/root.xml",
        "http://192.168.1.1@evil.example/root.xml",
        "http://127.0.0.1:8443/api/stop",
        "http://[fe80::1]/root.xml",
        "https://192.168.1.1/root.xml",
        "file:///etc/passwd",
        "//evil.example/root.xml",
        "http://192.168.1.1:99999/",
        "http://192.168.1.1:0/",
        "http://192.168.001.1/",
        "http://3232235777/",
        "http://192.168.1.1/a b",
        "",
    ],
)
def test_a_description_at_somebody_elses_place_is_refused(location: str) -> None:
    with pytest.raises(ProtocolError):
        read_answer(answer(location), HOME)


@pytest.mark.parametrize(
    "data", [b"", b"\xff" * 100, b"NOTIFY * HTTP/1.1\r\n\r\n", b"HTTP/1.1 404 No\r\n\r\n", b"HTTP/1."]
)
def test_what_is_no_answer_is_nonsense(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="SSDP answer"):
        read_answer(data, HOME)


@given(st.binary(max_size=200) | st.text(max_size=80).map(lambda text: answer(text.replace("\r", ""))))
def test_no_bytes_of_a_router_raise_anything_but_our_errors(data: bytes) -> None:
    try:
        place = read_answer(data, HOME)
        assert place is None or 0 < place.port < 65536
    except ProtocolError:
        pass


async def test_a_router_that_answers_its_own_address_is_found(cable: Cable) -> None:
    with cable.says(PORT, lambda _: [answer(kind="MediaServer:1"), answer()]) as router:
        assert await find(HOME) == DESCRIPTION
    assert all(b"InternetGatewayDevice" in each for each in router.heard)


async def test_a_router_that_answers_the_group_only_is_found(cable: Cable) -> None:
    with cable.says(PORT, lambda _: [answer()], group=GROUP) as router:
        assert await find(HOME) == DESCRIPTION
    assert router.heard


async def test_what_another_host_answers_is_not_heard(cable: Cable) -> None:
    with cable.says(PORT, lambda _: [(STRANGER, answer())]), pytest.raises(LinkError, match="speaks no UPnP"):
        await find(HOME)


async def test_a_router_that_sends_us_elsewhere_is_told_by_that(cable: Cable) -> None:
    elsewhere = answer("http://203.0.113.9/root.xml")
    with cable.says(PORT, lambda _: [elsewhere]), pytest.raises(ProtocolError, match="somebody else"):
        await find(HOME)


async def test_a_flood_of_answers_ends_in_time(cable: Cable) -> None:
    with cable.says(PORT, lambda _: [answer(kind="MediaServer:1")] * 200), pytest.raises(LinkError):
        await find(HOME)


async def test_silence_is_no_upnp(cable: Cable) -> None:
    with cable.udp(PORT) as silent:
        with pytest.raises(LinkError, match="speaks no UPnP"):
            await find(HOME)
        assert silent.type == socket.SOCK_DGRAM
