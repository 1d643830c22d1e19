"""Rules on one line, and the words they are made of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.messages import LATEST
from pulse.core.network.hours import parse_window
from pulse.core.network.reach import ALL, OTHERS, PORTLESS, Flows
from pulse.core.network.ruletext import (
    check_fit,
    describe,
    flows_text,
    parse_ports,
    parse_protocols,
    ports_text,
    protocol_words,
    protocols_text,
)
from pulse.errors import ConfigError
from tests.core.network.nodes import CAM, rule


def test_a_rule_is_one_line() -> None:
    told = rule("tag:backend", "tag:db", protocols=[6], ports=[(22, 22), (8000, 8100)])

    assert describe(told) == "allow tag:backend → tag:db tcp 22,8000-8100"
    assert describe(rule(CAM.node, "*", allow=False)) == f"deny {CAM.node[:12]}… → *"


def test_the_line_of_a_rule_says_when_it_counts_and_what_else_it_does() -> None:
    told = rule("a", "b", redundant=True, expires=1_790_000_000.9, window=parse_window("mon-fri,09:00-18:00"))

    assert describe(told) == "allow a → b, until 2026-09-21T14:13:20Z, mon-fri 09:00-18:00 UTC, redundant"
    assert describe(rule("a", "b", expires=float(LATEST))).endswith(", until 9999-12-31T23:59:59Z")


def test_protocols_are_words_or_numbers_and_icmp_is_that_of_ipv6_too() -> None:
    assert parse_protocols(["TCP", "icmp", "47", "6"]) == [6, 1, 58, 47]
    assert protocols_text([58, 6, 1, 47, 99]) == "tcp,icmp,gre,99"
    for wrong in ("", "tpc", "256", "-1", "6.5"):
        with pytest.raises(ConfigError, match="Write tcp, udp, icmp"):
            parse_protocols([wrong])


@given(st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 65535)).map(lambda pair: (min(pair), max(pair)))))
def test_ports_come_back_as_they_were_written(ports: list[tuple[int, int]]) -> None:
    assert parse_ports(filter(None, ports_text(ports).split(","))) == ports


@pytest.mark.parametrize("wrong", ["", "ssh", "22-", "65536", "100-50", "1-2-3", "-5"])
def test_what_is_no_port_is_refused_with_one_that_is(wrong: str) -> None:
    with pytest.raises(ConfigError, match="Write 22, 8000-8100"):
        parse_ports([wrong])


def test_ports_of_a_protocol_without_are_refused() -> None:
    check_fit([6, 17], [(22, 22)])
    check_fit([], [(22, 22)])
    check_fit([1, 58], [])
    with pytest.raises(ConfigError, match="icmp has no ports"):
        check_fit([6, 1, 58], [(22, 22)])


@pytest.mark.parametrize(
    ("flows", "text"),
    [
        ({OTHERS: ALL, PORTLESS: ALL, 6: ALL}, "all"),
        ({6: ((22, 22), (443, 443))}, "tcp 22,443"),
        ({1: ALL, 58: ALL, 17: ((53, 53),)}, "icmp; udp 53"),
        ({6: ((53, 53),), OTHERS: ((53, 53),)}, "ports 53"),
        ({6: ((1, 2),), OTHERS: ((3, 4),)}, "tcp 1-2; others with ports 3-4"),
        ({PORTLESS: ALL}, "others without ports"),
    ],
)
def test_flows_are_told_together_where_they_are_alike(flows: Flows, text: str) -> None:
    assert flows_text(flows) == text


@pytest.mark.parametrize(
    ("flows", "named", "text"),
    [
        ({OTHERS: ALL, PORTLESS: ALL, 6: ((0, 5431), (5433, 65535))}, [6], "all but tcp 5432"),
        ({OTHERS: ALL, PORTLESS: ALL}, [6], "all but tcp"),
        ({OTHERS: ALL, PORTLESS: ALL, 6: ((0, 21), (23, 65535))}, [1, 6, 58], "all but icmp; tcp 22"),
        ({OTHERS: ALL, PORTLESS: ALL, 17: ALL}, [17, OTHERS, PORTLESS], "all"),
    ],
)
def test_what_is_nearly_all_is_told_by_what_is_not(flows: Flows, named: list[int], text: str) -> None:
    assert flows_text(flows, named) == text


@given(st.lists(st.integers(0, 255) | st.sampled_from([1, 6, 17, 58]), max_size=6, unique=True))
def test_protocols_come_back_in_the_order_in_which_they_were(protocols: list[int]) -> None:
    assert parse_protocols(protocol_words(protocols)) == protocols
    assert protocol_words([17, 1, 58, 6]) == ["udp", "icmp", "tcp"]
    assert protocol_words([58, 1]) == ["58", "1"]
