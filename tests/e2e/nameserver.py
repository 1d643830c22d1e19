"""The DNS servers that a lab host asks: one on its network, and what is asked of the one on itself."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import dns.exception
import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset

from pulse.lab.host import Host
from tests.namespace import inside

_IP = 0x0800
_LINK_HEADER, _IP_HEADER, _UDP_HEADER = 14, 20, 8


@dataclass(slots=True)
class NameServer:
    """It answers every name with one address, and remembers what it was asked."""

    answer: str
    asked: list[str] = field(default_factory=list)

    def replies(self, data: bytes) -> bytes:
        """The answer to one query."""
        query = dns.message.from_wire(data)
        self.asked.append(_name(query))
        reply = dns.message.make_response(query, recursion_available=True)
        reply.flags |= dns.flags.AA
        question = query.question[0]
        if question.rdtype == dns.rdatatype.A:
            reply.answer.append(dns.rrset.from_text(question.name, 60, "IN", "A", self.answer))
        return reply.to_wire()

    def serve(self, bound: socket.socket) -> None:
        """Until a datagram without a word comes."""
        while True:
            data, source = bound.recvfrom(4096)
            if not data:
                return
            bound.sendto(self.replies(data), source)


@contextmanager
def name_server(host: Host, answer: str) -> Iterator[NameServer]:
    """One at the first address of a host, in a thread of this process."""
    place = (str(host.v4.ip), 53)
    with inside(host.namespace):
        bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        last = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made = NameServer(answer)
    with bound, last:
        bound.bind(place)
        thread = threading.Thread(target=made.serve, args=(bound,), daemon=True)
        thread.start()
        try:
            yield made
        finally:
            last.sendto(b"", place)
            thread.join()


@contextmanager
def overheard(host: Host, port: int) -> Iterator[list[str]]:
    """The names that programs of a host ask of a server on that very host, once this block has ended."""
    asked: list[str] = []
    with inside(host.namespace):
        heard = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_IP))
        heard.bind(("lo", _IP))
    with heard:
        heard.setblocking(False)
        yield asked
        with suppress(BlockingIOError):
            while True:
                packet = heard.recv(65536)[_LINK_HEADER:]
                if packet[9] == socket.IPPROTO_UDP and int.from_bytes(packet[22:24]) == port:
                    with suppress(dns.exception.DNSException):
                        asked.append(_name(dns.message.from_wire(packet[_IP_HEADER + _UDP_HEADER :])))


def _name(query: dns.message.Message) -> str:
    return query.question[0].name.to_text(omit_final_dot=True).lower()
