"""A rule or a test from the words people type, in a command, a request or a file.

Invariant: words that stand for nodes are left as they are, to be read where the edit is made; all others are read here.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from pulse.core.network.hours import parse_window
from pulse.core.network.patterns import is_pattern
from pulse.core.network.policy import TCP, Rule
from pulse.core.network.ruletext import ICMP, check_fit, check_note, describe, parse_ports, parse_protocols
from pulse.core.network.ruling import AT_THE_END, AssertionAdded, RuleAdded
from pulse.core.network.words import FORMS
from pulse.errors import ConfigError

_GLOB: Final = frozenset("0123456789abcdef*")


def typed_rule(
    sources: Sequence[str],
    destinations: Sequence[str],
    *,
    allow: bool,
    protocols: Iterable[str] = (),
    ports: Iterable[str] = (),
    expires: float | None = None,
    window: str = "",
    redundant: bool = False,
    note: str = "",
    place: int = AT_THE_END,
    ahead: bool = False,
) -> RuleAdded:
    """The edit that adds the rule; raises ConfigError for a word that cannot be read, Refused for a strange note."""
    check_note(note)
    numbers, spans = parse_protocols(protocols), parse_ports(ports)
    check_fit(numbers, spans)
    return RuleAdded(
        [*sources],
        [*destinations],
        allow,
        numbers,
        spans,
        redundant,
        expires,
        parse_window(window) if window else None,
        note,
        place,
        ahead,
    )


def describe_typed(rule: RuleAdded) -> str:
    """The rule on one line, as it was typed."""
    sides = rule.sources, rule.destinations
    return describe(Rule("", *sides, rule.allow, rule.protocols, rule.ports, rule.redundant, rule.expires, rule.window))


def typed_flow(proto: str, port: int) -> tuple[int, int]:
    """Protocol and port of one flow: TCP if there is a port, else a ping, unless a protocol is said.

    Raises ConfigError.
    """
    protocol = parse_protocols([proto])[0] if proto else TCP if port else ICMP[0]
    check_fit([protocol], [(port, port)] if port else [])
    return protocol, port


def typed_assertion(source: str, destination: str, *, allow: bool, proto: str = "", port: int = 0) -> AssertionAdded:
    """The edit that adds the test; raises ConfigError."""
    return AssertionAdded(source, destination, allow, *typed_flow(proto, port))


def check_form(word: str) -> None:
    """Raise ConfigError if `word` can stand for no nodes, whatever network it is for."""
    if not is_pattern(word) and not (word and _GLOB.issuperset(word.lower())):
        raise ConfigError(f'"{word}" is no pattern. Write {FORMS}')
