"""Comparing: who begins, what is answered, and how the difference travels."""

from random import Random

from pulse.core.effects import Effect, SendMessage
from pulse.core.messages import Digest, Have, NodeRecords, Objects, decode
from pulse.core.paths.branch import Branch
from pulse.core.paths.exchange import FEW, INTERVAL, SETTLING, Exchange
from pulse.core.paths.noderecord import HANDLE_BYTES, certificate_hash, read_id
from pulse.core.paths.outbox import Shelf
from pulse.core.paths.plumtree import Plumtree
from pulse.core.paths.recordtable import RecordTable
from pulse.core.paths.wants import BULK_BURST, LATE, Wants
from pulse.core.types import LinkId, NodeId
from tests.authority import NOW
from tests.core.paths.records import cert, record

LOWEST, HIGHEST = NodeId("0" * 64), NodeId("f" * 64)
ALL = bytes(range(256))


class Side:
    """One node that compares."""

    def __init__(self, *places: int, me: NodeId = LOWEST) -> None:
        self.table = RecordTable(me)
        certificates = {certificate_hash(cert(place)): cert(place) for place in range(1, 60)}
        self.tree = Plumtree(Shelf(self.table.get, certificates.get), Random(1))
        self.wants = Wants(HANDLE_BYTES, lambda id12: self.table.holds(*read_id(id12)))
        self.exchange = Exchange(me, self.table, self.tree, self.wants, Random(1))
        self.now = 0.0
        for place in places:
            self.table.merge(record(place), NOW)

    def linked(self, node: NodeId = HIGHEST, link: int = 1) -> Branch:
        branch = self.tree.link_opened(LinkId(link), node, self.now)
        self.opening = sent(self.exchange.link_opened(branch, self.now))
        return branch


def sent(effects: list[Effect]) -> list[object]:
    return [decode(each.payload) for each in effects if isinstance(each, SendMessage)]


def test_at_link_up_the_lower_id_compares() -> None:
    side = Side(1)
    side.linked(HIGHEST)
    assert side.opening == [Digest(side.table.summary.packed())]
    higher = Side(1, me=HIGHEST)
    higher.linked(LOWEST)
    assert higher.opening == []


def test_who_holds_the_same_says_nothing() -> None:
    side = Side(1, 2)
    assert side.exchange.digest_received(side.linked(), Side(2, 1).table.summary.packed(), 0.0) == []


def test_an_answer_names_all_that_is_in_the_buckets_that_differ() -> None:
    side = Side(1, 2)
    (answer,) = sent(side.exchange.digest_received(side.linked(), Side(1).table.summary.packed(), 0.0))
    assert answer == Have(record(2).id12, bytes([int(cert(2).node_id[:2], 16)]))


def test_a_new_neighbour_gets_the_few_it_lacks_and_the_certificates_it_never_saw() -> None:
    side = Side(1, 2)
    side.table.merge(record(3, 2), NOW)
    told = sent(side.exchange.answered(side.linked(), Have(record(3).id12 + record(1).id12, ALL), 0.0))
    assert [type(each) for each in told] == [Objects, NodeRecords]
    assert isinstance(told[0], Objects)
    assert [each.data for each in told[0].items] == [cert(2).der]
    assert isinstance(told[1], NodeRecords)
    assert set(told[1].records) == {record(2).data, record(3, 2).data}


def test_many_are_offered() -> None:
    side = Side(*range(1, FEW + 2))
    (offer,) = sent(side.exchange.answered(side.linked(), Have(b"", ALL), 0.0))
    assert isinstance(offer, Have)
    assert len(offer.ids) == 12 * (FEW + 1)
    assert offer.buckets == b""


def test_later_even_one_is_only_offered_for_it_may_be_on_its_way() -> None:
    side = Side(1)
    branch = side.linked()
    assert sent(side.exchange.answered(branch, Have(b"", ALL), SETTLING)) == [Have(record(1).id12)]


def test_what_we_lack_is_asked_for_at_once_from_a_new_neighbour_and_later_only_if_it_does_not_come() -> None:
    for when, wait in ((0.0, 0.0), (SETTLING, LATE)):
        side = Side(1)
        branch = side.linked()
        side.exchange.answered(branch, Have(record(1).id12 + record(2).id12, ALL), when)
        assert side.wants.deadline() == when + wait
        (asking,) = side.wants.due(when + wait)
        assert (asking.keys, asking.in_bulk) == ([record(2).id12], False)


def test_much_is_asked_for_in_bulk() -> None:
    side = Side()
    side.exchange.answered(side.linked(), Have(b"".join(record(place).id12 for place in range(1, 40)), ALL), 0.0)
    at_once, later = side.wants.due(0.0), side.wants.due(1.0)
    assert all(asking.in_bulk for asking in [*at_once, *later])
    assert sum(len(asking.keys) for asking in at_once) <= BULK_BURST + 1
    assert sum(len(asking.keys) for asking in [*at_once, *later]) == 39


def test_an_answer_counts_once() -> None:
    side = Side(1)
    branch = side.linked()
    assert side.exchange.answered(branch, Have(b"", ALL), 0.0) != []
    assert side.exchange.answered(branch, Have(b"", ALL), 0.0) == []


def test_equal_names_and_other_content_are_shown() -> None:
    side = Side(1, 2)
    branch = side.linked()
    bucket = bytes([int(cert(2).node_id[:2], 16)])
    (shown,) = sent(side.exchange.answered(branch, Have(record(2).id12, bucket), 0.0))
    assert shown == NodeRecords([record(2).data])


def test_what_changed_since_we_compared_is_no_such_clash() -> None:
    side = Side(1)
    branch = side.linked()
    side.table.merge(record(2), NOW)
    bucket = bytes([int(cert(2).node_id[:2], 16)])
    assert side.exchange.answered(branch, Have(record(2).id12, bucket), 0.0) == []


def test_each_minute_it_is_the_turn_of_the_neighbour_compared_with_longest_ago() -> None:
    side = Side(1, me=HIGHEST)
    assert side.exchange.deadline() is None
    for link in (1, 2, 3):
        side.linked(LOWEST, link)
    turns = []
    for _ in range(6):
        due = side.exchange.deadline()
        assert due is not None
        assert side.exchange.tick(due - 0.001) == []
        (said,) = side.exchange.tick(due)
        assert isinstance(said, SendMessage)
        assert side.exchange.deadline() == due + INTERVAL
        turns.append(said.link)
    assert turns == [1, 2, 3, 1, 2, 3]


def test_without_links_it_sleeps_until_there_is_one() -> None:
    side = Side(1)
    side.linked()
    side.tree.link_closed(LinkId(1), 0.0)
    assert side.exchange.tick(INTERVAL) == []
    assert side.exchange.deadline() is None
    side.linked()
    assert side.exchange.deadline() is not None
