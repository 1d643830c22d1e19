"""A member is shut out in the middle of its traffic, and stays out whatever it does and whoever restarts.

Invariant: whoever was on the left is revoked once, before the tests of what follows from it.
"""

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pulse.core.types import SHORT_ID
from pulse.errors import Conflict, Refused
from pulse.lab import stream
from pulse.lab.beat import beating
from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from pulse.lab.topologies import RELAY
from pulse.store import identity
from tests.e2e.mesh import PATIENCE, Mesh, Node, bring_up_relay
from tests.namespace import require_root

SILENCE = 1.0
"""Seconds without any of five hundred beats a second: the flow has ended."""


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    """A CA that is a relay, and two members behind it."""
    require_root()
    with Lab(RELAY) as lab:
        made = bring_up_relay(lab)
        yield made
        assert made.errors == []


@pytest.fixture(scope="module")
def left_out(mesh: Mesh) -> Node:
    """Who was on the left, revoked on the CA while it had a TCP stream and a beat of datagrams to the right."""
    left, right = mesh["left"], mesh["right"]
    node, there = left.status().node.id, right.status().node
    under_way = stream.begin(left.host, right.host, there.v4, mbit=10)
    with beating(left.host, right.host, there.v6) as beat:
        beat.wait_more()
        under_way.wait_moving()
        mesh["relay"].host.pulse("revoke", "--node", node)
        wait_until(lambda: is_still(lambda: len(beat.arrivals)), "no beat arrives any more", PATIENCE)
        assert is_still(lambda: max(told.size for told in under_way.told()))
    for end in (under_way.sender, under_way.receiver):
        end.stop(signal.SIGKILL)
    return left


def is_still(count: Callable[[], int]) -> bool:
    """True if it does not grow for a while."""
    before = count()
    time.sleep(SILENCE)
    return count() == before


def shown(node: Node) -> list[str]:
    """The names of all others it knows."""
    return [row.name for row in node.status().peers]


def test_a_plain_member_revokes_nobody_and_hears_who_may(mesh: Mesh) -> None:
    left, right = mesh["left"], mesh["right"]

    tried = right.tries("revoke", "--node", "left")

    assert (tried.code, "neither the CA nor the scribe" in tried.stderr) == (Refused.exit_code, True), tried
    assert f"Run it on relay ({mesh['relay'].status().node.id[:SHORT_ID]})" in tried.stderr
    assert left.reaches(right)


def test_the_last_ca_is_not_revoked_by_mistake(mesh: Mesh) -> None:
    relay = mesh["relay"]

    tried = relay.tries("revoke", "--node", relay.status().node.id)

    assert (tried.code, "last CA" in tried.stderr, "--force" in tried.stderr) == (Refused.exit_code, True, True), tried
    assert relay.status().well


def test_a_revoked_member_is_shown_nowhere_and_all_others_are_well(mesh: Mesh, left_out: Node) -> None:
    relay, right = mesh["relay"], mesh["right"]

    wait_until(lambda: shown(relay) == ["right"], "the CA shows it no more", PATIENCE)
    wait_until(lambda: shown(right) == ["relay"], "the other member shows it no more", PATIENCE)
    assert right.reaches(relay)
    assert (relay.status().well, right.status().well) == (True, True)


def test_it_knows_itself_and_reaches_nobody(mesh: Mesh, left_out: Node) -> None:
    wait_until(lambda: "this node is revoked" in left_out.status().sentence, "it knows", PATIENCE)

    assert [row.name for row in left_out.status().peers if row.link != "-"] == []
    assert left_out.pings(mesh["relay"].v4).code != 0


def test_there_is_no_way_back_for_its_key(mesh: Mesh, left_out: Node, tmp_path: Path) -> None:
    relay, key = mesh["relay"], identity.load(left_out.host.data).key
    elsewhere = Node(replace(left_out.host, directory=tmp_path))
    elsewhere.host.data.mkdir(mode=0o700)
    identity.join_key(elsewhere.host.data, key)

    tried = elsewhere.tries("join", elsewhere.way_to(relay), "--token", relay.token())

    assert (tried.code, "revoked" in tried.stderr) == (Refused.exit_code, True), tried
    assert not (elsewhere.host.data / "identity").exists()


def test_revoked_twice_is_a_mistake_that_is_named(mesh: Mesh, left_out: Node) -> None:
    tried = mesh["relay"].tries("revoke", "--node", left_out.status().node.id)

    assert (tried.code, "revoked already" in tried.stderr) == (Conflict.exit_code, True), tried


def test_it_is_still_out_once_all_have_restarted(mesh: Mesh, left_out: Node) -> None:
    relay, right = mesh["relay"], mesh["right"]
    for node in (left_out, right, relay):
        node.kill()
    relay.start("--ca", "--scribe")
    right.start()
    left_out.start()
    right.wait_reaches(relay)

    refused = relay.log.count("refused a link")
    wait_until(lambda: relay.log.count("refused a link") > refused, "it knocks and is refused", PATIENCE)
    assert "this node is revoked" in left_out.status().sentence
    assert (shown(relay), shown(right)) == (["right"], ["relay"])
    assert [row.name for row in left_out.status().peers if row.link != "-"] == []
