"""Rules in force: what an application of ours hears of them, what is counted, and what services are told."""

import asyncio
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from pulse.core.effects import PolicyRule
from pulse.core.facts import FlowDenied, SessionUp
from pulse.net.links import RuleHits
from tests.loopback import PATIENCE, Node, node
from tests.namespace import inside, ip, namespace


async def test_a_flow_the_policy_denies_is_refused_at_its_source_counted_and_told() -> None:
    with namespace() as name, node("alice") as alice, node("bob", 2) as bob, inside(name):
        await alice.link_with(bob)
        alice.links.attach_tun("pulse0", 1)
        ip(name, "address", "add", f"{alice.me.addresses.v4}/16", "dev", "pulse0")
        ip(name, "link", "set", "pulse0", "up")
        bobs = str(bob.me.addresses.v4)
        rules = [
            PolicyRule(True, None, (bobs,), (17,), ((80, 90),), id="dns"),
            PolicyRule(False, None, (bobs,), (6,), (), id="no tcp"),
        ]
        alice.links.replace_policy(rules)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as speaker:
            speaker.sendto(b"allowed", (bobs, 85))
            speaker.sendto(b"denied", (bobs, 91))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((bobs, 22), timeout=PATIENCE)
        async with asyncio.timeout(PATIENCE):
            await alice.told(SessionUp)
            while alice.links.drops()["policy_denied"] < 2:
                await asyncio.sleep(0)
            assert await alice.told(FlowDenied) == FlowDenied(bob.me.node_id, "", 17, 91, 0)
        assert alice.links.drops()["policy_denied"] == 2
        assert alice.links.hits() == RuleHits({"dns": 1, "no tcp": 1}, 1)


@contextmanager
def machine_of(node: Node) -> Iterator[str]:
    """A namespace with the node's TUN device in it."""
    with namespace() as name:
        with inside(name):
            node.links.attach_tun("pulse0", 1)
        ip(name, "address", "add", f"{node.me.addresses.v4}/16", "dev", "pulse0")
        ip(name, "link", "set", "pulse0", "up")
        yield name


def speaker_on(name: str) -> socket.socket:
    """A TCP socket of that machine."""
    with inside(name):
        speaker = socket.socket()
    speaker.setblocking(False)
    return speaker


def listener_on(name: str, address: str) -> socket.socket:
    """One that takes in calls on port 9000."""
    listener = speaker_on(name)
    listener.bind((address, 9000))
    listener.listen()
    return listener


async def exchange(one: socket.socket, other: socket.socket) -> None:
    """A word each way."""
    loop = asyncio.get_running_loop()
    for source, destination in ((one, other), (other, one)):
        await loop.sock_sendall(source, b"word")
        assert await loop.sock_recv(destination, 9) == b"word"


async def is_reset(speaker: socket.socket) -> bool:
    """True if the kernel says so in answer to what is sent."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(speaker, b"more")
    try:
        await loop.sock_recv(speaker, 9)
    except ConnectionResetError:
        return True
    return False


def rule_all(nodes: Sequence[Node], *rules: PolicyRule) -> None:
    for each in nodes:
        each.links.replace_policy(rules)


async def test_a_live_connection_passes_only_the_way_its_rule_says_and_is_reset_when_that_goes() -> None:
    loop = asyncio.get_running_loop()
    with (
        node("alice") as alice,
        node("bob", 2) as bob,
        machine_of(alice) as here,
        machine_of(bob) as there,
        listener_on(here, str(alice.me.addresses.v4)) as ours,
        listener_on(there, str(bob.me.addresses.v4)) as theirs,
        speaker_on(here) as caller,
        speaker_on(there) as turned_away,
    ):
        await alice.link_with(bob)
        alices, bobs = (str(each.me.addresses.v4) for each in (alice, bob))
        to_bob = PolicyRule(True, (alices,), (bobs,), (6,), ((9000, 9000),), id="to bob")
        rule_all((alice, bob), to_bob)
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(ConnectionRefusedError):
                await loop.sock_connect(turned_away, ours.getsockname())
            await loop.sock_connect(caller, theirs.getsockname())
            called, _ = await loop.sock_accept(theirs)
            with called:
                await exchange(caller, called)
                rule_all((alice, bob), to_bob._replace(ports=((9001, 9001),)), to_bob)
                await exchange(caller, called)
                rule_all((alice, bob), to_bob._replace(allow=False))
                assert await is_reset(caller)
                assert await is_reset(called)
        assert alice.links.hits().rules == {"to bob": 2}
