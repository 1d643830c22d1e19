"""A node tells its counters until they are on the scribe's disk; and once a minute what is so now."""

from pulse.core.network.reporter import AGAIN, Reporter
from pulse.core.network.tally import Kept, Report
from tests.authority import node

HOME, OTHER = node("home"), node("other")
BOOT = bytes(16)


def test_nothing_is_said_while_there_is_nothing_to_say() -> None:
    reporter = Reporter(BOOT)
    assert reporter.report(HOME, {}, {}, 0.0) is None
    first = reporter.report(HOME, {"r1": 1}, {}, 10.0)
    assert first == Report(BOOT, 1, {"r1": 1})
    reporter.taken(first, Kept(0), 10.0)

    assert reporter.report(HOME, {"r1": 1}, {}, 11.0) is None
    assert reporter.report(HOME, {"r1": 1}, {}, 10.0 + AGAIN) == first, "until it is on disk"
    reporter.taken(first, Kept(1), 10.0 + AGAIN)
    assert reporter.report(HOME, {"r1": 1}, {}, 10_000.0) is None


def test_what_is_so_now_is_said_when_it_changes_and_once_a_minute_under_the_same_number() -> None:
    reporter = Reporter(BOOT)
    first = reporter.report(HOME, {"r1": 1}, {"rate": 0.0}, 10.0)
    assert first is not None
    reporter.taken(first, Kept(1), 10.0)

    assert reporter.report(HOME, {"r1": 1}, {"rate": 0.0}, 11.0) is None
    assert reporter.report(HOME, {"r1": 1}, {"rate": 5.0}, 11.0) == Report(BOOT, 1, {"r1": 1}, {"rate": 5.0})
    assert reporter.report(HOME, {"r1": 1}, {"rate": 0.0}, 10.0 + AGAIN) == first


def test_other_counts_never_go_under_a_number_that_was_said_even_if_that_was_lost() -> None:
    reporter, seqs = Reporter(BOOT), []
    for count in (1, 2, 3):
        report = reporter.report(HOME, {"r1": count}, {}, 0.0)
        assert report is not None
        seqs.append(report.seq)

    assert seqs == [1, 2, 3]


def test_another_scribe_is_told_all_at_once() -> None:
    reporter = Reporter(BOOT)
    first = reporter.report(HOME, {"r1": 1}, {}, 0.0)
    assert first is not None
    reporter.taken(first, Kept(1), 0.0)

    assert reporter.report(OTHER, {"r1": 1}, {}, 1.0) == Report(BOOT, 2, {"r1": 1})
