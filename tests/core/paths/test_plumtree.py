"""The broadcast tree by itself: who gets the record, who its name, and how links change sides."""

from random import Random

from pulse.core.effects import Effect, SendMessage
from pulse.core.messages import Have, NodeRecords, Objects, Prune, decode
from pulse.core.paths.branch import Branch
from pulse.core.paths.noderecord import NodeRecord, certificate_hash
from pulse.core.paths.outbox import Shelf
from pulse.core.paths.plumtree import (
    CALM_BURST,
    CALM_RATE,
    GRAFT,
    GRAFT_AGAIN,
    MEASURED_FOR,
    NAMED_WITHIN,
    PRUNE_AGAIN,
    Journey,
    Plumtree,
)
from pulse.core.types import LinkId, NodeId
from tests.core.paths.records import cert, record

A, B, C = LinkId(1), LinkId(2), LinkId(3)
SOON = NAMED_WITHIN[1]


class Grove:
    """A tree with three links, and what it sent on each."""

    def __init__(self) -> None:
        self.records: dict[NodeId, NodeRecord] = {}
        certificates = {certificate_hash(cert(place)): cert(place) for place in range(1, 9)}
        self.tree = Plumtree(Shelf(self.records.get, certificates.get), Random(1))
        self.now = 100.0
        for link in (A, B, C):
            self.tree.link_opened(link, cert(link + 10).node_id, self.now)

    def lazy(self, *links: LinkId) -> None:
        for link in links:
            self.branch(link).eager = False

    def branch(self, link: LinkId) -> Branch:
        branch = self.tree.get(link)
        assert branch is not None
        return branch

    def taken(self, made: NodeRecord, source: LinkId | None = None, **more: bool) -> list[tuple[LinkId, object]]:
        self.records[made.node] = made
        journey = Journey(source, more.get("with_certificate", False), more.get("named_only", False))
        return sent(self.tree.record_taken(made, journey, self.now))

    def passed(self, seconds: float) -> list[tuple[LinkId, object]]:
        self.now += seconds
        return sent(self.tree.tick(self.now))


def sent(effects: list[Effect]) -> list[tuple[LinkId, object]]:
    return [(each.link, decode(each.payload)) for each in effects if isinstance(each, SendMessage)]


def test_eager_neighbours_get_the_record_and_lazy_ones_its_name() -> None:
    grove = Grove()
    grove.lazy(C)
    assert grove.taken(record(1), A) == [(B, NodeRecords([record(1).data]))]
    deadline = grove.tree.deadline()
    assert deadline is not None
    assert NAMED_WITHIN[0] <= deadline - grove.now <= SOON
    assert grove.passed(SOON) == [(C, Have(record(1).id12))]
    assert grove.tree.deadline() is None


def test_names_are_gathered_and_replaced_by_newer_ones() -> None:
    grove = Grove()
    grove.lazy(A, B, C)
    for made in (record(1), record(2), record(1, 2)):
        assert grove.taken(made, A) == []
    told = grove.passed(SOON)
    assert told == [(link, Have(record(1, 2).id12 + record(2).id12)) for link in (B, C)]


def test_who_sent_it_or_named_it_is_not_told_its_name() -> None:
    grove = Grove()
    grove.lazy(A, B, C)
    grove.taken(record(1), A)
    grove.taken(record(1, 2), B)
    assert grove.passed(SOON) == [(A, Have(record(1, 2).id12)), (C, Have(record(1, 2).id12))]


def test_a_record_forgotten_meanwhile_is_not_named() -> None:
    grove = Grove()
    grove.lazy(A, B, C)
    grove.taken(record(1))
    grove.records.clear()
    assert grove.passed(SOON) == []


def test_its_certificate_goes_before_a_record_that_brings_a_new_one() -> None:
    grove = Grove()
    told = grove.taken(record(1), A, with_certificate=True)
    assert [(link, type(message)) for link, message in told] == [
        (B, Objects),
        (B, NodeRecords),
        (C, Objects),
        (C, NodeRecords),
    ]


def test_what_came_in_bulk_goes_on_by_name() -> None:
    grove = Grove()
    assert grove.taken(record(1), A, named_only=True) == []
    assert grove.passed(SOON) == [(B, Have(record(1).id12)), (C, Have(record(1).id12))]


def test_in_a_rush_what_came_is_named_and_what_is_ours_goes_whole() -> None:
    grove = Grove()
    assert not grove.tree.is_rush(grove.now)
    for place in range(1, CALM_BURST + 2):
        grove.taken(record(place), A)
    assert grove.tree.is_rush(grove.now)
    grove.passed(SOON)
    assert grove.taken(record(98), A) == []
    assert grove.passed(SOON) == [(link, Have(record(98).id12)) for link in (B, C)]
    assert [link for link, _ in grove.taken(record(99))] == [A, B, C]
    assert not grove.tree.is_rush(grove.now + CALM_BURST / CALM_RATE)


def test_one_node_alone_makes_no_rush() -> None:
    grove = Grove()
    for seq in range(1, 10 * CALM_BURST):
        grove.taken(record(1, seq), A)
    assert not grove.tree.is_rush(grove.now)


def test_duplicates_make_a_link_lazy_and_are_told_so_once_a_second() -> None:
    grove = Grove()
    branch = grove.branch(B)
    assert sent(grove.tree.duplicate_received(branch, cert(1).node_id, grove.now)) == [(B, Prune())]
    assert not branch.eager
    assert grove.tree.duplicate_received(branch, cert(1).node_id, grove.now) == []
    assert sent(grove.tree.duplicate_received(branch, cert(1).node_id, grove.now + PRUNE_AGAIN)) == [(B, Prune())]


def test_of_those_who_speak_at_once_only_duplicates_of_the_lowest_id_count() -> None:
    grove = Grove()
    low, high = sorted((record(1), record(2)), key=lambda each: each.node)
    for made in (high, low, high):
        grove.taken(made, A)
    assert grove.tree.duplicate_received(grove.branch(B), high.node, grove.now) == []
    assert grove.branch(B).eager
    assert sent(grove.tree.duplicate_received(grove.branch(B), low.node, grove.now)) == [(B, Prune())]
    grove.now += MEASURED_FOR
    assert sent(grove.tree.duplicate_received(grove.branch(C), high.node, grove.now)) == [(C, Prune())]


def test_what_is_late_takes_one_link_into_the_tree_at_a_time() -> None:
    grove = Grove()
    grove.lazy(A, B)
    assert sent(grove.tree.record_late(grove.branch(A), grove.now)) == [(A, GRAFT)]
    assert grove.tree.record_late(grove.branch(B), grove.now) == []
    assert grove.tree.record_late(grove.branch(C), grove.now + GRAFT_AGAIN) == []
    assert sent(grove.tree.record_late(grove.branch(B), grove.now + GRAFT_AGAIN)) == [(B, GRAFT)]
    assert grove.branch(B).eager


def test_when_a_branch_breaks_all_other_links_are_tried() -> None:
    grove = Grove()
    grove.lazy(B)
    assert sent(grove.tree.link_closed(A, grove.now)) == [(B, GRAFT)]
    assert grove.taken(record(1)) == [(B, NodeRecords([record(1).data])), (C, NodeRecords([record(1).data]))]


def test_when_a_lazy_link_goes_nothing_changes() -> None:
    grove = Grove()
    grove.lazy(A, B)
    assert grove.tree.link_closed(A, grove.now) == []
    assert grove.tree.link_closed(LinkId(9), grove.now) == []
    assert not grove.branch(B).eager


def test_a_link_about_to_be_closed_gets_nothing() -> None:
    grove = Grove()
    grove.branch(B).closing = True
    assert [link for link, _ in grove.taken(record(1))] == [A, C]


def test_too_many_versions_are_held_back_and_the_newest_goes() -> None:
    grove = Grove()
    for seq in range(1, 6):
        assert len(grove.taken(record(1, seq), A)) == 2
    assert grove.taken(record(1, 6), A, with_certificate=True) == []
    assert grove.taken(record(1, 7), B) == []
    assert grove.tree.deadline() == grove.now + 1.0
    told = grove.passed(1.0)
    assert [(link, type(message)) for link, message in told] == [
        (A, Objects),
        (A, NodeRecords),
        (C, Objects),
        (C, NodeRecords),
    ]
    assert told[1] == (A, NodeRecords([record(1, 7).data]))
    assert grove.tree.deadline() is None


def test_a_held_back_record_forgotten_meanwhile_goes_nowhere() -> None:
    grove = Grove()
    for seq in range(1, 7):
        grove.taken(record(1, seq), A)
    grove.records.clear()
    assert grove.passed(1.0) == []
