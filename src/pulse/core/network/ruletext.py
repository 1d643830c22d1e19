"""Rules as people write and read them: protocols, ports, and a rule on one line.

Invariant: what is written here is read here, and what cannot be read is refused with an example of what can.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from pulse.core.messages import printable
from pulse.core.network.policy import TCP, WITH_PORTS, Rule
from pulse.core.network.reach import ALL, OTHERS, PORTLESS, Flows, Spans, without
from pulse.errors import ConfigError, Refused

ICMP: Final = (1, 58)
"""ICMP, and what it is called in IPv6: people mean both."""

PROTOCOLS: Final[Mapping[str, tuple[int, ...]]] = {
    "tcp": (TCP,),
    "udp": (17,),
    "icmp": ICMP,
    "sctp": (132,),
    "gre": (47,),
    "esp": (50,),
}

_HIGHEST: Final = 65535
_PORTS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")


def parse_protocols(words: Iterable[str]) -> list[int]:
    """IP protocols of words like `tcp`, `icmp`, `47`; raises ConfigError."""
    found: list[int] = []
    for word in words:
        number = int(word) if re.fullmatch(r"\d{1,3}", word) else -1
        numbers = PROTOCOLS.get(word.lower(), (number,) if 0 <= number <= 255 else ())
        if not numbers:
            raise ConfigError(
                f'"{printable(word)}" is no protocol. Write {", ".join(PROTOCOLS)}, or a number up to 255'
            )
        found += [each for each in numbers if each not in found]
    return found


def parse_ports(words: Iterable[str]) -> list[tuple[int, int]]:
    """Port ranges of words like `22`, `8000-8100`; raises ConfigError."""
    return [_span(word) for word in words]


def check_fit(protocols: Sequence[int], ports: Sequence[tuple[int, int]]) -> None:
    """Raise ConfigError for ports of protocols that have none: such a rule would match nothing."""
    if ports and protocols and not WITH_PORTS.issuperset(protocols):
        without = protocols_text([each for each in protocols if each not in WITH_PORTS])
        raise ConfigError(f"{without} has no ports, so no packet of it would match. Leave out the ports, or {without}")


def check_note(note: str) -> None:
    """Raise Refused for a note that could move a terminal, or looks like more than one line."""
    if not note.isprintable():
        raise Refused("a note is one line of plain text")


def describe(rule: Rule) -> str:
    """`allow tag:backend → tag:db tcp 5432, until 2026-12-24T18:00:00Z, mon-fri 09:00-18:00 UTC, redundant`."""
    sides = f"{' '.join(map(shown, rule.sources))} → {' '.join(map(shown, rule.destinations))}"
    what = " ".join(filter(None, (protocols_text(rule.protocols), ports_text(rule.ports))))
    line = f"{'allow' if rule.allow else 'deny'} {sides} {what}".rstrip()
    until = "" if rule.expires is None else f"until {_moment_text(rule.expires)}"
    redundant = "redundant" if rule.redundant else ""
    return ", ".join(filter(None, (line, until, str(rule.window or ""), redundant)))


def shown(pattern: str) -> str:
    """A pattern for people: whole ids by their first digits, all else as it is."""
    return printable(f"{pattern[:12]}…" if len(pattern) == 64 else pattern)


def protocols_text(protocols: Sequence[int]) -> str:
    """`tcp,udp,icmp`; empty for any."""
    words: list[str] = []
    left = set(protocols)
    for name, numbers in PROTOCOLS.items():
        if left.issuperset(numbers):
            words.append(name)
            left.difference_update(numbers)
    return ",".join([*words, *map(str, sorted(left))])


def protocol_words(protocols: Sequence[int]) -> list[str]:
    """The words that `parse_protocols` reads as these very protocols, in their order."""
    words: list[str] = []
    left = [*protocols]
    while left:
        name = next((name for name, numbers in PROTOCOLS.items() if left[: len(numbers)] == [*numbers]), None)
        words.append(str(left[0]) if name is None else name)
        del left[: len(PROTOCOLS[name]) if name else 1]
    return words


def ports_text(ports: Iterable[tuple[int, int]]) -> str:
    """`22,8000-8100`; empty for any."""
    return ",".join(f"{low}" if low == high else f"{low}-{high}" for low, high in ports)


def flows_text(flows: Flows, named: Iterable[int] = ()) -> str:
    """What passes between two nodes: `all`, `all but tcp 22`, `tcp 22,443`, `ports 53; icmp`.

    `named` are the protocols that were looked at each by itself, be they among the flows or not.
    """
    if flows.get(OTHERS) == flows.get(PORTLESS) == ALL:
        rest = {each: without(ALL, flows.get(each, ())) for each in sorted({*named, *flows})}
        missing = {each: spans for each, spans in rest.items() if spans}
        return f"all but {_together(missing)}" if missing else "all"
    return _together(flows)


def _together(flows: Flows) -> str:
    """Protocols with the same ports are told as one."""
    alike: dict[Spans, list[int]] = {}
    for protocol, spans in flows.items():
        alike.setdefault(spans, []).append(protocol)
    with_ports = {each for each in flows if each in WITH_PORTS or each == OTHERS}
    return "; ".join(_alike_text(protocols, spans, with_ports) for spans, protocols in alike.items())


def _alike_text(protocols: Sequence[int], spans: Spans, with_ports: set[int]) -> str:
    if spans != ALL and OTHERS in protocols and with_ports.issubset(protocols):
        return f"ports {ports_text(spans)}"
    others = {OTHERS: "others with ports", PORTLESS: "others without ports"}
    named = protocols_text([each for each in protocols if each >= 0])
    words = ",".join(filter(None, [named, *(others[each] for each in protocols if each in others)]))
    return words if spans == ALL else f"{words} {ports_text(spans)}"


def _moment_text(at: float) -> str:
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _span(word: str) -> tuple[int, int]:
    found = _PORTS.fullmatch(word.strip())
    low, high = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if not low <= high <= _HIGHEST:
        raise ConfigError(f'"{printable(word)}" is no port. Write 22, 8000-8100, or several: 22,443')
    return low, high
