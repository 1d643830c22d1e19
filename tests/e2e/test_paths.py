"""Paths come and go under open connections: none is made anew, every byte arrives, whoever is in between.

Invariant: the stream is one TCP connection, which its receiver takes once.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pulse.core.types import SHORT_ID
from pulse.lab import stream
from pulse.lab.beat import beating
from pulse.lab.lab import Lab
from pulse.lab.topologies import RELAY, TWO_RELAYS
from tests.e2e.mesh import Mesh, Node, bring_up_relay, bring_up_two_relays
from tests.namespace import require_root

PACE = 40.0
BEAT = 0.005
"""Seconds between two datagrams of which none may get lost."""


@pytest.fixture
def behind_one() -> Iterator[Mesh]:
    """Two nodes behind one relay, which log all they do."""
    require_root()
    with Lab(RELAY) as lab:
        made = bring_up_relay(lab, "--log-level", "debug")
        yield made
        assert made.errors == []


@pytest.fixture(scope="module")
def behind_two() -> Iterator[Mesh]:
    """Two nodes behind either of two relays, one of them the CA, that log all; each test leaves the mesh whole."""
    require_root()
    with Lab(TWO_RELAYS) as lab:
        made = bring_up_two_relays(lab, "--log-level", "debug")
        yield made
        assert made.errors == []


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_a_connection_goes_from_relay_to_direct_and_back_to_the_relay(behind_one: Mesh, family: str) -> None:
    lab, left, right = behind_one.lab, behind_one["left"], behind_one["right"]
    assert left.is_relayed(right)
    under_way = stream.begin(left.host, right.host, getattr(right, family), mbit=PACE)
    before = [sessions(left, right), sessions(right, left)]

    lab.join_network("left", "right")
    left.wait_direct(right)
    right.wait_direct(left)
    under_way.wait_moving()

    lab.cut("left", "right")
    left.wait_relayed(right)
    right.wait_relayed(left)
    under_way.wait_moving()

    assert under_way.finish().hash_equal
    assert [said[-1] for said in before] == ["session up", "session up"]
    assert [sessions(left, right), sessions(right, left)] == before


def test_a_direct_connection_outlives_the_relay_it_began_over(behind_one: Mesh) -> None:
    left, right = behind_one["left"], behind_one["right"]
    under_way = stream.begin(left.host, right.host, right.v4, mbit=PACE)

    behind_one.lab.join_network("left", "right")
    left.wait_direct(right)
    right.wait_direct(left)
    behind_one["relay"].kill()
    under_way.wait_moving(8 << 20)

    assert under_way.finish().hash_equal


def test_a_relay_that_is_stopped_is_left_before_it_goes_and_nothing_is_lost(behind_two: Mesh) -> None:
    left, right = behind_two["left"], behind_two["right"]

    with beating(left.host, right.host, right.v4, BEAT) as out, beating(right.host, left.host, left.v4, BEAT) as back:
        for name, flags in (("relay", ("--ca", "--scribe")), ("spare", ())):
            behind_two[name].stop()
            for beat in (out, back):
                beat.wait_more()
            behind_two[name].start(*flags)
            behind_two.wait_whole()

    assert (out.lost, back.lost) == (0, 0)


def test_a_session_goes_from_relay_to_relay_as_either_is_killed_and_on_to_a_direct_path(behind_two: Mesh) -> None:
    left, right = behind_two["left"], behind_two["right"]
    under_way = stream.begin(left.host, right.host, right.v4, mbit=PACE)
    before = [sessions(left, right), sessions(right, left)]

    for name, other, flags in (("relay", "spare", ("--ca", "--scribe")), ("spare", "relay", ())):
        behind_two[name].kill()
        under_way.wait_moving(2 << 20)
        left.wait_relayed(right, behind_two[other])
        behind_two[name].start(*flags)
        behind_two.wait_whole()
    behind_two.lab.join_network("left", "right")
    left.wait_direct(right)
    right.wait_direct(left)
    under_way.wait_moving()

    assert under_way.finish().hash_equal
    assert [said[-1] for said in before] == ["session up", "session up"]
    assert [sessions(left, right), sessions(right, left)] == before
    behind_two.lab.cut("left", "right")
    left.wait_relayed(right)
    right.wait_relayed(left)
    behind_two.wait_whole()


def test_a_relay_that_is_there_and_silent_is_gone_round(behind_two: Mesh) -> None:
    left, right, spare = behind_two["left"], behind_two["right"], behind_two["spare"]
    under_way = stream.begin(left.host, right.host, right.v4, mbit=PACE)

    with stopped(behind_two["relay"]):
        under_way.wait_moving(2 << 20)
        left.wait_relayed(right, spare)
    behind_two.wait_whole()

    assert under_way.finish().hash_equal


def sessions(node: Node, other: Node) -> list[str]:
    """What its log has of sessions with the other that came up or went."""
    who = other.status().node.id[:SHORT_ID]
    lines = [line for line in node.log.splitlines() if f"node={who}" in line]
    return [event for line in lines for event in ("session up", "session down") if f" {event}" in line]


@contextmanager
def stopped(node: Node) -> Iterator[None]:
    """Meanwhile the daemon does not run, though its machine is there."""
    daemon = node.pid
    os.kill(daemon, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(daemon, signal.SIGCONT)
