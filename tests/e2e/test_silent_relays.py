"""Relays that swallow what they should pass on while short probes are answered: traffic finds the other one by itself.

Invariant: the hole is in the relay's kernel, behind a daemon that knows nothing of it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
import pytest

from pulse.lab import stream
from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from pulse.lab.topologies import TWO_RELAYS
from pulse.lab.transfer import measure
from tests.e2e.mesh import PATIENCE, Mesh, Node, bring_up_two_relays
from tests.namespace import require_root

PACE: Final = 20.0
SIZE: Final = 4 << 20
LOOK: Final = 0.5
"""Seconds in which a relay in use passes on many hundreds of large packets."""

BIG: Final = "meta l4proto { tcp, udp } meta length > 640"
"""What carries data. Probes, acknowledgements and words of sessions are smaller.

TCP is meant too, or a WebSocket would come up through the hole after ten seconds, and carry the traffic rightly.
"""

FRAMES: Final = "@th,64,8 0x21 udp length != 69"
"""Whatever has the first byte of a frame, but for link probes, which alone are that long."""

SCALES = f"""
table inet scales {{
    counter big {{ }}
    chain out {{
        type filter hook output priority -10
        {BIG} counter name big
    }}
}}
"""


@pytest.fixture
def mesh() -> Iterator[Mesh]:
    """Two nodes behind either of two relays, whose large packets are counted as they leave."""
    require_root()
    with Lab(TWO_RELAYS) as lab:
        made = bring_up_two_relays(lab)
        for relay in relays(made):
            relay.host.run(["nft", "-f", "-"], stdin=SCALES)
        yield made
        assert made.errors == []


def relays(mesh: Mesh) -> tuple[Node, Node]:
    return mesh["relay"], mesh["spare"]


def weighed(relay: Node) -> int:
    """How many large packets have left it."""
    listed = msgspec.json.decode(relay.host.run(["nft", "-j", "list", "counter", "inet", "scales", "big"]).stdout)
    return int(listed["nftables"][-1]["counter"]["packets"])


def carrier(mesh: Mesh) -> Node:
    """The relay that the traffic of now goes over: the only one in a while that passed much on."""
    found: list[Node] = []

    def alone() -> bool:
        before = [weighed(relay) for relay in relays(mesh)]
        time.sleep(LOOK)
        found[:] = [relay for relay, was in zip(relays(mesh), before, strict=True) if weighed(relay) > was + 100]
        return len(found) == 1

    wait_until(alone, "one relay carries the traffic", PATIENCE)
    return found[0]


@contextmanager
def swallowing(relay: Node, packets: str) -> Iterator[None]:
    """Meanwhile the relay's machine drops these packets on their way out to the ends."""
    hole = f"table inet hole {{\nchain out {{\ntype filter hook output priority 0\n{packets} drop\n}}\n}}\n"
    relay.host.run(["nft", "-f", "-"], stdin=hole)
    try:
        yield
    finally:
        relay.host.run(["nft", "delete", "table", "inet", "hole"])


@pytest.mark.parametrize("packets", [BIG, FRAMES], ids=["the large ones", "all frames"])
def test_traffic_moves_to_the_other_relay_when_the_one_in_use_swallows(mesh: Mesh, packets: str) -> None:
    left, right = mesh["left"], mesh["right"]
    under_way = stream.begin(left.host, right.host, right.v4, mbit=PACE)
    silent = carrier(mesh)
    (other,) = (relay for relay in relays(mesh) if relay is not silent)

    with swallowing(silent, packets):
        under_way.wait_moving(SIZE)
        assert carrier(mesh) is other
        assert under_way.finish().hash_equal
        assert measure(right.host, left.host, left.v4, SIZE).hash_equal
