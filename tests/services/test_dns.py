"""The DNS server on real sockets: datagrams, connections, and those who ask too much, too slowly or nothing at all."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import dns.flags
import dns.message
import pytest

from pulse.core.network.directory import Directory
from pulse.core.network.zones import ZoneRecord
from pulse.errors import Conflict, SystemRefused
from pulse.services import dns as module
from pulse.services.dns import CONNECTIONS, Answers, DnsService, DnsSockets
from tests.core.network.test_directory import known
from tests.namespace import inside, ip, namespace
from tests.ports import free_port

PATIENCE = 30.0
LONG = [ZoneRecord("long.pulse", "TXT", f"{number:03} " + "x" * 240) for number in range(100)]


class Names:
    """What there is to tell, and how often it was worked out."""

    def __init__(self) -> None:
        self.revision, self.made, self.now = 1, 0, 0.0
        self.cost = 0.0
        self.records = list(LONG)

    def work_out(self) -> Directory:
        self.made += 1
        self.now += self.cost
        return known(*self.records)

    def answers(self) -> Answers:
        return Answers(lambda: self.revision, self.work_out, lambda: self.now)


@asynccontextmanager
async def running(names: Names | None = None) -> AsyncIterator[DnsService]:
    with DnsSockets("127.0.0.1", free_port()) as sockets:
        service = DnsService(sockets, (names or Names()).answers())
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(service.run())
            yield service
            task.cancel()


def port(of: DnsService) -> int:
    return int(of.sockets.udp.getsockname()[1])


def query(name: str = "vm-01.pulse", kind: str = "A", number: int = 7) -> bytes:
    return dns.message.make_query(name, kind, id=number).to_wire()


def framed(*queries: bytes) -> bytes:
    return b"".join(len(each).to_bytes(2) + each for each in queries)


async def ask_udp(of: DnsService, *queries: bytes) -> list[bytes]:
    """As many answers as there are to the last query's number."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        client.connect(("127.0.0.1", port(of)))
        for each in queries:
            client.send(each)
        found: list[bytes] = []
        async with asyncio.timeout(PATIENCE):
            while not found or found[-1][:2] != queries[-1][:2]:
                found.append(await asyncio.get_running_loop().sock_recv(client, 4096))
        return found


async def connected(of: DnsService) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port(of))


async def answer_from(reader: asyncio.StreamReader) -> dns.message.Message:
    async with asyncio.timeout(PATIENCE):
        return dns.message.from_wire(await reader.readexactly(int.from_bytes(await reader.readexactly(2))))


async def hung_up(reader: asyncio.StreamReader) -> bool:
    """True once nothing more can come."""
    async with asyncio.timeout(PATIENCE):
        try:
            return await reader.read(65536) == b""
        except ConnectionResetError:
            return True


async def test_a_datagram_is_answered_and_what_is_none_is_not() -> None:
    async with running() as of:
        found = await ask_udp(of, b"", b"noise", b"\x80" * 40, b"x" * 5000, query(number=8))
        assert [dns.message.from_wire(each).id for each in found][-1] == 8
        assert "10.100.0.2" in str(dns.message.from_wire(found[-1]).answer[0])


async def test_what_is_too_long_for_a_datagram_is_whole_over_tcp() -> None:
    async with running() as of:
        (cut,) = await ask_udp(of, query("long.pulse", "TXT"))
        assert dns.message.from_wire(cut).flags & dns.flags.TC
        reader, writer = await connected(of)
        writer.write(framed(query("long.pulse", "TXT")))
        assert len((await answer_from(reader)).answer[0]) == len(LONG)
        writer.close()


async def test_many_queries_of_one_connection_are_answered_in_their_order_however_they_arrive() -> None:
    async with running() as of:
        reader, writer = await connected(of)
        many = framed(*(query(number=number) for number in range(200)))
        for place in range(0, len(many), 777):
            writer.write(many[place : place + 777])
            await asyncio.sleep(0)
        assert [(await answer_from(reader)).id for _ in range(200)] == list(range(200))
        writer.close()


@pytest.mark.parametrize("said", [b"\x00\x00", b"\x00\x05hello", b"\xff\xff" + b"x" * 10, framed(b"\x80" * 40)])
async def test_who_says_what_is_no_query_over_tcp_is_hung_up_on(said: bytes) -> None:
    async with running() as of:
        reader, writer = await connected(of)
        writer.write(said.ljust(14, b"x"))
        assert await hung_up(reader)
        assert not of.streams
        writer.close()


async def test_who_is_slow_to_ask_or_says_nothing_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE", 0.2)
    async with running() as of:
        (silent, kept), (reader, writer) = await connected(of), await connected(of)
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
            dripping = tasks.create_task(drip(writer))
            assert await hung_up(reader)
            dripping.cancel()
        assert await hung_up(silent)
        assert not of.streams
        writer.close()
        kept.close()


async def drip(writer: asyncio.StreamWriter) -> None:
    """A byte of a query now and then, and never the last one."""
    for place in range(len(query())):
        writer.write(framed(query())[place : place + 1])
        await asyncio.sleep(0.05)
    await asyncio.Event().wait()


async def test_who_asks_and_never_takes_an_answer_costs_no_memory_and_is_hung_up_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "IDLE", 0.5)
    many = framed(*[query("long.pulse", "TXT")] * 100)
    async with running() as of:
        with socket.socket() as greedy:
            greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            greedy.connect(("127.0.0.1", port(of)))
            greedy.setblocking(False)
            most = 0
            async with asyncio.timeout(PATIENCE):
                while is_taken(greedy, many) or of.streams:
                    await asyncio.sleep(0.01)
                    most = max([most, *(each._transport.get_write_buffer_size() for each in of.streams)])
            assert 0 < most < 256 * 1024


def is_taken(client: socket.socket, said: bytes) -> bool:
    """False once the other end has hung up."""
    try:
        client.send(said)
    except BlockingIOError:
        return True
    except (ConnectionResetError, BrokenPipeError):
        return False
    return True


async def test_who_asks_a_lot_waits_and_is_answered_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWERED", 500.0)
    monkeypatch.setattr(module, "ANSWERED_MOST", 10.0)
    now = asyncio.get_running_loop().time
    async with running() as of:
        began = now()
        reader, writer = await connected(of)
        writer.write(framed(*(query(number=number) for number in range(200))))
        found = await ask_udp(of, *(query(number=number) for number in range(100)))
        assert [int.from_bytes(each[:2]) for each in found] == list(range(100))
        assert [(await answer_from(reader)).id for _ in range(200)] == list(range(200))
        assert now() - began > (300 - 10 - 2 * module.BATCH) / 500
        writer.close()


async def test_of_too_many_connections_the_oldest_gives_way() -> None:
    async with running() as of:
        first, *others = [await connected(of) for _ in range(CONNECTIONS)]
        last = await connected(of)
        assert await hung_up(first[0])
        last[1].write(framed(query()))
        assert (await answer_from(last[0])).answer
        assert len(of.streams) == CONNECTIONS
        for each in (first, *others, last):
            each[1].close()


async def test_once_it_stops_nobody_is_connected_any_more() -> None:
    async with running() as of:
        reader, writer = await connected(of)
        writer.write(framed(query()))
        await answer_from(reader)
    assert await hung_up(reader)
    writer.close()


# What is remembered


def test_names_are_worked_out_once_and_again_when_they_change() -> None:
    names = Names()
    answers = names.answers()
    assert names.made == 0
    first = answers.to(query(number=1), tcp=False)
    again = answers.to(query(number=2), tcp=False)
    assert first is not None
    assert again is not None
    assert (first[2:], first[:2], again[:2]) == (again[2:], b"\x00\x01", b"\x00\x02")
    answers.to(query("x.vm-01.pulse"), tcp=False)
    assert names.made == 1

    names.records.append(ZoneRecord("new.pulse", "A", "192.168.7.2"))
    assert "NXDOMAIN" in told(answers, "new.pulse")
    names.revision += 1
    assert "192.168.7.2" in told(answers, "new.pulse")
    assert names.made == 2


def told(answers: Answers, name: str) -> str:
    data = answers.to(query(name), tcp=False)
    assert data is not None
    return dns.message.from_wire(data).to_text()


def test_names_that_change_all_the_time_take_a_part_of_it_only() -> None:
    names = Names()
    names.cost = 0.01
    answers = names.answers()
    for _ in range(1000):
        names.revision += 1
        names.now += 0.001
        answers.to(query(), tcp=False)
    assert 5 < names.made < 20


def test_an_answer_over_tcp_is_not_one_for_a_datagram() -> None:
    answers = Names().answers()
    long = query("long.pulse", "TXT")
    over_tcp, over_udp = answers.to(long, tcp=True), answers.to(long, tcp=False)
    assert over_tcp is not None
    assert over_udp is not None
    assert len(over_udp) <= 512 < len(over_tcp)


def test_what_is_not_known_yet_is_worked_out_so_often_and_what_is_known_always_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "WORKED_OUT_MOST", 10.0)
    monkeypatch.setattr(module, "KNOWN", 5)
    answers = Names().answers()
    assert answers.to(query(), tcp=False)
    flood = [answers.to(query(f"n{number}.pulse"), tcp=False) for number in range(100)]
    assert sum(each is not None for each in flood) == 9
    assert len(answers._known) <= 5
    assert answers.to(query("n8.pulse"), tcp=False)


# Sockets


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_port_that_is_taken_is_told_with_the_flag(kind: socket.SocketKind) -> None:
    number = free_port()
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", number))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        with pytest.raises(Conflict, match=f"cannot listen on 127.0.0.1:{number}: another program(.|\n)*--dns-listen"):
            DnsSockets("127.0.0.1", number)


async def test_on_all_addresses_an_answer_comes_from_the_one_that_was_asked() -> None:
    with namespace() as name:
        for address in ("10.9.0.1/32", "10.9.0.2/32", "fd09::2/128"):
            ip(name, "address", "add", address, "dev", "lo", *(["nodad"] if ":" in address else []))
        with inside(name), DnsSockets("", 0) as sockets:
            service = DnsService(sockets, Names().answers())
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(service.run())
                for ours, theirs in (("10.9.0.1", "10.9.0.2"), ("::1", "fd09::2")):
                    with socket.socket(socket.AF_INET6 if ":" in ours else socket.AF_INET, socket.SOCK_DGRAM) as client:
                        client.setblocking(False)
                        client.bind((ours, 0))
                        client.connect((theirs, port(service)))
                        client.send(query())
                        async with asyncio.timeout(PATIENCE):
                            assert await asyncio.get_running_loop().sock_recv(client, 4096)
                task.cancel()


def test_an_address_of_another_machine_is_told_unless_it_may_come() -> None:
    with pytest.raises(SystemRefused, match=r"cannot listen on 203.0.113.7:0(.|\n)*--dns-listen"):
        DnsSockets("203.0.113.7", 0)
    with DnsSockets("203.0.113.7", 0, ahead=True) as made:
        assert made.address.startswith("203.0.113.7:")


def test_who_asks_from_another_machine_is_sent_to_tcp_for_what_is_long() -> None:
    """His address may be somebody else's, who never asked."""

    async def lived() -> None:
        names = Names()
        names.records += [ZoneRecord("some.pulse", "TXT", "x" * 240), ZoneRecord("some.pulse", "TXT", "y" * 240)]
        with DnsSockets("", 5353) as sockets:
            service = DnsService(sockets, names.answers())
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(service.run())
                answers = [await asked_from(each) for each in ("127.0.0.1", "192.0.2.7")]
                task.cancel()
        assert [(bool(each.flags & dns.flags.TC), len(each.answer)) for each in answers] == [(False, 1), (True, 0)]

    async def asked_from(address: str) -> dns.message.Message:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.bind((address, 0))
            client.connect((address, 5353))
            client.send(dns.message.make_query("some.pulse", "TXT", use_edns=0, payload=1232).to_wire())
            async with asyncio.timeout(PATIENCE):
                return dns.message.from_wire(await asyncio.get_running_loop().sock_recv(client, 4096))

    with namespace() as name, inside(name):
        ip(name, "address", "add", "192.0.2.7/32", "dev", "lo")
        asyncio.run(lived())
