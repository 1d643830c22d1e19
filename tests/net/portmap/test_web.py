"""HTTP to routers: whom we ask, what we follow, and how much we listen to."""

from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.errors import LinkError, ProtocolError
from pulse.net.portmap import web
from pulse.net.portmap.web import BODY_LIMIT, HEAD_LIMIT, Place, fetch, place_of
from tests.net.portmap.cable import HOME, Cable

PORT = 5000
ROOT = Place(PORT, "/root.xml")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("http://192.168.1.1:5000/root.xml", ROOT),
        ("http://192.168.1.1", Place(80, "/")),
        ("HTTP://192.168.1.1:49152/a/b?c=d#e", Place(49152, "/a/b?c=d")),
    ],
)
def test_an_address_at_the_gateway_is_a_place(address: str, place: Place) -> None:
    assert place_of(address, HOME) == place


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("/ctl/IPConn", Place(5000, "/ctl/IPConn")),
        ("ctl", Place(5000, "/ctl")),
        ("?x", Place(5000, "/root.xml?x")),
        ("http://192.168.1.1:6000/ctl", Place(6000, "/ctl")),
    ],
)
def test_an_address_may_be_relative(address: str, place: Place) -> None:
    assert place_of(address, HOME, ROOT) == place


@pytest.mark.parametrize("address", ["//203.0.113.9/ctl", "http://203.0.113.9/", "ftp://192.168.1.1/", "/ü", "/" * 999])
def test_a_relative_address_does_not_lead_away_either(address: str) -> None:
    with pytest.raises(ProtocolError):
        place_of(address, HOME, ROOT)


@given(st.text(max_size=60) | st.from_regex(r"[a-z]{0,5}:?/{0,3}[@\[\]0-9.:a-z]{0,20}/?.{0,10}", fullmatch=True))
def test_whatever_a_router_writes_leads_to_the_gateway_or_nowhere(address: str) -> None:
    with suppress(ProtocolError):
        place = place_of(address, HOME, ROOT)
        assert place.under(HOME).startswith("http://192.168.1.1:")
        assert place.target.isascii()
        assert place.target.isprintable()


async def test_a_page_is_fetched_and_a_form_is_sent(cable: Cable) -> None:
    async with cable.serves(PORT, lambda _: [OK]) as heard:
        assert await fetch(HOME, ROOT) == (200, b"fine")
        assert await fetch(HOME, ROOT, b"<xml/>", (("SOAPAction", '"x#y"'),)) == (200, b"fine")

    assert heard[0].startswith(b"GET /root.xml HTTP/1.1\r\nHost: 192.168.1.1:5000\r\n")
    assert heard[1].startswith(b"POST /root.xml HTTP/1.1\r\n")
    assert b'\r\nSOAPAction: "x#y"\r\n' in heard[1]
    assert heard[1].endswith(b"\r\n\r\n<xml/>")


async def test_a_redirect_is_not_followed(cable: Cable) -> None:
    away = b"HTTP/1.1 302 Found\r\nLocation: http://192.168.1.1:5000/other\r\nContent-Length: 0\r\n\r\n"
    async with cable.serves(PORT, lambda _: [away]) as heard:
        assert await fetch(HOME, ROOT) == (302, b"")
    assert len(heard) == 1


def endless(part: bytes) -> Iterator[bytes]:
    while True:
        yield part


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
)
async def test_a_body_without_end_is_given_up_at_its_limit(cable: Cable, said: bytes) -> None:
    sent = 0

    def counted(_: bytes) -> Iterator[bytes]:
        nonlocal sent
        yield said
        part = b"800\r\n" + b"x" * 2048 + b"\r\n" if b"chunked" in said else b"x" * 2048
        for each in endless(part):
            sent += len(each)
            yield each

    async with cable.serves(PORT, counted):
        with pytest.raises(ProtocolError, match=f"more than {BODY_LIMIT} bytes"):
            await fetch(HOME, ROOT)
    assert sent < 10 * 1024 * 1024, "it is not listened to any more"


async def test_a_head_without_end_is_given_up(cable: Cable) -> None:
    async with cable.serves(PORT, lambda _: [b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2 * HEAD_LIMIT]):
        with pytest.raises(ProtocolError, match="breaks HTTP"):
            await fetch(HOME, ROOT)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([b"SSH-2.0-router\r\n\r\n"], "breaks HTTP"),
        ([b"\0" * 64], "breaks HTTP"),
        ([], "breaks HTTP|hangs up"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\nshort"], "breaks HTTP"),
    ],
)
async def test_what_is_no_http_is_nonsense(cable: Cable, said: list[bytes], why: str) -> None:
    async with cable.serves(PORT, lambda _: said):
        with pytest.raises(ProtocolError, match=why):
            await fetch(HOME, ROOT)


@pytest.mark.usefixtures("cable")
async def test_where_nobody_listens_is_no_answer() -> None:
    with pytest.raises(LinkError, match="not reached over HTTP: "):
        await fetch(HOME, ROOT)


async def test_who_is_slow_is_given_up(cable: Cable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "TIMEOUT", 0.3)
    silent = cable.tcp(PORT)
    silent.listen()
    with silent, pytest.raises(LinkError, match="does not answer over HTTP"):
        await fetch(HOME, ROOT)
