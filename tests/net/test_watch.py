"""The watch over the host's network, in a namespace."""

import asyncio
import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import aclosing

import pytest

from pulse.net import sysctl
from pulse.net import watch as module
from pulse.net.watch import FirewallWatch, ForwardingWatch, NetworkWatch, RoutingWatch
from tests.namespace import inside, ip, namespace, require_root

LIMIT = 20.0


@pytest.fixture
def host() -> Iterator[str]:
    with namespace() as name:
        ip(name, "link", "add", "wan", "type", "veth", "peer", "name", "far")
        yield name


CHANGES = {
    "an interface that comes up": ("link", "set", "wan", "up"),
    "an address": ("address", "add", "192.0.2.2/24", "dev", "lo"),
    "an IPv6 address": ("address", "add", "2001:db8::2/64", "dev", "lo"),
    "a route": ("route", "add", "198.51.100.0/24", "dev", "lo"),
    "an interface that goes": ("link", "delete", "far"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_change_is_heard(host: str, change: tuple[str, ...]) -> None:
    with inside(host):
        watch = NetworkWatch()
    with watch:
        ip(host, *change)
        async with asyncio.timeout(LIMIT):
            await watch.wait_changed()


async def test_many_changes_at_once_are_told_as_one(host: str) -> None:
    with inside(host):
        watch = NetworkWatch()
    with watch:
        for number in range(20):
            ip(host, "address", "add", f"192.0.2.{number + 1}/24", "dev", "lo")
        async with asyncio.timeout(LIMIT):
            await watch.wait_changed()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(watch.wait_changed(), 0.5)


async def test_nothing_is_heard_of_another_hosts_network(host: str) -> None:
    with namespace() as other:
        with inside(host):
            watch = NetworkWatch()
        with watch:
            ip(other, "address", "add", "192.0.2.2/24", "dev", "lo")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(watch.wait_changed(), 0.5)


async def test_more_changes_than_the_kernel_keeps_are_a_change(host: str) -> None:
    with inside(host):
        watch = NetworkWatch()
    commands = "".join(f"address add 10.{n // 200}.{n % 200}.1/32 dev lo\n" for n in range(3000))
    with watch:
        at_once(host, commands)
        async with asyncio.timeout(LIMIT):
            await watch.wait_changed()


OURS, OTHER = 28789, 99
ROUTING_CHANGES = {
    "a rule": ("rule", "add", "priority", "5", "lookup", "main"),
    "an IPv6 rule": ("-6", "rule", "add", "priority", "5", "lookup", "main"),
    "a route": ("route", "add", "unreachable", "default", "table", str(OURS)),
    "an IPv6 route": ("-6", "route", "add", "unreachable", "default", "table", str(OURS)),
}


@pytest.mark.parametrize("change", ROUTING_CHANGES.values(), ids=ROUTING_CHANGES)
@pytest.mark.parametrize("undone", [False, True])
async def test_a_change_of_routing_is_told(host: str, change: tuple[str, ...], undone: bool) -> None:
    if undone:
        ip(host, *change)
        change = tuple(word.replace("add", "del") for word in change)
    with inside(host):
        watch = RoutingWatch(OURS)
    with watch:
        ip(host, *change)
        async with asyncio.timeout(LIMIT):
            await watch.wait_changed()


async def test_routes_of_other_tables_are_none_of_ours_however_many_and_more_than_are_kept_may_be(host: str) -> None:
    with inside(host):
        watch = RoutingWatch(OURS)
    with watch:
        ip(host, "route", "add", "unreachable", "default", "table", str(OTHER))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(watch.wait_changed(), 0.1)
        at_once(host, "".join(f"route add unreachable 10.{n // 200}.{n % 200}.0/24 table 99\n" for n in range(3000)))
        async with asyncio.timeout(LIMIT):
            await watch.wait_changed()


async def test_who_cannot_listen_is_told_now_and_then_and_listens_once_that_works(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = [OSError(errno.EMFILE, "Too many open files")] * 2

    def listen() -> RoutingWatch:
        if full:
            raise full.pop()
        with inside(host):
            return RoutingWatch(OURS)

    monkeypatch.setattr(module, "AGAIN", 0.0)
    async with asyncio.timeout(LIMIT), aclosing(module.changes(listen)) as changed:
        for _ in range(3):
            await anext(changed)
        assert not full
        ip(host, "route", "add", "unreachable", "default", "table", str(OURS))
        await anext(changed)


async def test_changes_of_firewalls_and_of_forwarding_are_heard_apart(host: str) -> None:
    with inside(host):
        firewall, forwarding = FirewallWatch(), ForwardingWatch()
        with firewall, forwarding:
            for change in ("add table inet theirs", "flush ruleset"):
                nft(change)
                async with asyncio.timeout(LIMIT):
                    await firewall.wait_changed()
            for name in sysctl.FORWARDING.values():
                sysctl.write(name, "1")
                async with asyncio.timeout(LIMIT):
                    await forwarding.wait_changed()
            for watch in (firewall, forwarding):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(watch.wait_changed(), 0.1)


def test_who_may_not_see_the_firewall_is_told_so() -> None:
    require_root()
    os.seteuid(65534)
    try:
        with pytest.raises(PermissionError):
            FirewallWatch()
    finally:
        os.seteuid(0)


def nft(change: str) -> None:
    subprocess.run(["nft", *change.split()], check=True)


def at_once(host: str, commands: str) -> None:
    """Run many `ip` commands before the loop hears of the first."""
    subprocess.run(["ip", "-n", host, "-batch", "-"], input=commands, text=True, check=True)
