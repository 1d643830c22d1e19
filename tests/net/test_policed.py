"""Rules in force: what an application of ours hears of them, what is counted, and what services are told."""

import asyncio
import socket

import pytest

from pulse.core.effects import PolicyRule
from pulse.core.facts import FlowDenied, SessionUp
from pulse.net.links import RuleHits
from tests.loopback import PATIENCE, node
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
