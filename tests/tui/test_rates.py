"""Rates of counters, from looks now and then."""

from pulse.tui.rates import KEPT, Rates


def test_a_rate_is_what_was_counted_by_the_time_that_passed() -> None:
    rates = Rates()
    rates.looked({"a": 100}, 10.0)
    assert rates.of("a") == []
    rates.looked({"a": 300}, 12.0)
    assert rates.of("a") == [100.0]


def test_a_counter_that_began_anew_counts_nothing_once() -> None:
    rates = Rates()
    for at, count in enumerate((100, 50, 60)):
        rates.looked({"a": count}, float(at))
    assert rates.of("a") == [0.0, 10.0]


def test_who_is_gone_is_forgotten_and_only_the_last_values_are_kept() -> None:
    rates = Rates()
    for at in range(2 * KEPT):
        rates.looked({"a": at, "b": at}, float(at))
    assert len(rates.of("a")) == KEPT
    rates.looked({"a": 0}, 99.0)
    assert rates.of("b") == []


def test_two_looks_at_once_say_nothing() -> None:
    rates = Rates()
    rates.looked({"a": 1}, 1.0)
    rates.looked({"a": 9}, 1.0)
    assert rates.of("a") == []
