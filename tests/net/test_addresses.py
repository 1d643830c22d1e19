"""Addresses: `host:port` in and out, and what the resolver may answer."""

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.net import addresses
from pulse.net.addresses import MOST_ADDRESSES, is_literal, join, resolve, split

PORTS = st.integers(1, 65535)


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


@given(st.ip_addresses(), PORTS)
def test_what_is_joined_is_split_again(host: IPv4Address | IPv6Address, port: int) -> None:
    assert split(join(str(host), port)) == (str(host), port)
    assert is_literal(str(host))


def test_a_name_is_no_literal() -> None:
    assert split("vm-01.example:443") == ("vm-01.example", 443)
    assert not is_literal("vm-01.example")


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
