"""The scribe's totals: each byte that a node reports counts once, whatever is lost, repeated or started anew."""

from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from pulse.core import stats as module
from pulse.core.messages import pack
from pulse.core.stats import NOTHING, Counts, Meter, Report, Row, Rows, Totals, read_report, read_rows, together
from pulse.core.types import NodeId
from pulse.errors import ProtocolError, Refused
from tests.authority import node

WEB, DB = node("web"), node("db")
MOST = 2**53 - 1


def report(life: int, seq: int, came: int, went: int = 0, rates: tuple[float, float] = (0.0, 0.0)) -> Report:
    return Report(life.to_bytes(16), seq, Counts(came, went, came, went, 1), 2, *rates)


def came(totals: Totals) -> dict[NodeId, int]:
    return {NodeId(row.node.hex()): row.counts.bytes_in for row in totals.rows(1.0)}


def test_what_nodes_counted_is_told_by_node_the_one_that_moved_most_first() -> None:
    totals = Totals()
    totals.reported(WEB, report(1, 1, 5, 1), 10.0)
    totals.reported(DB, report(2, 1, 7, 30), 11.0)
    totals.reported(WEB, report(1, 2, 6, 2, (3.0, 4.0)), 20.0)

    first, second = totals.rows(21.0)
    assert first == Row(bytes.fromhex(DB), Counts(7, 30, 7, 30, 1), 2, 0.0, 0.0, 11.0)
    assert second == Row(bytes.fromhex(WEB), Counts(6, 2, 6, 2, 1), 2, 3.0, 4.0, 20.0)


def test_a_report_that_comes_again_or_late_changes_nothing() -> None:
    totals, early = Totals(), report(1, 1, 3)
    for each in (early, report(1, 2, 8), early, early, structs.replace(report(1, 2, 99))):
        totals.reported(WEB, each, 1.0)

    assert came(totals) == {WEB: 8}


def test_counts_of_one_life_never_get_less() -> None:
    totals = Totals()
    totals.reported(WEB, report(1, 1, 8), 1.0)
    totals.reported(WEB, report(1, 2, 3), 1.0)

    assert came(totals) == {WEB: 8}


def test_another_life_comes_on_top_of_those_before() -> None:
    totals = Totals()
    for life, count in ((1, 8), (2, 3), (3, 2), (3, 4)):
        totals.reported(WEB, report(life, count, count), 1.0)

    assert came(totals) == {WEB: 15}


def test_rates_are_told_while_they_are_fresh_and_from_who_is_idle_longer() -> None:
    totals = Totals()
    totals.reported(WEB, report(1, 1, 8, 0, (5.0, 6.0)), 100.0)
    totals.reported(DB, report(1, 1, 8), 100.0)

    def rates(wall: float) -> list[float | None]:
        return [totals.row(each, wall).rate_in for each in (WEB, DB)]

    assert rates(100.0 + module.FRESH) == [5.0, 0.0]
    assert rates(101.0 + module.FRESH) == [None, 0.0]
    assert rates(101.0 + module.IDLE) == [None, None]
    assert totals.row(WEB, 101.0 + module.FRESH).active == 0


def test_after_a_restart_of_the_scribe_totals_are_there_and_rates_come_with_the_next_word() -> None:
    totals = Totals()
    totals.reported(WEB, report(1, 1, 8, 9), 1.0)
    again = Totals.of(totals.book())
    assert again.rows(2.0) == [Row(bytes.fromhex(WEB), Counts(8, 9, 8, 9, 1), 0, None, None, 1.0)]

    again.reported(WEB, report(1, 1, 8, 9), 3.0)
    assert again.rows(3.0)[0].rate_in == 0.0
    assert not again.changed


def test_what_a_node_said_that_is_out_for_good_goes_with_it() -> None:
    totals = Totals()
    totals.reported(WEB, report(1, 1, 3), 1.0)
    totals.reported(DB, report(1, 1, 4), 1.0)
    totals.written()
    totals.nodes_revoked({WEB, node("stranger")})

    assert (came(totals), totals.changed) == ({DB: 4}, True)
    assert totals.row(WEB, 1.0).counts == NOTHING


def test_a_liar_says_no_more_than_any_node_could_count_in_however_many_lives_and_of_itself_alone() -> None:
    totals, year = Totals(), 31_536_000.0
    totals.reported(DB, report(1, 1, 5), 1.0)
    for life in range(50):
        totals.reported(WEB, report(life, 1, MOST, MOST, (2.0**53, 2.0**53)), 1.0)
    assert came(totals) == {WEB: module.AT_FIRST, DB: 5}
    assert totals.row(WEB, 1.0).rate_out == module.FASTEST

    totals.reported(WEB, report(50, 2, MOST), 1.0 + year)
    assert came(totals)[WEB] <= MOST
    assert read_rows(pack(Rows(totals.rows(1.0)))).rows == totals.rows(1.0)
    assert came(Totals.of(totals.book())) == came(totals)


def test_there_is_room_for_so_many_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NODES_LIMIT", 1)
    totals = Totals()
    totals.reported(WEB, report(1, 1, 1), 1.0)
    with pytest.raises(Refused, match="1 nodes already"):
        totals.reported(DB, report(1, 1, 1), 1.0)
    totals.nodes_revoked({WEB})
    totals.reported(DB, report(1, 1, 1), 1.0)
    assert came(totals) == {DB: 1}

    totals.reported(WEB, report(1, 1, 5), 1.0 + module.GONE)
    assert came(totals) == {WEB: 5}, "who was silent for a week gives way"


@pytest.mark.parametrize("read", [read_report, read_rows])
def test_bytes_that_are_nothing_are_refused(read: object) -> None:
    assert callable(read)
    bad = ([bytes(16), 1, [-1], 0, 0.0, 0.0], [bytes(16), 1, [1], 0, float("nan"), 0.0], [bytes(16), 1, [2**53]])
    for nothing in (b"\x91", *map(msgspec.msgpack.encode, bad)):
        with pytest.raises(ProtocolError):
            read(nothing)


def test_a_rate_is_taken_over_the_last_look_that_is_long_enough_ago() -> None:
    meter = Meter()
    assert meter.rates({WEB: Counts(5)}, 0.0) == {}
    meter.looked({WEB: Counts(100, 10)}, 0.0)
    assert meter.rates({WEB: Counts(100, 10)}, 1.0) == {}
    assert meter.rates({WEB: Counts(300, 10), DB: Counts(0, 40)}, 4.0) == {WEB: (50.0, 0.0), DB: (0.0, 10.0)}

    meter.looked({WEB: Counts(300, 10)}, 4.0)
    assert meter.rates({WEB: Counts(300, 10)}, 5.0) == {WEB: (40.0, 0.0)}
    assert meter.rates({WEB: Counts(300, 10)}, 6.0) == {WEB: (0.0, 0.0)}


def test_sums_stop_where_numbers_do() -> None:
    assert together([Counts(MOST, 1), Counts(5, 2)]) == Counts(MOST, 3)
    assert together([]) == NOTHING


@dataclass
class Story:
    """Nodes that count, a scribe that writes now and then, and is put back to what it wrote last."""

    totals: Totals = field(default_factory=Totals)
    disk: Totals = field(default_factory=Totals)
    lives: dict[NodeId, int] = field(default_factory=lambda: {WEB: 1, DB: 1})
    seqs: dict[NodeId, int] = field(default_factory=lambda: {WEB: 0, DB: 0})
    counts: dict[NodeId, int] = field(default_factory=lambda: {WEB: 0, DB: 0})
    true: dict[NodeId, int] = field(default_factory=lambda: {WEB: 0, DB: 0})

    def tell(self, who: NodeId) -> None:
        self.seqs[who] += 1
        said = report(self.lives[who], self.seqs[who], self.counts[who])
        self.totals.reported(who, read_report(pack(said)), 1.0)

    def act(self, what: str, who: NodeId) -> None:
        match what:
            case "count":
                self.counts[who] += 1
                self.true[who] += 1
            case "report":
                self.tell(who)
            case "write":
                self.disk = Totals.of(self.totals.book())
            case "scribe restarts":
                self.totals = Totals.of(self.disk.book())
            case "node restarts":
                # In good order, and the scribe's write follows: else what it said within that minute is lost.
                self.tell(who)
                self.act("write", who)
                self.lives[who], self.seqs[who], self.counts[who] = self.lives[who] + 1, 0, 0


ACTS = st.sampled_from(["count", "report", "write", "scribe restarts", "node restarts"])


@given(st.lists(st.tuples(ACTS, st.sampled_from([WEB, DB])), max_size=40))
def test_once_all_have_reported_every_byte_counts_once_however_often_the_scribe_starts_anew(
    acts: list[tuple[str, NodeId]],
) -> None:
    story = Story()
    for what, who in acts:
        story.act(what, who)
    for who in (WEB, DB):
        story.tell(who)

    assert came(story.totals) == story.true
