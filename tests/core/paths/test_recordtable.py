"""The table holds of each node the one record that wins, whatever came first."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.paths.noderecord import NodeRecord, sign_record
from pulse.core.paths.recordtable import RecordTable
from pulse.core.trust.signed import Comparison
from tests.authority import NOW, key
from tests.core.paths.records import CA, cert, machine, other_bytes, record

ME = cert(1).node_id
POOL = [record(place, seq) for place in (2, 3, 4) for seq in (1, 2, 3)] + [*other_bytes(2, 3)]


def put(table: RecordTable, *records: NodeRecord) -> None:
    for each in records:
        table.merge(each, NOW)


def held(table: RecordTable) -> set[bytes]:
    return {each.data for each in table.all()}


@given(st.lists(st.sampled_from(POOL), max_size=30), st.randoms())
def test_merging_is_commutative_and_idempotent(some: list[NodeRecord], random: object) -> None:
    one, other = RecordTable(ME), RecordTable(ME)
    put(one, *some)
    put(other, *sorted(some * 2, key=lambda _: random.random()))  # type: ignore[attr-defined]
    assert held(one) == held(other)
    assert one.summary.packed() == other.summary.packed()
    naive: dict[str, NodeRecord] = {}
    for each in some:
        best = naive.get(each.node, each)
        naive[each.node] = min(best, each, key=lambda rival: (-rival.boot, -rival.seq, rival.hash))
    assert held(one) == {each.data for each in naive.values()}


def test_a_higher_boot_count_beats_any_seq() -> None:
    table = RecordTable(ME)
    put(table, record(2, 900, boot=1))
    assert table.merge(record(2, 1, boot=2), NOW).comparison is Comparison.NEWER
    assert table.merge(record(2, 901, boot=1), NOW).comparison is Comparison.OLDER
    assert table.holds(cert(2).addresses.v4.packed, (1, 999))
    assert not table.holds(cert(2).addresses.v4.packed, (2, 2))
    assert not table.holds(cert(3).addresses.v4.packed, (0, 0))


def test_two_contents_under_one_number_are_an_alarm() -> None:
    lower, higher = other_bytes(2)
    table = RecordTable(ME)
    put(table, higher)
    assert table.merge(lower, NOW).comparison is Comparison.CLASH_THEIRS
    assert table.merge(higher, NOW).comparison is Comparison.CLASH_OURS
    assert table.get(cert(2).node_id) == lower


def test_of_those_under_one_address_the_one_certified_first_stays() -> None:
    rivals = [(CA.certificate(name, addresses=cert(2).addresses), since) for name, since in (("x", 3.0), ("y", 1.0))]
    made = [
        (sign_record(key(name), rival, boot=1, seq=1), since) for name, (rival, since) in zip("xy", rivals, strict=True)
    ]
    for order in permutations([*made, (record(2), 2.0)]):
        table = RecordTable(ME)
        for each, since in order:
            table.merge(each, since)
        assert held(table) == {made[1][0].data}
        assert table.at(cert(2).addresses.v4.packed) == made[1][0]


def test_a_node_whose_address_changed_is_found_at_the_new_one() -> None:
    moved = CA.certificate(machine(2), addresses=cert(9).addresses)
    table = RecordTable(ME)
    put(table, record(2), sign_record(key(machine(2)), moved, boot=1, seq=2))
    assert table.at(cert(2).addresses.v4.packed) is None
    found = table.at(cert(9).addresses.v4.packed)
    assert found is not None
    assert found.node == cert(2).node_id


def test_what_was_forgotten_leaves_no_trace() -> None:
    table = RecordTable(ME)
    put(table, record(2))
    assert table.forget(cert(2).node_id)
    assert not table.forget(cert(2).node_id)
    assert table.at(cert(2).addresses.v4.packed) is None
    assert table.summary.packed() == bytes(2048)


@pytest.mark.parametrize("gone", [2, 3])
def test_room_is_made_only_by_who_is_unreachable_and_never_by_us(gone: int) -> None:
    table = RecordTable(ME, most=3)
    put(table, record(1), record(2), record(3))
    table.node_expired(ME)
    refused = table.merge(record(4), NOW)
    assert (refused.taken, refused.forgotten) == (False, None)
    table.node_expired(cert(9).node_id)
    table.node_expired(cert(gone).node_id)
    taken = table.merge(record(4), NOW)
    assert (taken.taken, taken.forgotten) == (True, cert(gone).node_id)
    assert len(table.all()) == 3
    assert table.merge(record(1, 2), NOW).taken


def test_only_the_buckets_asked_for_are_looked_into() -> None:
    table = RecordTable(ME)
    put(table, *(record(place) for place in range(2, 8)))
    bucket = int(cert(3).node_id[:2], 16)
    assert record(3) in [*table.inside([bucket])]
    assert [*table.inside([])] == []
    assert len([*table.inside(range(256))]) == 6
