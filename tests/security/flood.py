"""Floods: many datagrams at a rate, from ports that are there or addresses that are nobody's, and what comes back.

Invariant: a source is used once, so nothing that comes back is ever answered: every handshake stays half open.
"""

import secrets
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.crypto import CryptoPair
from aioquic.quic.packet import QuicProtocolVersion

from pulse.lab.host import Host
from tests.e2e.mesh import PORT, Node
from tests.e2e.stranger import MARK
from tests.e2e.wire import Datagram, Tap, inject
from tests.namespace import inside, ip
from tests.security.link import Link

NOBODYS: Final = "203.0.113"
"""A network that is nobody's (RFC 5737); in the lab it lies behind the host that floods."""

ID: Final = slice(6, 14)
LENGTH: Final = slice(24, 26)
NUMBER_AT: Final = 26
"""Where things stand in a first packet of aioquic's: ids of 8 bytes, no token."""
SMALLEST: Final = 1200
"""Bytes of a datagram with a first packet, at least (RFC 9000 §14.1)."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a flood was answered with."""

    sent: int
    """Bytes of UDP payload in."""
    heard: int
    """Bytes out."""
    retries: int
    """Answers that ask for a proof of the address first."""
    answers: int


def initials(count: int, alpn: str, *, marked: bool = False) -> list[bytes]:
    """First packets of so many callers; `marked` ones ask for the join lane.

    One caller's words, sealed anew for each connection id: a thousandth of the work of as many callers.
    """
    quic = QuicConnection(configuration=QuicConfiguration(alpn_protocols=[alpn]))
    quic.connect(("", 0), 0.0)
    first = quic.datagrams_to_send(0.0)[0][0]
    own = quic.original_destination_connection_id
    whole = first[: NUMBER_AT + (int.from_bytes(first[LENGTH]) & 0x3FFF)]
    header, payload, _ = _keys(own, is_client=False).decrypt_packet(whole, NUMBER_AT, 0)
    mark = MARK if marked else b""
    return [_renamed(mark + secrets.token_bytes(len(own)), header, payload) for _ in range(count)]


def _renamed(to: bytes, header: bytes, payload: bytes) -> bytes:
    """A first packet to another connection id (RFC 9000 §17.2.2), in a datagram of the size it must have."""
    renamed = header[: ID.start - 1] + bytes((len(to),)) + to + header[ID.stop :]
    return _keys(to, is_client=True).encrypt_packet(renamed, payload, 0).ljust(SMALLEST, b"\0")


def _keys(to: bytes, *, is_client: bool) -> CryptoPair:
    """Those anybody can work out (RFC 9001 §5.2)."""
    pair = CryptoPair()
    pair.setup_initial(to, is_client, QuicProtocolVersion.VERSION_1)
    return pair


@contextmanager
def half_open(host: Host, victim: Node, packets: Sequence[bytes], rate: int) -> Iterator[None]:
    """Meanwhile the host sends these, each from a port of its own that closes at once."""
    door = (str(victim.host.v4.ip), PORT)

    def throw(packet: bytes) -> None:
        with inside(host.namespace):
            caller = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with caller:
            caller.sendto(packet, door)

    with _thrown([partial(throw, each) for each in packets], rate):
        yield


@contextmanager
def spoofed(host: Host, victim: Node, packets: Sequence[bytes], rate: int) -> Iterator[None]:
    """Meanwhile the host sends these, each from another address and port that are not its own."""
    door = (str(victim.host.v4.ip), PORT)
    sources = [(f"{NOBODYS}.{number % 254 + 1}", 1024 + number) for number in range(len(packets))]
    forged = [Datagram(source, door, packet) for source, packet in zip(sources, packets, strict=True)]
    with answers_leave(host, victim), _thrown([partial(inject, host, each) for each in forged], rate):
        yield


@contextmanager
def framed(link: Link, frames: Sequence[bytes], rate: int) -> Iterator[None]:
    """Meanwhile these are sent over a link."""
    with _thrown([partial(link.throws, each) for each in frames], rate):
        yield


@contextmanager
def answers_leave(host: Host, victim: Node) -> Iterator[None]:
    """Let the victim's host send what is for nobody's network to that host, where it can be counted."""
    route = (f"{NOBODYS}.0/24", "via", str(host.v4.ip))
    ip(victim.host.namespace, "route", "add", *route)
    try:
        yield
    finally:
        ip(victim.host.namespace, "route", "delete", *route)


def told(tap: Tap, victim: Node) -> Told:
    """What the victim was sent by the tap's host, and what it answered."""
    door = (str(victim.host.v4.ip), PORT)
    passed = tap.rest()
    asked = [each.payload for each in passed if each.target == door]
    answered = [each.payload for each in passed if each.source == door]
    retries = sum(is_retry(each) for each in answered)
    return Told(sum(map(len, asked)), sum(map(len, answered)), retries, len(answered))


def is_retry(payload: bytes) -> bool:
    """True for a long header of that type (RFC 9000 §17.2.5)."""
    return payload[0] & 0xF0 == 0xF0


@contextmanager
def _thrown(throws: Sequence[Callable[[], None]], rate: int) -> Iterator[None]:
    """Meanwhile these happen at that rate a second, or as fast as this machine can; all have happened in the end."""
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(_paced, throws, rate)
        yield
        done.result()


def _paced(throws: Sequence[Callable[[], None]], rate: int) -> None:
    start = time.monotonic()
    for number, throw in enumerate(throws):
        time.sleep(max(0.0, start + number / rate - time.monotonic()))
        throw()
