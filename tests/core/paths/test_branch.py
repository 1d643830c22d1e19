"""What waits for its certificate on one link."""

from pulse.core.paths.branch import MOST_HELD, Branch, open_branch
from pulse.core.paths.noderecord import NodeRecord, read_record
from pulse.core.paths.outbox import Shelf
from pulse.core.types import LinkId
from tests.core.paths.records import cert, other_bytes, record


def branch() -> Branch:
    return open_branch(LinkId(1), cert(1).node_id, Shelf(lambda _: None, lambda _: None), 5.0)


def waiting(link: Branch, *records: NodeRecord) -> list[bytes]:
    for each in records:
        link.hold(read_record(each.data))
    return [each.data for each in link.held.values()]


def test_a_link_begins_as_part_of_the_tree() -> None:
    link = branch()
    assert link.eager
    assert link.opened_at == 5.0


def test_of_one_node_the_record_that_would_win_waits() -> None:
    for order in ((record(2), record(2, 2)), (record(2, 2), record(2))):
        assert waiting(branch(), *order) == [record(2, 2).data]
    lower, higher = other_bytes(3)
    for order in ((lower, higher), (higher, lower)):
        assert waiting(branch(), *order) == [lower.data]


def test_the_one_that_waits_longest_gives_way() -> None:
    link = branch()
    records = [record(place) for place in range(1, MOST_HELD + 2)]
    assert waiting(link, *records) == [each.data for each in records[1:]]
