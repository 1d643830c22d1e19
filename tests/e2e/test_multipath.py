"""Two relays between two nodes that reach each other over them alone: flows over both, one pinned, records over both.

Invariant: nothing of the kernel passes anything on, so what arrives went over a relay's daemon.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from pulse.core.network.patterns import ANYBODY
from pulse.core.network.policy import Rule
from pulse.lab.host import wait_until
from pulse.lab.impairment import Impairment
from pulse.lab.lab import Lab
from pulse.lab.topologies import TWO_RELAYS
from tests.e2e.mesh import PATIENCE, Mesh, Node, bring_up_two_relays
from tests.namespace import require_root

RATE: Final = 100.0
"""Mbit/s."""
FLOWS: Final = 16
PINGS: Final = 200

RULES: Final = (
    Rule("1", [ANYBODY], [ANYBODY], allow=True, protocols=[1], redundant=True),
    Rule("2", [ANYBODY], [ANYBODY], allow=True),
)
"""All is allowed; pings over IPv4 go twice, those over IPv6 do not."""

LOSSY: Final = """
table inet lossy {
    chain out {
        type filter hook output priority 0
        udp length 500-600 numgen random mod 100 < 30 drop
    }
}
"""
"""Of frames with pings of 400 bytes in them; probes are smaller, so nobody is suspect."""


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    require_root()
    with Lab(TWO_RELAYS) as lab:
        made = bring_up_two_relays(lab, rules=RULES)
        wait_spread(made)
        yield made
        assert made.errors == []


@contextmanager
def limited(mesh: Mesh) -> Iterator[None]:
    """Meanwhile no more than `RATE` gets from either relay to the right one, or back."""
    for network in (1, 3):
        mesh.lab.impair(network, Impairment(rate_mbit=RATE))
    try:
        yield
    finally:
        for network in (1, 3):
            mesh.lab.impair(network)


@contextmanager
def listening(node: Node) -> Iterator[None]:
    server = node.host.popen(["iperf3", "--server", "--forceflush"])
    wait_until(lambda: "listening" in server.text(), "iperf3 listens")
    try:
        yield
    finally:
        server.stop()


@contextmanager
def pinned(node: Node, other: Node, relay: Node) -> Iterator[None]:
    node.host.pulse("pin", other.host.name, relay.host.name)
    try:
        yield
    finally:
        node.host.pulse("unpin", other.host.name)


@contextmanager
def losing(relay: Node) -> Iterator[None]:
    """Meanwhile its machine loses some of what its daemon passes on."""
    relay.host.run(["nft", "-f", "-"], stdin=LOSSY)
    try:
        yield
    finally:
        relay.host.run(["nft", "delete", "table", "inet", "lossy"])


def relays(mesh: Mesh) -> tuple[Node, Node]:
    return mesh["relay"], mesh["spare"]


def exchanged(here: Node, address: str, *flags: str) -> dict[str, Any]:
    """What several flows came to, as the receiver counted."""
    command = ["iperf3", "-c", address, "-P", str(FLOWS), "--json", *flags]
    decoded: dict[str, Any] = json.loads(here.host.run(command).stdout)["end"]
    return decoded


def flows_of(mesh: Mesh, *flags: str) -> tuple[int, int, list[int]]:
    """Small datagrams of several flows from left to right: how many, how many came late, and bytes over each relay."""
    left, right = mesh["left"], mesh["right"]
    before = [sent(relay) for relay in relays(mesh)]
    with listening(right):
        streams = exchanged(left, right.v4, "-u", "-b", "3M", "-l", "400", *flags)["streams"]
    took = [sent(relay) - was for relay, was in zip(relays(mesh), before, strict=True)]
    packets, late = (sum(stream["udp"][each] for stream in streams) for each in ("packets", "out_of_order"))
    return packets, late, took


def wait_spread(mesh: Mesh) -> None:
    """Wait until both relays carry flows: of a new link others hear some seconds after it came up."""
    wait_until(lambda: min(flows_of(mesh, "-n", "40K")[2]) > 15_000, "both relays carry flows", PATIENCE)


def sent(relay: Node) -> int:
    """Bytes its machine has sent to anybody."""
    told = relay.host.run(["sh", "-c", "cat /sys/class/net/eth*/statistics/tx_bytes"]).stdout
    return sum(map(int, told.split()))


def lost(here: Node, address: str) -> int:
    """How many of 200 pings were not answered."""
    said = here.host.run(["ping", "-q", "-c", str(PINGS), "-i", "0.005", "-W", "1", "-s", "400", address], check=False)
    (answered,) = re.findall(r"(\d+) received", said.stdout)
    return PINGS - int(answered)


def test_a_pin_is_followed_shown_and_taken_back(mesh: Mesh) -> None:
    left, right = mesh["left"], mesh["right"]
    for relay in relays(mesh):
        name = relay.host.name
        assert left.host.pulse("pin", "right", name).stdout == f"right is pinned over {name}\n"
        (line,) = (line for line in left.host.pulse("status").stdout.splitlines() if line.startswith("right "))
        assert f"{name} (pinned)" in line
        assert [hop.name for hop in left.trace(right).hops] == [name, "right"]
        assert left.reaches(right)

    by_id = left.sees(right).id[:8]
    assert left.host.pulse("unpin", by_id).stdout == "right is reached by the best path again\n"
    assert left.sees(right).pinned is None


@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [
        ("pin rihgt spare", 4, 'no node is called "rihgt". Did you mean right? See the nodes: pulse status'),
        ("pin right left", 3, "left is this node itself. For its own link to right: pulse pin right --direct"),
        ("pin right", 2, "pulse pin wants one way: pulse pin right <via>, or pulse pin right --direct."),
        ("pni right spare", 2, "Did you mean: pulse pin?"),
        ("unpin right", 4, "right is not pinned (no node is). See: pulse status"),
    ],
)
def test_what_is_mistyped_is_refused_with_the_next_step(mesh: Mesh, typed: str, code: int, said: str) -> None:
    done = mesh["left"].tries(*typed.split())

    assert done.code == code
    assert said in done.stderr


def test_a_rule_makes_a_lossy_relay_harmless(mesh: Mesh) -> None:
    left, right, spare = mesh["left"], mesh["right"], mesh["spare"]
    with losing(spare), pinned(left, right, spare):
        once, twice = lost(left, right.v6), lost(left, right.v4)

    assert once >= PINGS // 10
    assert twice <= PINGS // 20
    assert right.drops["duplicate"] >= PINGS // 3
    assert "replayed" not in right.drops


def test_no_flow_is_reordered_though_others_take_another_path(mesh: Mesh) -> None:
    packets, late, took = flows_of(mesh, "-t", "2")

    assert packets > 10_000
    # None, unless a table changed meanwhile.
    assert late <= packets // 1000
    assert min(took) > 500_000


def test_several_flows_over_two_limited_paths_fill_both(mesh: Mesh) -> None:
    """How much more that is than one path carries: bench/multipath.py."""
    left, right = mesh["left"], mesh["right"]
    before = [sent(relay) for relay in relays(mesh)]
    with limited(mesh), listening(right):
        exchanged(left, right.v4, "-C", "cubic", "-t", "2")
    took = [sent(relay) - was for relay, was in zip(relays(mesh), before, strict=True)]

    assert min(took) > sum(took) / 4


def test_a_pin_waits_for_its_relay_over_a_restart_of_either(mesh: Mesh) -> None:
    left, right, spare = mesh["left"], mesh["right"], mesh["spare"]
    instead = "not linked with spare at present, so the best path is used"
    left.host.pulse("pin", "right", "spare")
    spare.stop()
    wait_until(lambda: left.is_relayed(right, mesh["relay"]), "the other relay is used", PATIENCE)
    assert f"right: pinned over spare; {instead}" in left.host.pulse("status").stdout
    left.wait_reaches(right)

    left.stop()
    left.start()
    spare.start()
    wait_until(lambda: (pin := left.sees(right).pinned) and pin.followed, "the pin is followed again", PATIENCE)
    assert left.is_relayed(right, spare)
    left.wait_reaches(right)
