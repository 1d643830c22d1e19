"""A cable that loses packets: with `--fec` at both ends they are repaired, with it at one end records are plain.

Invariant: whatever gets lost, every byte arrives as it was sent.
"""

from collections.abc import Iterator

import pytest

from pulse.lab import stream
from pulse.lab.host import wait_until
from pulse.lab.impairment import Impairment
from pulse.lab.lab import Lab
from pulse.lab.transfer import measure
from pulse.schemas.node import FecInfo
from tests.e2e.mesh import PATIENCE, Node, Pair, bring_up
from tests.namespace import require_root

LOSSY = Impairment(loss_percent=2)
SIZE = 16 << 20


@pytest.fixture(scope="module")
def lossy() -> Iterator[Pair]:
    """A CA and a member, both with --fec, on a cable that loses packets both ways."""
    require_root()
    with Lab() as built:
        pair = bring_up(built, "--fec", "--log-level", "debug")
        built.impair(0, LOSSY)
        yield pair
        assert pair.errors == []


def fec(node: Node, other: Node) -> FecInfo:
    """What a node tells of the packets it exchanges with another."""
    told = node.sees(other).fec
    assert told is not None
    return told


def test_what_gets_lost_is_repaired_once_it_is_known_how_much_that_is(lossy: Pair) -> None:
    assert fec(lossy.member, lossy.ca).parity == 0
    before = stream.begin(lossy.member.host, lossy.ca.host, lossy.ca.v4, mbit=20)
    wait_until(lambda: fec(lossy.member, lossy.ca).parity > 0, "losses are known", PATIENCE)
    assert before.finish().hash_equal

    repaired = fec(lossy.ca, lossy.member).repaired
    assert measure(lossy.member.host, lossy.ca.host, lossy.ca.v4, SIZE).hash_equal
    sender, receiver = fec(lossy.member, lossy.ca), fec(lossy.ca, lossy.member)
    assert receiver.repaired > repaired
    assert 0 < receiver.parity_in <= sender.parity_out
    assert lossy.ca.reaches(lossy.member)


def test_a_peer_that_was_started_without_it_gets_plain_records(lossy: Pair) -> None:
    """The last of this module: the member is another from here on."""
    lossy.member.stop()
    lossy.member.start()
    lossy.member.wait_linked(lossy.ca)
    lossy.ca.wait_linked(lossy.member)
    before, said = fec(lossy.ca, lossy.member), lossy.ca.log.count("path protected")

    under_way = stream.begin(lossy.ca.host, lossy.member.host, lossy.member.v4, mbit=20)
    wait_until(lambda: lossy.ca.log.count("path protected") > said, "losses are known", PATIENCE)
    under_way.wait_moving()
    assert under_way.finish().hash_equal

    after = fec(lossy.ca, lossy.member)
    assert (after.parity, after.parity_out, after.repaired) == (0, before.parity_out, before.repaired)
    assert lossy.member.sees(lossy.ca).fec is None
    assert lossy.member.status().drops.get("unknown_kind", 0) == 0
