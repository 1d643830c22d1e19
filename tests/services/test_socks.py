"""The proxy over real sockets, before streams that a test opens and refuses as it likes."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from pulse.core import addresses
from pulse.core.network.destinations import Destination
from pulse.core.network.proxying import Answer, Login
from pulse.core.network.streamcodes import StreamCode, StreamKind
from pulse.core.network.whereabouts import RangeExits, Whereabouts
from pulse.core.trust.members import Members
from pulse.core.types import NodeId
from pulse.errors import LinkError, StreamFailed
from pulse.net.links import Moved
from pulse.services import socks
from pulse.services.socks import SocksService, answer_to
from tests.authority import Ca
from tests.mint import member
from tests.shortage import TOLD, come_meanwhile, untaken

CA = Ca()
ME, VM = (member(CA, name, place, name=name) for place, name in ((2, "me"), (3, "vm-01")))
NAME = b"vm-01.pulse"
HELLO = bytes.fromhex("050100")
REQUEST = b"\x05\x01\x00\x03" + bytes((len(NAME),)) + NAME + b"\x00\x16"
GRANTED = bytes.fromhex("050000010000" + "00000000")
PATIENCE = 20.0


def refusal(code: int) -> bytes:
    return bytes((5, code)) + GRANTED[2:]


@dataclass(eq=False)
class FakeOpened:
    """The far side: a pair of sockets, of which the test has one end once it is spliced."""

    spliced: asyncio.Future[socket.socket] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    ended: asyncio.Future[Moved] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    cancelled: bool = False

    def splice(self, sock: socket.socket) -> None:
        self.spliced.set_result(socket.socket(fileno=sock.detach()))

    async def closed(self) -> Moved:
        return await asyncio.shield(self.ended)

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class FakeStreams:
    """Opens what it is told to, once `may_open` is set; raises `error` if there is one."""

    error: Exception | None = None
    may_open: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[tuple[NodeId, Destination, StreamKind]] = field(default_factory=list)
    opened: list[FakeOpened] = field(default_factory=list)

    async def open(self, node: NodeId, destination: Destination, kind: StreamKind) -> FakeOpened:
        self.asked.append((node, destination, kind))
        await self.may_open.wait()
        if self.error:
            raise self.error
        self.opened.append(FakeOpened())
        return self.opened[-1]


@dataclass
class Proxy:
    """A proxy that runs, and clients of it."""

    service: SocksService
    streams: FakeStreams
    address: tuple[str, int]
    clients: list[asyncio.StreamWriter] = field(default_factory=list)

    async def client(self, sent: bytes = b"") -> asyncio.StreamReader:
        """What a client that connects and sends these bytes hears."""
        reader, writer = await asyncio.open_connection(*self.address)
        self.clients.append(writer)
        writer.write(sent)
        return reader

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not true():
                await asyncio.sleep(0.005)


@asynccontextmanager
async def proxy(
    error: Exception | None = None, *, waits: bool = False, login: Login | None = None
) -> AsyncIterator[Proxy]:
    members = Members()
    for each in (ME, VM):
        members.certificate_seen(each)
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.setblocking(False)
    streams = FakeStreams(error)
    if not waits:
        streams.may_open.set()
    found = Whereabouts(ME.node_id, members, lambda: (CA.mesh,), list, RangeExits(dict))
    service = SocksService(listener, streams, found, login)
    made = Proxy(service, streams, listener.getsockname())
    task = asyncio.ensure_future(service.run())
    try:
        async with asyncio.timeout(PATIENCE):
            yield made
    finally:
        for client in made.clients:
            client.close()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        for opened in streams.opened:
            if opened.spliced.done():
                opened.spliced.result().close()


async def heard(reader: asyncio.StreamReader) -> bytes:
    """All until it is hung up on."""
    with suppress(ConnectionError):
        return await reader.read()
    return b""


async def test_granted_is_said_only_once_the_far_side_connected() -> None:
    async with proxy(waits=True) as made:
        reader = await made.client(HELLO + REQUEST)
        assert await reader.readexactly(2) == bytes.fromhex("0500")
        await made.until(lambda: made.streams.asked)
        assert made.streams.asked == [(VM.node_id, Destination(str(VM.addresses.v4), 22), StreamKind.SOCKS)]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readexactly(1), 0.05)
        made.streams.may_open.set()
        assert await reader.readexactly(10) == GRANTED


@pytest.mark.parametrize(
    "greeting", [HELLO + REQUEST, b"CONNECT vm-01.pulse:22 HTTP/1.1\r\nHost: vm-01.pulse:22\r\n\r\n"]
)
async def test_bytes_sent_ahead_are_left_in_the_socket_that_is_handed_over(greeting: bytes) -> None:
    async with proxy() as made:
        reader = await made.client(greeting + b"SSH-2.0-client\r\n")
        await made.until(lambda: made.streams.opened and made.streams.opened[0].spliced.done())
        far = made.streams.opened[0].spliced.result()
        far.setblocking(True)
        assert far.recv(100) == b"SSH-2.0-client\r\n"
        far.sendall(b"SSH-2.0-server\r\n")
        assert (await reader.readuntil(b"server\r\n")).endswith(b"SSH-2.0-server\r\n")
        await made.until(lambda: made.service.active == 1)
        made.streams.opened[0].ended.set_result(Moved(16, 17))
        await made.until(lambda: made.service.active == 0)
        assert (made.service.total, made.service.refused) == (1, 0)
        assert (made.service.bytes_out, made.service.bytes_in) == (16, 17)


async def test_a_client_may_send_byte_by_byte() -> None:
    async with proxy() as made:
        reader = await made.client()
        for byte in HELLO + REQUEST:
            made.clients[0].write(bytes((byte,)))
            await made.clients[0].drain()
            await asyncio.sleep(0.001)
        assert await reader.readexactly(12) == bytes.fromhex("0500") + GRANTED


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        (StreamCode.NOT_ALLOWED, Answer.NOT_ALLOWED),
        (StreamCode.FORBIDDEN, Answer.NOT_ALLOWED),
        (StreamCode.NO_NAME, Answer.HOST_UNREACHABLE),
        (StreamCode.NETWORK_UNREACHABLE, Answer.NETWORK_UNREACHABLE),
        (StreamCode.REFUSED, Answer.REFUSED),
        (StreamCode.TIMED_OUT, Answer.TIMED_OUT),
        (StreamCode.AWAY, Answer.HOST_UNREACHABLE),
        (StreamCode.BUSY, Answer.BUSY),
        (StreamCode.LOST, Answer.FAILED),
        (StreamCode.CANCELLED, Answer.FAILED),
    ],
)
def test_each_code_of_streams_is_one_of_the_proxys(code: StreamCode, answer: Answer) -> None:
    assert answer_to(StreamFailed("no", code)) is answer


async def test_why_nothing_opened_is_told_by_code_and_in_a_sentence() -> None:
    closed = StreamFailed("nothing listens at 10.100.0.3:22", StreamCode.REFUSED)
    async with proxy(closed) as made:
        assert await heard(await made.client(HELLO + REQUEST)) == bytes.fromhex("0500") + refusal(5)
        told = await heard(await made.client(b"CONNECT vm-01.pulse:22 HTTP/1.1\r\nHost: x\r\n\r\n"))
        assert told.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
        assert told.endswith(b"\r\n\r\nnothing listens at 10.100.0.3:22\n")
        assert made.service.refused == 2


async def test_one_client_that_breaks_something_leaves_the_others_alone(caplog: pytest.LogCaptureFixture) -> None:
    async with proxy(KeyError("a mistake")) as made:
        assert await heard(await made.client(HELLO + REQUEST)) == bytes.fromhex("0500")
        made.streams.error = None
        assert await (await made.client(HELLO + REQUEST)).readexactly(12) == bytes.fromhex("0500") + GRANTED
    assert [each.message for each in caplog.records if each.levelname == "ERROR"] == ["SOCKS client broke the proxy"]


async def test_what_else_goes_wrong_is_a_general_failure() -> None:
    async with proxy(LinkError("the session is gone")) as made:
        assert await heard(await made.client(HELLO + REQUEST)) == bytes.fromhex("0500") + refusal(1)


@pytest.mark.parametrize("limit", ["OPENING", "OPENING_OF_ONE"])
async def test_who_waits_for_too_many_is_told_that_we_are_busy(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(socks, limit, 2)
    async with proxy(waits=True) as made:
        first = [await made.client(HELLO + REQUEST) for _ in range(2)]
        await made.until(lambda: len(made.streams.asked) == 2)
        assert await heard(await made.client(HELLO + REQUEST)) == bytes.fromhex("0500") + refusal(1)
        made.streams.may_open.set()
        assert [await each.readexactly(12) for each in first] == [bytes.fromhex("0500") + GRANTED] * 2


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"\x04\x01\x00\x16\x0a\x64\x00\x03\x00", bytes.fromhex("005b000000000000")),
        (b"\x16\x03\x01\x02\x00", b""),
        (HELLO + REQUEST.replace(b"\x05\x01\x00\x03", b"\x05\x02\x00\x03"), bytes.fromhex("0500") + refusal(7)),
        (HELLO + REQUEST.replace(NAME, b"vm-02.pulse"), bytes.fromhex("0500") + refusal(4)),
        (HELLO + REQUEST.replace(NAME, b"example.com"), bytes.fromhex("0500") + refusal(3)),
        (HELLO + REQUEST.replace(NAME, b"me.pulse\0\0\0"), bytes.fromhex("0500") + refusal(1)),
    ],
)
async def test_what_is_refused_opens_nothing(sent: bytes, said: bytes) -> None:
    async with proxy() as made:
        assert await heard(await made.client(sent)) == said
        assert made.streams.asked == []
        assert made.service.refused == 1


async def test_without_the_login_nothing_opens() -> None:
    async with proxy(login=Login(b"ann", b"secret")) as made:
        wrong = bytes.fromhex("050102") + b"\x01\x03ann\x05wrong"
        assert await heard(await made.client(wrong + REQUEST)) == bytes.fromhex("05020101")
        assert await heard(await made.client(HELLO + REQUEST)) == bytes.fromhex("05ff")
        assert made.streams.asked == []
        good = await made.client(bytes.fromhex("050102") + b"\x01\x03ann\x06secret" + REQUEST)
        assert await good.readexactly(14) == bytes.fromhex("05020100") + GRANTED


async def test_who_says_nothing_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socks, "HANDSHAKE", 0.1)
    async with proxy() as made:
        silent, slow = await made.client(), await made.client(HELLO)
        assert (await heard(silent), await heard(slow)) == (b"", bytes.fromhex("0500"))
        await made.until(lambda: not made.service._half_open)


async def test_of_a_thousand_half_open_connections_the_oldest_give_way_and_a_real_one_is_served() -> None:
    async with proxy() as made:
        for number in range(1000):
            await made.client(HELLO[: number % 3])
        reader = await made.client(HELLO + REQUEST)
        assert await reader.readexactly(12) == bytes.fromhex("0500") + GRANTED
        assert len(made.service._half_open) <= socks.HALF_OPEN
        for each in made.clients[:-1]:
            each.close()
        await made.until(lambda: not made.service._half_open)


async def test_who_is_refused_and_stays_costs_nobody_else_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socks, "HALF_OPEN", 4)
    monkeypatch.setattr(socks, "LEAVING", 3)
    async with proxy(StreamFailed("no", StreamCode.REFUSED)) as made:
        waiting = [await made.client(HELLO) for _ in range(4)]
        assert [await each.readexactly(2) for each in waiting] == [bytes.fromhex("0500")] * 4
        for client in list(made.clients):
            client.write(REQUEST)
        assert [await each.readexactly(10) for each in waiting] == [refusal(5)] * 4
        await made.until(lambda: len(made.service._leaving) == 3)
        assert len(made.service._half_open) == 0


async def test_a_rush_of_real_clients_is_served_to_the_last() -> None:
    async with proxy() as made:
        loop = asyncio.get_running_loop()
        with ExitStack() as rush:
            clients = [rush.enter_context(socket.create_connection(made.address)) for _ in range(600)]
            for each in clients:
                each.sendall(HELLO + REQUEST)
                each.setblocking(False)
            said = [await loop.sock_recv(each, 2) + await loop.sock_recv(each, 10) for each in clients]
        assert said == [bytes.fromhex("0500") + GRANTED] * 600


@pytest.mark.parametrize("ahead", [b"", b"SSH-2.0-client"])
async def test_a_client_that_leaves_meanwhile_costs_nothing_more(ahead: bytes) -> None:
    """Behind bytes that it sent ahead nobody sees it go, until the stream is there."""
    async with proxy(waits=True) as made:
        await made.client(HELLO + REQUEST + ahead)
        await made.until(lambda: made.streams.asked)
        made.clients[0].close()
        if ahead:
            made.streams.may_open.set()
            await made.until(lambda: made.streams.opened and made.streams.opened[0].spliced.done())
        else:
            await made.until(lambda: not made.service._opening)
            assert made.streams.opened == []


async def test_who_comes_while_no_descriptor_is_left_is_served_once_there_is_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with proxy() as made:
        caller = socket.socket()
        await come_meanwhile(caller, made.address, caplog)
        reader, writer = await asyncio.open_connection(sock=caller)
        made.clients.append(writer)
        writer.write(HELLO + REQUEST)
        assert await reader.readexactly(12) == bytes.fromhex("0500") + GRANTED
    assert untaken(caplog) == [(addresses.join(*made.address), TOLD)]
