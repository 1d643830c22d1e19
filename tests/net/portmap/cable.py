"""A cable between a node and its router, each in a namespace of its own, and what a test has the router say there."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from pulse.core.paths.portmap import Gateway
from tests.namespace import inside, ip, namespace

HOME = Gateway(IPv4Address("192.168.1.1"), IPv4Address("192.168.1.2"), "eth0")
ROUTER = "192.168.1.1"
STRANGER = "192.168.1.3"
"""Another host of the network: it sits on the router's end of the cable too."""

Answer = bytes | tuple[str, bytes]
"""What is sent back: from the router, or from another address of that end."""
Script = Callable[[bytes], Iterable[Answer]]


@dataclass
class Cable:
    """Both ends; the node's is where tests run."""

    home: str
    router: str

    def udp(self, port: int, host: str = ROUTER) -> socket.socket:
        """A UDP socket at the router's end."""
        with inside(self.router):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        return sock

    def tcp(self, port: int) -> socket.socket:
        """A TCP socket at the router, bound."""
        with inside(self.router):
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((ROUTER, port))
        return sock

    @contextmanager
    def says(self, port: int, script: Script, group: str = "") -> Iterator["Mouth"]:
        """A router that hears datagrams at `port`, or at a multicast `group` there alone, and answers by a script."""
        sock = self.udp(port, group or ROUTER)
        if group:
            member = socket.inet_aton(group) + socket.inet_aton(ROUTER)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        mouth = Mouth(self, sock, script, bool(group))
        asyncio.get_running_loop().add_reader(sock.fileno(), mouth.hear)
        try:
            yield mouth
        finally:
            asyncio.get_running_loop().remove_reader(sock.fileno())
            sock.close()

    @asynccontextmanager
    async def serves(self, port: int, script: Callable[[bytes], Iterable[bytes]]) -> AsyncIterator[list[bytes]]:
        """A router whose web server answers each request by a script; the requests it heard."""
        heard: list[bytes] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                heard.append(await _request(reader))
                for part in script(heard[-1]):
                    writer.write(part)
                    await writer.drain()
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        async with await asyncio.start_server(serve, sock=self.tcp(port)):
            yield heard


@dataclass
class Mouth:
    """One socket of the router."""

    cable: Cable
    sock: socket.socket
    script: Script
    group: bool = False
    heard: list[bytes] = field(default_factory=list)

    def hear(self) -> None:
        """Answer one datagram."""
        data, (host, port) = self.sock.recvfrom(4096)
        self.heard.append(data)
        ours = self.sock.getsockname()[1]
        for answer in self.script(data):
            if isinstance(answer, bytes):
                # A socket at a group's address cannot send from there.
                with self.cable.udp(0) if self.group else nullcontext(self.sock) as router:
                    router.sendto(answer, (host, port))
                continue
            source, said = answer
            with self.cable.udp(ours, source) as stranger:
                stranger.sendto(said, (host, port))


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0")
    return head + await reader.readexactly(int(length.partition(b":")[2]))


@contextmanager
def laid() -> Iterator[Cable]:
    """Lay a cable; whoever made it is at the node's end of it."""
    with namespace() as home, namespace() as router:
        ip(home, "link", "add", "eth0", "type", "veth", "peer", "name", "lan0", "netns", router)
        ip(home, "address", "add", "192.168.1.2/24", "dev", "eth0")
        for address in (ROUTER, STRANGER):
            ip(router, "address", "add", f"{address}/24", "dev", "lan0")
        ip(home, "link", "set", "eth0", "up")
        ip(router, "link", "set", "lan0", "up")
        ip(home, "route", "add", "default", "via", ROUTER)
        with inside(home):
            yield Cable(home, router)
