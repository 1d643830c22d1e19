"""The scribe's tally: what a node reports counts once, whatever is lost, repeated or started anew."""

from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.messages import MethodName, pack
from pulse.core.network import tally as module
from pulse.core.network.tally import Kind, Report, Tally, read_kept, read_report
from pulse.core.types import NodeId
from pulse.errors import ProtocolError, Refused
from tests.authority import node

WEB, DB = node("web"), node("db")
KIND = Kind("hits", MethodName.HITS, MethodName.HITS_SUMMED, fastest=1_000_000, at_first=10**12)
NAMES = frozenset({"r1", "r2"})


def boot(number: int) -> bytes:
    return number.to_bytes(16)


def opened(names: frozenset[str] = NAMES) -> Tally:
    tally = Tally(KIND)
    tally.names_known(names)
    return tally


def again(tally: Tally) -> Tally:
    """From disk."""
    found = Tally.of(KIND, tally.ledgered())
    found.names_known(NAMES)
    return found


def totals(tally: Tally) -> dict[str, int]:
    """Of all nodes."""
    found: dict[str, int] = {}
    for life in tally.lives.values():
        for name, count in life.totals().items():
            found[name] = found.get(name, 0) + count
    return found


def test_what_a_node_said_last_counts_with_when_it_was_heard_to_be_more() -> None:
    tally = opened()
    tally.reported(WEB, Report(boot(1), 1, {"r1": 5, "r2": 1}), 10.0)
    tally.reported(DB, Report(boot(2), 1, {"r1": 7}), 11.0)
    tally.reported(WEB, Report(boot(1), 2, {"r1": 6, "r2": 1}, {"rate": 2.0}), 20.0)

    assert totals(tally) == {"r1": 13, "r2": 1}
    assert tally.last == {"r1": 20.0, "r2": 10.0}
    life = tally.lives[WEB]
    assert (life.total("r1"), life.since, life.heard, life.gauges) == (6, 10.0, 20.0, {"rate": 2.0})


def test_a_report_that_comes_again_or_late_changes_nothing() -> None:
    tally, early = opened(), Report(boot(1), 1, {"r1": 3})
    for report in (early, Report(boot(1), 2, {"r1": 8}, {"rate": 1.0}), early, early):
        tally.reported(WEB, report, 1.0)

    assert totals(tally) == {"r1": 8}
    assert tally.lives[WEB].gauges == {"rate": 1.0}


def test_counts_of_one_life_never_get_less() -> None:
    tally = opened()
    tally.reported(WEB, Report(boot(1), 1, {"r1": 8}), 1.0)
    tally.reported(WEB, Report(boot(1), 2, {"r1": 3}), 1.0)

    assert totals(tally) == {"r1": 8}


def test_what_is_so_now_is_heard_under_a_number_that_was_said_and_needs_no_disk() -> None:
    tally = opened()
    tally.reported(WEB, Report(boot(1), 1, {"r1": 8}, {"rate": 1.0}), 1.0)
    tally.written()
    tally.reported(WEB, Report(boot(1), 1, {"r1": 8}, {"rate": 0.0}), 2.0)

    life = tally.lives[WEB]
    assert (life.gauges, life.heard, tally.changed) == ({"rate": 0.0}, 2.0, False)
    assert again(tally).lives[WEB].gauges is None, "nobody knows after a restart"


def test_another_life_comes_on_top_of_those_before() -> None:
    tally = opened()
    for life, count in ((1, 8), (2, 3), (3, 2), (3, 4)):
        tally.reported(WEB, Report(boot(life), count, {"r1": count}), 1.0)

    assert totals(tally) == {"r1": 15}


def test_unknown_counters_are_not_kept_and_those_that_go_are_forgotten() -> None:
    tally = opened()
    tally.reported(WEB, Report(boot(1), 1, {"r1": 3, "r2": 4, "r9": 99}), 1.0)
    tally.reported(WEB, Report(boot(2), 1, {"r1": 1}), 1.0)
    assert totals(tally) == {"r1": 4, "r2": 4}
    tally.written()

    tally.names_known({"r2"})

    assert (totals(tally), tally.last, tally.changed) == ({"r2": 4}, {"r2": 1.0}, True)
    assert totals(again(tally)) == {"r2": 4}


def test_what_a_node_said_that_is_out_for_good_goes_with_it() -> None:
    tally = opened()
    tally.reported(WEB, Report(boot(1), 1, {"r1": 3}), 1.0)
    tally.reported(DB, Report(boot(1), 1, {"r1": 4}), 1.0)
    tally.written()

    tally.nodes_revoked({WEB, node("stranger")})

    assert (totals(tally), [*tally.lives], tally.changed) == ({"r1": 4}, [DB], True)


def test_a_report_is_acknowledged_once_it_is_on_disk() -> None:
    tally = opened()
    assert tally.reported(WEB, Report(boot(1), 1, {"r1": 3}), 1.0).seq == 0
    before = tally.changed
    tally.written()

    assert (before, tally.changed) == (True, False)
    assert tally.reported(WEB, Report(boot(1), 1, {"r1": 3}), 1.0).seq == 1
    assert tally.reported(WEB, Report(boot(1), 2, {"r1": 4}), 1.0).seq == 1
    assert again(tally).reported(WEB, Report(boot(1), 2, {"r1": 4}), 1.0).seq == 2
    assert tally.reported(WEB, Report(boot(2), 1, {"r1": 1}), 1.0).seq == 0


def test_one_node_has_no_room_for_counts_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAIRS_LIMIT", 3)
    tally = opened()
    tally.reported(WEB, Report(boot(1), 1, {"r1": 1, "r2": 1}), 1.0)
    with pytest.raises(Refused, match="takes no more"):
        tally.reported(DB, Report(boot(1), 1, {"r1": 1, "r2": 1}), 1.0)
    tally.names_known({"r1"})
    tally.reported(DB, Report(boot(1), 1, {"r1": 1}), 1.0)

    assert totals(tally) == {"r1": 2}


def test_a_liar_ruins_no_sum_in_however_many_lives_and_none_at_all_once_it_is_out() -> None:
    tally, most, year = opened(), 2**53 - 1, 31_536_000
    tally.reported(DB, Report(boot(1), 1, {"r1": 5}), 1.0)
    for life in range(50):
        tally.reported(WEB, Report(boot(life), 1, {"r1": most, "r2": most}), 1.0)
    at_once = totals(tally)["r1"]
    tally.reported(WEB, Report(boot(50), 2, {"r1": most}), 1.0 + year)

    assert at_once == KIND.at_first + 5
    assert totals(tally)["r1"] == KIND.at_first + KIND.fastest * year + 5 < most
    assert totals(again(tally)) == totals(tally)
    tally.nodes_revoked({WEB})
    tally.reported(DB, Report(boot(1), 2, {"r1": 50}), 3.0)
    assert totals(tally) == {"r1": 50}


def test_more_under_a_number_that_was_said_before_changes_nothing() -> None:
    tally = opened()
    tally.reported(WEB, Report(boot(1), 2, {"r1": 5}), 1.0)
    tally.written()
    for report in (Report(boot(1), 2, {"r1": 9}), Report(boot(1), 1, {"r2": 9}), Report(boot(2), 0, {"r1": 9})):
        tally.reported(WEB, report, 1.0)

    assert (totals(tally), tally.changed) == ({"r1": 5}, False)


def test_there_is_room_for_so_many_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NODES_LIMIT", 1)
    tally = opened()
    tally.reported(WEB, Report(boot(1), 1, {"r1": 1}), 1.0)
    with pytest.raises(Refused, match="1 nodes already"):
        tally.reported(DB, Report(boot(1), 1, {"r1": 1}), 1.0)
    tally.nodes_revoked({WEB})
    tally.reported(DB, Report(boot(1), 1, {"r1": 1}), 1.0)
    assert totals(tally) == {"r1": 1}

    tally.reported(WEB, Report(boot(1), 1, {"r1": 5}), 1.0 + module.GONE)
    assert totals(tally) == {"r1": 5}, "who was silent for a week gives way"


@pytest.mark.parametrize("read", [read_report, read_kept])
def test_bytes_that_are_nothing_are_refused(read: object) -> None:
    assert callable(read)
    bad = ([bytes(16), 1, {"r1": -1}], [bytes(16), 1, {"r1": 2**53}], [bytes(16), 1, {}, {"rate": float("nan")}])
    for nothing in (b"\x91", *map(msgspec.msgpack.encode, bad)):
        with pytest.raises(ProtocolError):
            read(nothing)


@dataclass
class Story:
    """Nodes that count, a scribe that writes now and then, and is put back to what it wrote last."""

    tally: Tally = field(default_factory=opened)
    disk: Tally = field(default_factory=opened)
    lives: dict[NodeId, int] = field(default_factory=lambda: {WEB: 1, DB: 1})
    seqs: dict[NodeId, int] = field(default_factory=lambda: {WEB: 0, DB: 0})
    counts: dict[NodeId, int] = field(default_factory=lambda: {WEB: 0, DB: 0})
    true: dict[NodeId, int] = field(default_factory=lambda: {WEB: 0, DB: 0})

    def tell(self, who: NodeId) -> int:
        self.seqs[who] += 1
        report = Report(boot(self.lives[who]), self.seqs[who], {"r1": self.counts[who]})
        return self.tally.reported(who, read_report(pack(report)), 1.0).seq

    def act(self, what: str, who: NodeId) -> None:
        match what:
            case "count":
                self.counts[who] += 1
                self.true[who] += 1
            case "report":
                self.tell(who)
            case "write":
                self.disk = again(self.tally)
                self.tally.written()
            case "scribe restarts":
                self.tally = again(self.disk)
            case "node restarts":
                # What it had not acknowledged is lost with it: here it leaves in good order.
                self.tell(who)
                self.act("write", who)
                assert self.tell(who) == self.seqs[who] - 1
                self.lives[who], self.seqs[who], self.counts[who] = self.lives[who] + 1, 0, 0


ACTS = st.sampled_from(["count", "report", "write", "scribe restarts", "node restarts"])


@given(st.lists(st.tuples(ACTS, st.sampled_from([WEB, DB])), max_size=40))
def test_once_all_have_reported_each_count_counts_once_however_often_the_scribe_starts_anew(
    acts: list[tuple[str, NodeId]],
) -> None:
    story = Story()
    for what, who in acts:
        story.act(what, who)
    for who in (WEB, DB):
        story.tell(who)

    assert {who: story.tally.lives[who].total("r1") for who in (WEB, DB)} == story.true
