"""The summary depends on what is held, not on how it came to be."""

from hypothesis import given
from hypothesis import strategies as st

from pulse.core.paths.digest import Summary, bucket_of
from pulse.core.paths.noderecord import NodeRecord
from tests.core.paths.records import cert, record

RECORDS = [record(place, seq) for place in range(1, 6) for seq in (1, 2)]


@given(st.permutations(RECORDS), st.sets(st.sampled_from(range(len(RECORDS)))))
def test_order_and_detours_leave_no_trace(order: list[NodeRecord], kept: set[int]) -> None:
    roundabout, straight = Summary(), Summary()
    for each in order:
        roundabout.added(each)
    for each in order:
        if RECORDS.index(each) not in kept:
            roundabout.removed(each)
    for place in sorted(kept):
        straight.added(RECORDS[place])
    assert roundabout.packed() == straight.packed()
    assert roundabout.differing(straight.packed()) == b""


def test_a_difference_shows_in_the_bucket_of_its_node() -> None:
    ours, theirs = Summary(), Summary()
    assert ours.packed() == bytes(2048)
    ours.added(record(1))
    theirs.added(record(1))
    theirs.added(record(2))
    ours.added(record(2, 2))
    assert ours.differing(theirs.packed()) == bytes([bucket_of(cert(2).node_id)])


def test_the_bucket_is_the_first_byte_of_the_id() -> None:
    assert bucket_of(cert(1).node_id) == bytes.fromhex(cert(1).node_id)[0]
