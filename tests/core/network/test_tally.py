"""The scribe's sums: each flow that a node reports counts once, whatever is lost, repeated or started anew."""

from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.messages import pack
from pulse.core.network import tally as module
from pulse.core.network.tally import (
    UNMATCHED,
    Ledgered,
    Report,
    Share,
    Tally,
    in_force,
    read_kept,
    read_report,
    read_sums,
)
from pulse.core.types import NodeId
from pulse.errors import ProtocolError, Refused
from tests.authority import node

WEB, DB = node("web"), node("db")
RULES = frozenset({"r1", "r2"})


def boot(number: int) -> bytes:
    return number.to_bytes(16)


def flows(tally: Tally) -> dict[str, int]:
    return {each.rule: each.flows for each in tally.sums().sums}


def test_what_nodes_counted_is_summed_by_rule_with_who_and_when() -> None:
    tally = Tally()
    tally.reported(WEB, Report(boot(1), 1, {"r1": 5, UNMATCHED: 1}), RULES, 10.0)
    tally.reported(DB, Report(boot(2), 1, {"r1": 7, "r2": 1}), RULES, 11.0)
    tally.reported(WEB, Report(boot(1), 2, {"r1": 6, UNMATCHED: 1}), RULES, 20.0)

    first, *others = tally.sums().sums
    assert (first.rule, first.flows, first.last, first.count) == ("r1", 13, 20.0, 2)
    assert first.nodes == [Share(bytes.fromhex(DB), 7), Share(bytes.fromhex(WEB), 6)]
    assert [(each.rule, each.flows, each.last) for each in others] == [(UNMATCHED, 1, 10.0), ("r2", 1, 11.0)]


def test_a_report_that_comes_again_or_late_changes_nothing() -> None:
    tally, early = Tally(), Report(boot(1), 1, {"r1": 3})
    for report in (early, Report(boot(1), 2, {"r1": 8}), early, early):
        tally.reported(WEB, report, RULES, 1.0)

    assert flows(tally) == {"r1": 8}


def test_another_life_comes_on_top_of_those_before() -> None:
    tally = Tally()
    for life, count in ((1, 8), (2, 3), (3, 2), (3, 4)):
        tally.reported(WEB, Report(boot(life), count, {"r1": count}), RULES, 1.0)

    assert flows(tally) == {"r1": 15}
    assert tally.sums().sums[0].count == 1


def test_rules_that_are_not_in_force_are_not_counted_and_those_that_go_are_forgotten() -> None:
    tally = Tally()
    tally.reported(WEB, Report(boot(1), 1, {"r1": 3, "r2": 4, "r9": 99, UNMATCHED: 5}), RULES, 1.0)
    tally.reported(WEB, Report(boot(2), 1, {"r1": 1}), RULES, 1.0)
    assert flows(tally) == {UNMATCHED: 5, "r1": 4, "r2": 4}

    tally.rules_changed({"r2"})

    assert flows(tally) == {UNMATCHED: 5, "r2": 4}
    assert Tally.of(tally.ledgered()).sums() == tally.sums()


def test_what_a_node_said_that_is_out_for_good_goes_with_it() -> None:
    tally = Tally()
    tally.reported(WEB, Report(boot(1), 1, {"r1": 3}), RULES, 1.0)
    tally.reported(DB, Report(boot(1), 1, {"r1": 4}), RULES, 1.0)

    tally.nodes_revoked({WEB, node("stranger")})

    (found,) = tally.sums().sums
    assert (found.flows, [each.node.hex() for each in found.nodes]) == (4, [DB])
    assert tally.ledgered().past == {}


def test_a_report_is_acknowledged_once_it_is_on_disk() -> None:
    tally = Tally()
    assert tally.reported(WEB, Report(boot(1), 1, {"r1": 3}), RULES, 1.0).seq == 0
    before = tally.changed
    tally.written()

    assert (before, tally.changed) == (True, False)
    assert tally.reported(WEB, Report(boot(1), 1, {"r1": 3}), RULES, 1.0).seq == 1
    assert tally.reported(WEB, Report(boot(1), 2, {"r1": 4}), RULES, 1.0).seq == 1
    assert tally.reported(WEB, Report(boot(2), 1, {"r1": 1}), RULES, 1.0).seq == 0


def test_one_node_has_no_room_for_counts_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAIRS_LIMIT", 3)
    tally = Tally()
    tally.reported(WEB, Report(boot(1), 1, {"r1": 1, "r2": 1}), RULES, 1.0)
    with pytest.raises(Refused, match="takes no more"):
        tally.reported(DB, Report(boot(1), 1, {"r1": 1, "r2": 1}), RULES, 1.0)
    tally.rules_changed({"r1"})
    tally.reported(DB, Report(boot(1), 1, {"r1": 1}), {"r1"}, 1.0)

    assert flows(tally) == {"r1": 2}


def test_a_liar_ruins_no_sum_in_however_many_lives_and_none_at_all_once_it_is_out() -> None:
    tally, most, year = Tally(), 2**53 - 1, 31_536_000
    tally.reported(DB, Report(boot(1), 1, {"r1": 5}), RULES, 1.0)
    for life in range(50):
        tally.reported(WEB, Report(boot(life), 1, {"r1": most, UNMATCHED: most}), RULES, 1.0)
    at_once = flows(tally)["r1"]
    tally.reported(WEB, Report(boot(50), 2, {"r1": most}), RULES, 1.0 + year)

    assert at_once == module.AT_FIRST + 5
    assert flows(tally)["r1"] == module.AT_FIRST + module.FASTEST * year + 5 < most
    assert flows(Tally.of(tally.ledgered())) == flows(tally)
    tally.nodes_revoked({WEB})
    tally.reported(DB, Report(boot(1), 2, {"r1": 50}), RULES, 3.0)
    assert flows(tally) == {"r1": 50}


def test_more_flows_under_a_number_that_was_said_before_change_nothing() -> None:
    tally = Tally()
    tally.reported(WEB, Report(boot(1), 2, {"r1": 5}), RULES, 1.0)
    tally.written()
    for report in (Report(boot(1), 2, {"r1": 9}), Report(boot(1), 1, {"r2": 9}), Report(boot(2), 0, {"r1": 9})):
        tally.reported(WEB, report, RULES, 1.0)

    assert (flows(tally), tally.changed) == ({"r1": 5}, False)


def test_sums_of_an_older_release_are_read_without_what_has_no_name() -> None:
    old = [[[bytes.fromhex(WEB), boot(1), 1, {"r1": 3}, {}]], {"r1": 1.0}, {"r1": 2**53 - 1}]
    tally = Tally.of(msgspec.convert(old, Ledgered))
    tally.reported(WEB, Report(boot(1), 2, {"r1": 4}), RULES, 9.0)

    assert (flows(tally), tally.ledgered().accounts[0].since) == ({"r1": 4}, 9.0)


def test_there_is_room_for_so_many_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NODES_LIMIT", 1)
    tally = Tally()
    tally.reported(WEB, Report(boot(1), 1, {"r1": 1}), RULES, 1.0)
    with pytest.raises(Refused, match="1 nodes already"):
        tally.reported(DB, Report(boot(1), 1, {"r1": 1}), RULES, 1.0)
    tally.nodes_revoked({WEB})
    tally.reported(DB, Report(boot(1), 1, {"r1": 1}), RULES, 1.0)

    assert flows(tally) == {"r1": 1}


def test_counts_beyond_all_sense_fit_the_wire_and_the_disk() -> None:
    tally, most = Tally(), 2**53 - 1
    for life in range(3):
        for each in (WEB, DB):
            tally.reported(each, Report(boot(life), 1, {"r1": most}), RULES, 1.0)

    assert read_sums(pack(tally.sums())).sums[0].flows == 2 * module.AT_FIRST
    assert flows(Tally.of(tally.ledgered())) == {"r1": 2 * module.AT_FIRST}


def test_only_what_is_in_force_and_not_nothing_is_reported() -> None:
    assert in_force({"r1": 3, "r2": 0, "gone": 9}, 0, RULES) == {"r1": 3}
    assert in_force({}, 4, RULES) == {UNMATCHED: 4}


@pytest.mark.parametrize("read", [read_report, read_kept, read_sums])
def test_bytes_that_are_nothing_are_refused(read: object) -> None:
    assert callable(read)
    with pytest.raises(ProtocolError):
        read(b"\x91")


@dataclass
class Story:
    """Nodes that count, a scribe that writes now and then, and is put back to what it wrote last."""

    tally: Tally = field(default_factory=Tally)
    disk: Tally = field(default_factory=Tally)
    lives: dict[NodeId, int] = field(default_factory=lambda: {WEB: 1, DB: 1})
    seqs: dict[NodeId, int] = field(default_factory=lambda: {WEB: 0, DB: 0})
    counts: dict[NodeId, int] = field(default_factory=lambda: {WEB: 0, DB: 0})
    true: int = 0

    def tell(self, who: NodeId) -> int:
        self.seqs[who] += 1
        report = Report(boot(self.lives[who]), self.seqs[who], in_force({"r1": self.counts[who]}, 0, RULES))
        return self.tally.reported(who, read_report(pack(report)), RULES, 1.0).seq

    def act(self, what: str, who: NodeId) -> None:
        match what:
            case "count":
                self.counts[who] += 1
                self.true += 1
            case "report":
                self.tell(who)
            case "write":
                self.disk = Tally.of(self.tally.ledgered())
                self.tally.written()
            case "scribe restarts":
                self.tally = Tally.of(self.disk.ledgered())
            case "node restarts":
                # What it had not acknowledged is lost with it: here it leaves in good order.
                self.tell(who)
                self.act("write", who)
                assert self.tell(who) == self.seqs[who] - 1
                self.lives[who], self.seqs[who], self.counts[who] = self.lives[who] + 1, 0, 0


ACTS = st.sampled_from(["count", "report", "write", "scribe restarts", "node restarts"])


@given(st.lists(st.tuples(ACTS, st.sampled_from([WEB, DB])), max_size=40))
def test_once_all_have_reported_every_flow_counts_once_however_often_the_scribe_starts_anew(
    acts: list[tuple[str, NodeId]],
) -> None:
    story = Story()
    for what, who in acts:
        story.act(what, who)
    for who in (WEB, DB):
        story.tell(who)

    assert flows(story.tally).get("r1", 0) == story.true
