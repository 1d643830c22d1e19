"""Reads a ruleset of nftables, as `nft -j list ruleset` prints it, for one question: is UDP to a port dropped?

Invariant: only what is dropped for certain is told; a rule that depends on what we cannot know decides nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

DEEPEST: Final = 16
"""Chains that jump to one another; nft allows no more."""

_SHUT: Final = frozenset({"drop", "reject"})
_OPEN: Final = frozenset({"accept"})
_UDP: Final = frozenset({"udp", 17})
_REPLIES: Final = frozenset({"established", "related"})
_HOOKS: Final = frozenset({"input", "prerouting"})


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What a chain makes of the packet: dropped by `rule`, or let pass, or unknown after all (`settled` is False)."""

    settled: bool
    rule: str = ""


_PASSED: Final = _Verdict(True)
_UNKNOWN: Final = _Verdict(False)


def dropping(ruleset: object, port: int) -> list[str]:
    """Name the rules by which UDP from a stranger to `port` of this machine is dropped, as a person would find them."""
    items = ruleset.get("nftables", []) if isinstance(ruleset, dict) else []
    chains = [item["chain"] for item in items if isinstance(item, dict) and "chain" in item]
    rules: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for item in items:
        if isinstance(item, dict) and "rule" in item:
            rules.setdefault(_place(item["rule"], "chain"), []).append(item["rule"])
    found = []
    for chain in chains:
        if chain.get("hook") in _HOOKS and chain.get("type") in ("filter", None):
            verdict = _walk(rules, _place(chain, "name"), port, 0)
            if verdict and verdict.rule:
                found.append(verdict.rule)
            elif (
                verdict is None and chain.get("policy") == "drop" and not _may_pass(rules, _place(chain, "name"), port)
            ):
                found.append(f"policy drop of {_named(chain, 'name')}")
    return found


def _walk(
    rules: Mapping[tuple[str, str, str], Sequence[dict[str, Any]]], at: tuple[str, str, str], port: int, depth: int
) -> _Verdict | None:
    """The verdict of a chain; None if the packet comes to its end."""
    if depth > DEEPEST:
        return _UNKNOWN
    for rule in rules.get(at, ()):
        expressions = rule.get("expr", [])
        matches = _matches(expressions, port)
        if matches is None and _opens(expressions) and not _is_for_known(expressions):
            # It may have let the packet pass before anything below drops it.
            return _UNKNOWN
        if matches is not True:
            continue
        for each in expressions:
            if _SHUT & each.keys():
                return _Verdict(True, f"a rule of {_named(rule, 'chain')} (handle {rule.get('handle', '?')})")
            if _OPEN & each.keys():
                return _PASSED
            for word in ("jump", "goto"):
                if word in each:
                    verdict = _walk(rules, (at[0], at[1], each[word]["target"]), port, depth + 1)
                    if verdict or word == "goto":
                        return verdict
            if "return" in each:
                return None
    return None


def _opens(expressions: Sequence[dict[str, Any]]) -> bool:
    """True if a rule lets pass, or sends on to where that may be."""
    return any((_OPEN | {"jump", "goto", "vmap"}) & each.keys() for each in expressions)


def _may_pass(
    rules: Mapping[tuple[str, str, str], Sequence[dict[str, Any]]], at: tuple[str, str, str], port: int, depth: int = 0
) -> bool:
    """True if some rule may accept the packet of a stranger before the policy drops it."""
    if depth > DEEPEST:
        return True
    for rule in rules.get(at, ()):
        expressions = rule.get("expr", [])
        if _matches(expressions, port) is False or _is_for_known(expressions):
            continue
        for each in expressions:
            target = each.get("jump") or each.get("goto")
            if (
                _OPEN & each.keys()
                or "vmap" in each
                or (target and _may_pass(rules, (*at[:2], target["target"]), port, depth + 1))
            ):
                return True
    return False


def _is_for_known(expressions: Sequence[dict[str, Any]]) -> bool:
    """True of a rule for answers to what we sent, or for the loopback: no stranger comes in by it."""
    for left, operator, right in _comparisons(expressions):
        if left.get("ct", {}).get("key") == "state" and _words(right) <= _REPLIES and operator in ("==", "in"):
            return True
        if left.get("meta", {}).get("key") == "iifname" and right == "lo" and operator == "==":
            return True
    return False


def _matches(expressions: Sequence[dict[str, Any]], port: int) -> bool | None:
    """Whether a rule is about UDP to `port`; None if that depends on what is not known here."""
    certain = True
    for each in expressions:
        if "xt" in each:
            certain = False
    for left, operator, right in _comparisons(expressions):
        is_true = _compare(left, operator, right, port)
        if is_true is False:
            return False
        certain = certain and is_true is True
    return True if certain else None


def _compare(left: dict[str, Any], operator: str, right: object, port: int) -> bool | None:
    payload, meta = left.get("payload", {}), left.get("meta", {})
    if payload.get("protocol") in ("udp", "th") and payload.get("field") == "dport":
        holds = _holds(right, port)
    elif payload.get("protocol") in ("tcp", "icmp", "icmpv6", "sctp"):
        return False
    elif meta.get("key") == "iifname" and right == "lo":
        holds = False
    elif meta.get("key") == "l4proto" or payload.get("field") in ("protocol", "nexthdr"):
        holds = bool(_words(right) & _UDP)
    else:
        return None
    return None if holds is None else holds if operator in ("==", "in") else not holds


def _comparisons(expressions: Sequence[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], str, Any]]:
    for each in expressions:
        match = each.get("match") if isinstance(each, dict) else None
        if match and isinstance(match.get("left"), dict):
            yield match["left"], match.get("op", "=="), match.get("right")


def _holds(right: object, port: int) -> bool | None:
    """Whether a number, a range or a set has the port; None for a named set, whose elements stand elsewhere."""
    match right:
        case int():
            return right == port
        case {"range": [int(low), int(high)]}:
            return low <= port <= high
        case {"set": [*members]}:
            held = [_holds(each, port) for each in members]
            return True if True in held else None if None in held else False
        case _:
            return None


def _words(right: object) -> frozenset[Any]:
    match right:
        case str() | int():
            return frozenset({right})
        case {"set": [*members]}:
            return frozenset(each for each in members if isinstance(each, str | int))
        case [*members]:
            return frozenset(each for each in members if isinstance(each, str | int))
        case _:
            return frozenset({None})


def _place(item: dict[str, Any], word: str) -> tuple[str, str, str]:
    return str(item.get("family")), str(item.get("table")), str(item.get(word))


def _named(item: dict[str, Any], word: str) -> str:
    return "table {} {}, chain {}".format(*_place(item, word))
