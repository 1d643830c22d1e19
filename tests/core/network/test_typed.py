"""Typed rules: words of commands and files become edits, or are refused with an example."""

import pytest

from pulse.core.network.hours import Window
from pulse.core.network.ruling import AssertionAdded, RuleAdded
from pulse.core.network.typed import check_form, describe_typed, typed_assertion, typed_flow, typed_rule
from pulse.errors import ConfigError, PulseError


def test_a_rule_is_the_edit_that_adds_it() -> None:
    typed = typed_rule(
        ["web", "tag:x"],
        ["db"],
        allow=False,
        protocols=["tcp"],
        ports=["22", "80-90"],
        expires=9.0,
        window="mon,09:00-10:00",
        redundant=True,
        note="why",
        place=2,
        ahead=True,
    )

    assert typed == RuleAdded(
        ["web", "tag:x"], ["db"], False, [6], [(22, 22), (80, 90)], True, 9.0, Window(1, 540, 600), "why", 2, True
    )
    assert describe_typed(typed) == (
        "deny web tag:x → db tcp 22,80-90, until 1970-01-01T00:00:09Z, mon 09:00-10:00 UTC, redundant"
    )


@pytest.mark.parametrize(
    "wrong", [{"ports": ["ssh"]}, {"protocols": ["tpc"]}, {"window": "noon"}, {"note": "a\nb"}, {"note": "\x1b[2J"}]
)
def test_what_cannot_be_read_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(PulseError):
        typed_rule(["web"], ["db"], allow=True, **wrong)  # type: ignore[arg-type]


def test_a_flow_is_tcp_with_a_port_and_a_ping_without_unless_said_otherwise() -> None:
    assert typed_flow("", 22) == (6, 22)
    assert typed_flow("", 0) == (1, 0)
    assert typed_flow("udp", 53) == (17, 53)
    with pytest.raises(ConfigError, match="no ports"):
        typed_flow("icmp", 22)
    assert typed_assertion("web", "*", allow=False, port=22) == AssertionAdded("web", "*", False, 6, 22)


def test_words_are_known_by_their_form_alone() -> None:
    for word in ("*", "web", "tag:x", "group:x", "a3f2*", "A3F2", "cidr:10.0.0.0/8", "f" * 64):
        check_form(word)
    for word in ("", "WEB", "web-*", "tag:", "x y", "\x1b"):
        with pytest.raises(ConfigError, match="no pattern"):
            check_form(word)
