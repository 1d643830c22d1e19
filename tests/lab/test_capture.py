"""Copies of what passes a host: whole datagrams, both ways, and a text that is in them or not."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from pulse.lab.capture import searched, tapped
from pulse.lab.host import Host
from pulse.lab.lab import Lab
from pulse.lab.namespaces import inside
from tests.namespace import require_root

SECRET = b"canary-5f1d9c"
PORT = 9999


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    require_root()
    with Lab() as lab:
        yield lab


def opened(host: Host, address: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with inside(host.namespace):
        made = socket.socket(family, socket.SOCK_DGRAM)
    made.settimeout(30)
    return made


def send(host: Host, to: Host, address: str, *payloads: bytes) -> None:
    """Send datagrams to an address of another host, and wait until all of them are there."""
    with opened(to, address) as receiver, opened(host, address) as sender:
        receiver.bind((address, PORT))
        for payload in payloads:
            sender.sendto(payload, (address, PORT))
        assert [receiver.recv(100) for _ in payloads] == [*payloads]


def test_a_datagram_is_seen_where_it_leaves_and_where_it_arrives(lab: Lab) -> None:
    a, b = lab["a"], lab["b"]
    for host in (a, b):
        with tapped(host) as tap:
            send(a, b, str(b.v4.ip), b"!hello")
            seen = tap.wait(lambda datagram: datagram.payload == b"!hello")

        assert (seen.source[0], seen.target) == (str(a.v4.ip), (str(b.v4.ip), PORT))
        assert seen.first == ord("!")


def test_the_rest_is_what_nobody_looked_at(lab: Lab) -> None:
    a, b = lab["a"], lab["b"]
    with tapped(b) as tap:
        send(a, b, str(b.v4.ip), b"one", b"two", b"three")
        tap.wait(lambda datagram: datagram.payload == b"two")

        assert [datagram.payload for datagram in tap.rest() if datagram.target[1] == PORT] == [b"three"]
        assert tap.rest() == []


@pytest.mark.parametrize("version", ["v4", "v6"])
@pytest.mark.parametrize("interface", ["", "eth0"])
def test_a_text_is_found_in_the_packets_that_have_it(lab: Lab, version: str, interface: str) -> None:
    a, b = lab["a"], lab["b"]
    address = str(getattr(b, version).ip)
    with searched(b, SECRET, interface) as search:
        send(a, b, address, b"xx" + SECRET + b"yy", SECRET[:-1], SECRET)

    assert search.found == 2
    assert search.packets >= 3
    assert search.missed == 0


def test_all_interfaces_are_looked_at_if_none_is_named(lab: Lab) -> None:
    with searched(lab["a"], SECRET) as everywhere, searched(lab["a"], SECRET, "eth0") as outside:
        send(lab["a"], lab["a"], "127.0.0.1", SECRET)

    assert everywhere.found > 0
    assert outside.found == 0


def test_a_look_is_over_while_traffic_goes_on(lab: Lab) -> None:
    a, b = lab["a"], lab["b"]
    enough = threading.Event()

    def chatter() -> None:
        with opened(a, str(b.v4.ip)) as sender:
            while not enough.wait(0.001):
                sender.sendto(SECRET, (str(b.v4.ip), PORT))

    talking = threading.Thread(target=chatter)
    talking.start()
    try:
        with searched(b, SECRET) as search:
            time.sleep(0.2)
        assert talking.is_alive()
    finally:
        enough.set()
        talking.join()

    assert search.found > 0
