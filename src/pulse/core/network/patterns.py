"""Whom a pattern of a rule fits.

A pattern is `*`, a whole node id, a name, `tag:x`, `group:x`, or `cidr:` for the nodes that have a mesh address in the
range, and for what lies behind nodes there, as source and as destination alike. Whoever fits, fits with all that lies
behind it. Invariant: what cannot be read only ever denies: a pattern of an unknown form, or of a group that is
not there or holds such a pattern, is nobody where a rule allows, and everybody where it denies.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final, NamedTuple

import msgspec

from pulse.core.cidr import Range, range_of
from pulse.core.effects import RangesBehind
from pulse.core.network.located import Located
from pulse.core.trust.identity import is_tag
from pulse.core.types import NodeId, ShortText, is_node_id, is_node_name

ANYBODY: Final = "*"
TAG: Final = "tag:"
GROUP: Final = "group:"
CIDR: Final = "cidr:"

PATTERNS_LIMIT: Final = 256
"""Patterns on one side of a rule, and members of a group."""

GROUPS_LIMIT: Final = 256

Pattern = Annotated[str, msgspec.Meta(max_length=80)]
Patterns = Annotated[list[Pattern], msgspec.Meta(max_length=PATTERNS_LIMIT)]
Groups = Annotated[dict[ShortText, Patterns], msgspec.Meta(max_length=GROUPS_LIMIT)]
"""Members of each group: names, whole node ids and tags; a group is in no other."""

NO_GROUPS: Final[Mapping[str, Sequence[str]]] = {}


class Subject(NamedTuple):
    """A node, as rules see it."""

    node: NodeId
    handle: str
    name: str | None
    """The one signed for it; what a machine asked to be called never matches a rule."""
    tags: tuple[str, ...]
    v6: str = ""
    """Its IPv6 mesh address; the IPv4 one is its handle."""

    def wears(self) -> tuple[str, ...]:
        """The patterns that fit this node and name no group."""
        return (self.node, *([self.name] if self.name else []), *(TAG + tag for tag in self.tags))


@dataclass(frozen=True, slots=True)
class Wearing:
    """Which nodes each pattern fits, worked out once for all rules."""

    fits: Mapping[str, frozenset[str]]
    """Handles by pattern."""
    groups: frozenset[str]
    """Patterns of the groups all of whose members are known."""
    addresses: Sequence[tuple[str, str]] = ()
    """Handle and IPv6 address of each node."""
    leading: Sequence[tuple[str, Range]] = ()
    """Approved ranges, and the handles of the nodes that lead there."""
    _located: list[Located] = field(default_factory=list, compare=False, repr=False)
    """By address, once somebody asked for a range: at most one."""

    @classmethod
    def of(
        cls,
        subjects: Iterable[Subject],
        groups: Mapping[str, Sequence[str]] = NO_GROUPS,
        leading: Sequence[tuple[str, Range]] = (),
    ) -> "Wearing":
        """Of these nodes now."""
        found: dict[str, set[str]] = {}
        addresses: list[tuple[str, str]] = []
        for each in subjects:
            addresses.append((each.handle, each.v6))
            for pattern in each.wears():
                found.setdefault(pattern, set()).add(each.handle)
        grouped = {
            GROUP + name: set[str]().union(*(found.get(member, ()) for member in members))
            for name, members in groups.items()
        }
        known = frozenset(GROUP + name for name, members in groups.items() if all(map(_is_member, members)))
        return cls(
            {pattern: frozenset(handles) for pattern, handles in (found | grouped).items()}, known, addresses, leading
        )

    def handles(self, patterns: Sequence[str], *, allow: bool) -> frozenset[str] | None:
        """The handles that one side of a rule fits; None for everybody."""
        if ANYBODY in patterns or (not allow and not all(map(self._is_known, patterns))):
            return None
        return frozenset[str]().union(*map(self._fitting, patterns))

    def behind(self, patterns: Sequence[str]) -> RangesBehind:
        """The ranges that one side of a rule names, and who leads to any address in one of them."""
        named = ranges_named(patterns)
        leading = {handle for handle, there in self.leading if any(map(there.overlaps, named))}
        return RangesBehind(tuple(map(str, named)), tuple(sorted(leading)))

    def _fitting(self, pattern: str) -> frozenset[str]:
        if not pattern.startswith(CIDR):
            return self.fits.get(pattern, frozenset())
        if not is_pattern(pattern):
            return frozenset()
        if not self._located:
            self._located.append(Located.of(self.addresses))
        return self._located[0].within(pattern.removeprefix(CIDR))

    def _is_known(self, pattern: str) -> bool:
        """True if it is certain whom the pattern fits."""
        return pattern in self.groups if pattern.startswith(GROUP) else is_pattern(pattern)


def ranges_named(patterns: Sequence[str]) -> tuple[Range, ...]:
    """The ranges among them."""
    texts = (each.removeprefix(CIDR) for each in patterns if each.startswith(CIDR) and is_pattern(each))
    return tuple(found for found in map(range_of, texts) if found is not None)


def is_pattern(pattern: str) -> bool:
    """True if this release can read the pattern; a group of that name may still be missing."""
    kind, colon, rest = pattern.partition(":")
    match kind + colon:
        case "tag:":
            return is_tag(rest)
        case "group:":
            return is_node_name(rest)
        case "cidr:":
            return range_of(rest) is not None
        case _:
            return pattern == ANYBODY or is_node_id(pattern) or is_node_name(pattern)


def _is_member(pattern: str) -> bool:
    """True if this release knows whom the pattern fits inside a group."""
    return is_pattern(pattern) and pattern != ANYBODY and not pattern.startswith((GROUP, CIDR))
