"""Relays of a domain: what its TXT records say, asked of a real name server on this machine."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import dns.asyncresolver
import dns.message
import dns.rcode
import dns.rrset
import pytest

from pulse.net import relays
from pulse.net.relays import MOST, published, relays_in


@contextmanager
def zone(*texts: str) -> Iterator[int]:
    """A name server that knows `_pulse.example.com`; yields its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=_serve, args=(server, texts))
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
                end.sendto(b"", server.getsockname())
            thread.join()


def _serve(server: socket.socket, texts: tuple[str, ...]) -> None:
    while True:
        wire, asker = server.recvfrom(4096)
        if not wire:
            return
        query = dns.message.from_wire(wire)
        answer = dns.message.make_response(query)
        if query.question[0].name.to_text() == "_pulse.example.com.":
            answer.answer.append(dns.rrset.from_text("_pulse.example.com.", 60, "IN", "TXT", *texts))
        else:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        server.sendto(answer.to_wire(), asker)


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The system's resolver is the name server above."""
    with zone('"relay.example.com:443 192.0.2.1:443"', '"[2001:db8::1]:443"') as port:

        class Resolver(dns.asyncresolver.Resolver):
            def __init__(self) -> None:
                super().__init__(configure=False)
                self.nameservers, self.port = ["127.0.0.1"], port

        monkeypatch.setattr(dns.asyncresolver, "Resolver", Resolver)
        yield


@pytest.mark.usefixtures("ask")
async def test_a_domain_names_its_relays() -> None:
    assert await published("example.com") == ("192.0.2.1:443", "[2001:db8::1]:443", "relay.example.com:443")


@pytest.mark.usefixtures("ask")
async def test_a_domain_that_does_not_say_is_an_error_that_names_it() -> None:
    with pytest.raises(OSError, match=r"cannot look up _pulse\.example\.org"):
        await published("example.org")


async def test_no_name_server_is_an_error_in_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relays, "PATIENCE", 0.1)

    class Resolver(dns.asyncresolver.Resolver):
        def __init__(self) -> None:
            super().__init__(configure=False)
            self.nameservers, self.port = ["127.0.0.1"], 9

    monkeypatch.setattr(dns.asyncresolver, "Resolver", Resolver)
    with pytest.raises(OSError, match="cannot look up"):
        await published("example.com")


@pytest.mark.parametrize("text", ["", "relay", ":443", "v=spf1 -all", "relay:99999", "re lay:x", "\x1b[31m:443"])
def test_what_is_no_address_is_left_out(text: str) -> None:
    assert relays_in([text]) == ()


def test_of_many_some_are_taken_whatever_their_order() -> None:
    many = [f"192.0.2.{number}:443" for number in range(40)]

    assert relays_in(many) == relays_in(many[::-1])
    assert len(relays_in(many)) == MOST
