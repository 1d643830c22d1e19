"""Flows by rule, of all nodes together."""

import pytest

from pulse.core.messages import pack
from pulse.core.network.hits import HITS, MOST_TOLD, UNMATCHED, Share, in_force, read_sums, sums
from pulse.core.network.tally import Report, Tally
from pulse.errors import ProtocolError
from tests.authority import node

WEB, DB = node("web"), node("db")
RULES = frozenset({"r1", "r2"})
BOOT = bytes(16)


def opened() -> Tally:
    tally = Tally(HITS)
    tally.names_known(RULES | {UNMATCHED})
    return tally


def test_what_nodes_counted_is_summed_by_rule_with_who_and_when() -> None:
    tally = opened()
    tally.reported(WEB, Report(BOOT, 1, {"r1": 5, UNMATCHED: 1}), 10.0)
    tally.reported(DB, Report(BOOT, 1, {"r1": 7, "r2": 1}), 11.0)
    tally.reported(WEB, Report(BOOT, 2, {"r1": 6, UNMATCHED: 1}), 20.0)

    first, *others = sums(tally).sums
    assert (first.rule, first.flows, first.last, first.count) == ("r1", 13, 20.0, 2)
    assert first.nodes == [Share(bytes.fromhex(DB), 7), Share(bytes.fromhex(WEB), 6)]
    assert [(each.rule, each.flows, each.last) for each in others] == [(UNMATCHED, 1, 10.0), ("r2", 1, 11.0)]


def test_nodes_with_most_flows_are_told_and_all_are_counted() -> None:
    tally = opened()
    for number in range(MOST_TOLD + 2):
        tally.reported(node(f"n{number}"), Report(BOOT, 1, {"r1": number + 1}), 1.0)

    (found,) = sums(tally).sums
    assert (found.count, [each.flows for each in found.nodes]) == (MOST_TOLD + 2, [10, 9, 8, 7, 6, 5, 4, 3])


def test_counts_beyond_all_sense_fit_the_wire() -> None:
    tally, most = opened(), 2**53 - 1
    for life in range(3):
        for each in (WEB, DB):
            tally.reported(each, Report(life.to_bytes(16), 1, {"r1": most}), 1.0)

    assert read_sums(pack(sums(tally))).sums[0].flows == 2 * HITS.at_first


def test_only_what_is_in_force_and_not_nothing_is_reported() -> None:
    assert in_force({"r1": 3, "r2": 0, "gone": 9}, 0, RULES) == {"r1": 3}
    assert in_force({}, 4, RULES) == {UNMATCHED: 4}


def test_bytes_that_are_nothing_are_refused() -> None:
    with pytest.raises(ProtocolError):
        read_sums(b"\x91")
