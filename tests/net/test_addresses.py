"""Addresses: `host:port` in and out, and what the resolver may answer."""

import asyncio
import socket
from typing import Any

import pytest

from pulse.net import addresses
from pulse.net.addresses import MOST_ADDRESSES, is_literal, resolve


class Resolver:
    """Answers in place of the system's resolver."""

    def __init__(self, answer: list[str] | Exception) -> None:
        self.answer = answer
        self.asked: list[str] = []

    async def getaddrinfo(self, host: str, port: int, **_: Any) -> list[Any]:
        """What was planned."""
        self.asked.append(host)
        if isinstance(self.answer, Exception):
            raise self.answer
        if not self.answer:
            await asyncio.Event().wait()
        return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", (each, port)) for each in self.answer]


async def resolved_by(resolver: Resolver, address: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolver.getaddrinfo)
    return await resolve(address)


def test_a_name_is_no_literal() -> None:
    assert is_literal("[2001:db8::1]:443")
    assert not is_literal("vm-01.example:443")


async def test_a_literal_needs_no_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver(OSError("down"))

    assert await resolved_by(resolver, "[2001:db8::1]:443", monkeypatch) == ["[2001:db8::1]:443"]
    assert resolver.asked == []


async def test_a_name_resolves_to_each_of_its_addresses_once(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver(["2001:db8::1", "192.0.2.1", "192.0.2.1"])

    assert await resolved_by(resolver, "vm-01:443", monkeypatch) == ["[2001:db8::1]:443", "192.0.2.1:443"]


async def test_a_name_with_very_many_addresses_resolves_to_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver([f"192.0.2.{place}" for place in range(100)])

    assert len(await resolved_by(resolver, "vm-01:443", monkeypatch)) == MOST_ADDRESSES


@pytest.mark.parametrize(
    "error",
    [socket.gaierror(-2, "Name or service not known"), UnicodeError("label empty or too long"), OSError("down")],
    ids=["unknown", "no name at all", "resolver down"],
)
async def test_a_name_that_cannot_be_resolved_is_named(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="cannot resolve vm-01"):
        await resolved_by(Resolver(error), "vm-01:443", monkeypatch)


async def test_a_text_that_can_be_no_host_name_is_an_error_of_resolving() -> None:
    with pytest.raises(OSError, match="it can be no host name"):
        await resolve("vm-01..example:443")


async def test_a_resolver_that_does_not_answer_is_waited_for_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "RESOLVE_TIMEOUT", 0.0)
    with pytest.raises(OSError, match="did not answer"):
        await resolved_by(Resolver([]), "vm-01:443", monkeypatch)


async def test_the_zone_of_a_link_local_address_becomes_the_number_of_its_interface() -> None:
    number = socket.if_nametoindex("lo")

    assert not is_literal("[fe80::1%lo]:443")
    assert await resolve("[fe80::1%lo]:443") == [f"[fe80::1%{number}]:443"]
    assert await resolve(f"[fe80::1%{number}]:443") == [f"[fe80::1%{number}]:443"]


async def test_a_zone_that_is_no_interface_here_is_an_error_of_resolving() -> None:
    with pytest.raises(OSError, match="cannot resolve fe80::1%nowhere"):
        await resolve("[fe80::1%nowhere]:443")


async def test_what_is_no_address_is_an_error_of_resolving() -> None:
    assert not is_literal("nowhere")
    with pytest.raises(OSError, match="Write host:port"):
        await resolve("nowhere")


@pytest.mark.parametrize("zone", ["", "lo", "4294967296", "9" * 5000, "\u0663"])
def test_a_zone_that_is_no_number_of_an_interface_is_not_the_data_planes_to_read(zone: str) -> None:
    assert not is_literal(f"[fe80::1%{zone}]:443")
