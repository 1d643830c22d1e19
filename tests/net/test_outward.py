"""Connections for others: names of this machine, and one address at a time."""

import asyncio
import resource
import socket
from ipaddress import ip_address

import pytest

from pulse.net import outward
from tests.loopback import PATIENCE


async def test_a_name_comes_to_all_its_addresses_each_once() -> None:
    found = await outward.resolved("localhost")
    assert ip_address("127.0.0.1") in found
    assert len(found) == len(set(found))
    assert await outward.resolved("192.0.2.1") == [ip_address("192.0.2.1")]
    assert await outward.resolved("fe80::1%1") == [ip_address("fe80::1")]


async def test_a_name_of_nobody_is_an_error_of_the_system() -> None:
    with pytest.raises(OSError, match=r"not known|failure"):
        await outward.resolved("no-such-host.invalid")


async def test_a_connection_leads_where_it_was_asked_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        async with asyncio.timeout(PATIENCE):
            with await outward.connected(ip_address("127.0.0.1"), server.getsockname()[1]) as made:
                assert made.getpeername() == server.getsockname()
    with pytest.raises(ConnectionRefusedError):
        await outward.connected(ip_address("127.0.0.1"), server_port())


def server_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_a_process_is_allowed_more_descriptors_as_far_as_the_system_goes() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, before[1]), before[1]))
        outward.raise_file_limit()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert hard == before[1]
        assert soft == (outward.FILES if hard == resource.RLIM_INFINITY else min(outward.FILES, hard))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
