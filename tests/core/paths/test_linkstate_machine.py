"""LinkState under any order of facts, against a model that thinks of every pair of nodes anew each time."""

from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pulse.core.paths.linkstate import EXPIRED_AFTER, LinkState
from pulse.core.paths.news import GraphChanged, NodeExpired, NodeReturned
from pulse.core.types import LinkId
from tests.core.paths.atlas import number, record, who

if TYPE_CHECKING:
    from pulse.core.paths.noderecord import NodeRecord

ME = 0
OTHERS = range(1, 7)
SETTLED = 2.0
"""Seconds after which it has looked, whatever changed in so small a mesh."""

others = st.sampled_from(OTHERS)
told_links = st.dictionaries(others, st.sampled_from([(0.01, 0.0), (0.2, 0.1), (0.01, 1.0), (6.5535, 0.0)]), max_size=4)


class LinkStateMachine(RuleBasedStateMachine):
    """The model knows who announces whom, and asks each pair whether its link counts."""

    def __init__(self) -> None:
        super().__init__()
        self.linkstate = LinkState(who(ME))
        self.now = 0.0
        self.newest_link = 0
        self.mine: dict[LinkId, int] = {}
        self.records: dict[int, NodeRecord] = {}
        self.revoked: set[int] = set()
        self.missed: dict[int, float] = {}
        self.expired: set[int] = set()
        self.returned: set[int] = set()
        """Who came back at the last look."""

    # What happens

    @rule(other=others)
    def a_link_opens(self, other: int) -> None:
        self.newest_link += 1
        self.linkstate.link_opened(LinkId(self.newest_link), who(other), self.now)
        if other not in self.revoked:
            self.mine[LinkId(self.newest_link)] = other
        self.settle()

    @precondition(lambda self: self.mine)
    @rule(data=st.data())
    def a_link_closes(self, data: st.DataObject) -> None:
        link = data.draw(st.sampled_from(sorted(self.mine)))
        del self.mine[link]
        self.linkstate.link_closed(link, self.now)
        self.settle()

    @precondition(lambda self: self.mine)
    @rule(data=st.data(), rtt=st.none() | st.floats(0, 1), loss=st.floats(0, 1))
    def a_link_is_measured(self, data: st.DataObject, rtt: float | None, loss: float) -> None:
        self.linkstate.sampled(data.draw(st.sampled_from(sorted(self.mine))), rtt, loss)
        self.settle()

    @precondition(lambda self: self.mine)
    @rule(data=st.data(), suspect=st.booleans())
    def a_link_is_suspected(self, data: st.DataObject, suspect: bool) -> None:
        self.linkstate.link_suspected(data.draw(st.sampled_from(sorted(self.mine))), suspect)
        self.settle()

    @rule(other=others, links=told_links, hub=st.booleans())
    def a_record_comes(self, other: int, links: dict[int, tuple[float, float]], hub: bool) -> None:
        told = record(other, links, hub=hub)
        self.linkstate.record_accepted(told, self.now)
        if other not in self.revoked:
            self.records[other] = told
        self.settle()

    @rule(one=others, other=others)
    def two_nodes_link(self, one: int, other: int) -> None:
        self.a_record_comes(one, {other: (0.01, 0.0)}, False)
        self.a_record_comes(other, {one: (0.01, 0.0)}, False)

    @rule(other=others)
    def a_record_is_forgotten(self, other: int) -> None:
        self.records.pop(other, None)
        self.linkstate.record_forgotten(who(other))
        self.settle()

    @rule(other=others)
    def a_node_is_revoked(self, other: int) -> None:
        self.revoked.add(other)
        self.records.pop(other, None)
        self.mine = {link: node for link, node in self.mine.items() if node != other}
        self.linkstate.revocations_changed(frozenset(map(who, self.revoked)))
        self.settle()

    @rule(seconds=st.sampled_from([1.0, 100.0, EXPIRED_AFTER]))
    def time_passes(self, seconds: float) -> None:
        self.settle(seconds)

    # What holds

    @invariant()
    def it_knows_who_is_reached_and_when_the_next_is_gone(self) -> None:
        assert {number(node) for node in self.linkstate.graph().reached()} == self.reached()
        missed = [since for other, since in self.missed.items() if other not in self.expired]
        assert self.linkstate.deadline() == min((since + EXPIRED_AFTER for since in missed), default=None)

    @invariant()
    def the_graph_holds_the_links_that_count_and_no_others(self) -> None:
        graph = self.linkstate.graph()
        nodes = [number(node) for node in graph.nodes]
        pairs = {(nodes[one], nodes[edge[0]]) for one, edges in enumerate(graph.links) for edge in edges}
        counted = {
            (one, other)
            for one in (ME, *OTHERS)
            for other in (ME, *OTHERS)
            if one != other and self.counts(min(one, other), max(one, other))
        }
        assert pairs == counted

    # The model

    def counts(self, one: int, other: int) -> bool:
        if one == ME:
            return other in self.mine.values()
        forth, back = self.announced(one, other), self.announced(other, one)
        if 1.0 in (forth, back):
            return False
        if forth is not None and back is not None:
            return True
        return (forth is not None and self.is_hub(other)) or (back is not None and self.is_hub(one))

    def announced(self, one: int, other: int) -> float | None:
        told = self.records.get(one)
        handles = {each.handle: each.loss for each in told.adjacencies()} if told else {}
        there = self.records.get(other)
        return handles.get(there.handle) if there else None

    def is_hub(self, node: int) -> bool:
        return node in self.records and self.records[node].hub

    def reached(self) -> set[int]:
        found = {ME}
        for _ in OTHERS:
            found |= {other for other in OTHERS for one in found if one != other and self.counts(*sorted((one, other)))}
        return found - {ME}

    def settle(self, seconds: float = SETTLED) -> None:
        """Let it look now if it wants to, and again at every deadline until then."""
        until = self.now + max(seconds, SETTLED)
        while True:
            due = self.linkstate.deadline()
            self.now = until if due is None else max(self.now, min(due, until))
            outcomes = self.linkstate.tick(self.now)
            if any(isinstance(each, GraphChanged) for each in outcomes):
                self.look()
            gone = {other for other, since in self.missed.items() if self.now >= since + EXPIRED_AFTER} - self.expired
            self.expired |= gone
            assert {number(each.node) for each in outcomes if isinstance(each, NodeExpired)} == gone
            assert {number(each.node) for each in outcomes if isinstance(each, NodeReturned)} == self.returned
            self.returned = set()
            if self.now >= until:
                return

    def look(self) -> None:
        reached = self.reached()
        lost = {*self.records, *self.mine.values()} - reached
        self.returned = self.expired & reached
        self.missed = {other: self.missed.get(other, self.now) for other in lost}
        self.expired &= lost


LinkStateMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
TestLinkState = LinkStateMachine.TestCase
