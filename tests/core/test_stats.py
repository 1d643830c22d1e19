"""Traffic by node."""

import msgspec
import pytest

from pulse.core import stats as module
from pulse.core.messages import pack
from pulse.core.network.tally import Report, Tally
from pulse.core.stats import COUNTERS, NOTHING, TRAFFIC, Counts, Row, Rows, read_rows, row, rows, together
from pulse.core.types import NodeId
from pulse.errors import ProtocolError
from tests.authority import node

WEB, DB = node("web"), node("db")
MOST = 2**53 - 1


def opened() -> Tally:
    tally = Tally(TRAFFIC)
    tally.names_known(COUNTERS)
    return tally


def report(life: int, seq: int, came: int, went: int = 0, rates: tuple[float, float] = (0.0, 0.0)) -> Report:
    said = Row(bytes(32), Counts(came, went, came, went, 1), 2, *rates)
    return Report(life.to_bytes(16), seq, said.counts.counters(), said.gauges())


def came(tally: Tally) -> dict[NodeId, int]:
    return {NodeId(each.node.hex()): each.counts.bytes_in for each in rows(tally, 1.0)}


def test_what_nodes_counted_is_told_by_node_the_one_that_moved_most_first() -> None:
    tally = opened()
    tally.reported(WEB, report(1, 1, 5, 1), 10.0)
    tally.reported(DB, report(2, 1, 7, 30), 11.0)
    tally.reported(WEB, report(1, 2, 6, 2, (3.0, 4.0)), 20.0)

    first, second = rows(tally, 21.0)
    assert first == Row(bytes.fromhex(DB), Counts(7, 30, 7, 30, 1), 2, 0.0, 0.0, 11.0)
    assert second == Row(bytes.fromhex(WEB), Counts(6, 2, 6, 2, 1), 2, 3.0, 4.0, 20.0)
    assert row(tally, node("stranger"), 21.0) == Row(bytes.fromhex(node("stranger")), NOTHING)


def test_rates_are_told_while_they_are_fresh_and_from_who_is_idle_longer() -> None:
    tally = opened()
    tally.reported(WEB, report(1, 1, 8, 0, (5.0, 6.0)), 100.0)
    tally.reported(DB, report(1, 1, 8), 100.0)

    def rates(wall: float) -> list[float | None]:
        return [row(tally, each, wall).rate_in for each in (WEB, DB)]

    assert rates(100.0 + module.FRESH) == [5.0, 0.0]
    assert rates(101.0 + module.FRESH) == [None, 0.0]
    assert rates(101.0 + module.IDLE) == [None, None]
    assert row(tally, WEB, 101.0 + module.FRESH).active == 0


def test_after_a_restart_of_the_scribe_counts_are_there_and_rates_come_with_the_next_word() -> None:
    tally = opened()
    tally.reported(WEB, report(1, 1, 8, 9), 1.0)
    again = Tally.of(TRAFFIC, tally.ledgered())
    assert rows(again, 2.0) == [Row(bytes.fromhex(WEB), Counts(8, 9, 8, 9, 1), 0, None, None, 1.0)]

    again.reported(WEB, report(1, 1, 8, 9), 3.0)
    assert rows(again, 3.0)[0].rate_in == 0.0


def test_a_liar_says_no_more_than_any_node_could_count_in_however_many_lives_and_of_itself_alone() -> None:
    tally, year = opened(), 31_536_000.0
    tally.reported(DB, report(1, 1, 5), 1.0)
    for life in range(50):
        tally.reported(WEB, report(life, 1, MOST, MOST, (2.0**53, 2.0**53)), 1.0)
    assert came(tally) == {WEB: TRAFFIC.at_first, DB: 5}
    assert row(tally, WEB, 1.0).rate_out == module.FASTEST

    tally.reported(WEB, report(50, 2, MOST), 1.0 + year)
    assert came(tally)[WEB] <= MOST
    assert read_rows(pack(Rows(rows(tally, 1.0)))).rows == rows(tally, 1.0)


def test_gauges_that_are_none_of_traffic_spoil_no_row() -> None:
    tally = opened()
    tally.reported(WEB, Report(bytes(16), 1, {"bytes_in": 3}, {"active": 2.0**53, "else": 1.0}), 1.0)

    assert row(tally, WEB, 1.0) == Row(bytes.fromhex(WEB), Counts(3), 2**32 - 1, 0.0, 0.0, 1.0)


def test_bytes_that_are_nothing_are_refused() -> None:
    bad = ([[bytes(32), [-1]]], [[bytes(32), [1], 0, float("nan"), 0.0]], [[bytes(32), [2**53]]])
    for nothing in (b"\x91", *(msgspec.msgpack.encode([each]) for each in bad)):
        with pytest.raises(ProtocolError):
            read_rows(nothing)


def test_sums_stop_where_numbers_do() -> None:
    assert together([Counts(MOST, 1), Counts(5, 2)]) == Counts(MOST, 3)
    assert together([]) == NOTHING
