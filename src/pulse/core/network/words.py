"""The words of a rule as people type them, judged against the nodes, tags and groups there are.

A glob of ids (`a3f2*`) and the first digits of an id become whole ids here, those known now. Invariant: a word that
means nothing refuses the whole edit, and the refusal says what was perhaps meant.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from pulse.core.cidr import Range, range_of
from pulse.core.likeness import meant
from pulse.core.messages import shortened
from pulse.core.network.draft import Draft
from pulse.core.network.patterns import ANYBODY, CIDR, GROUP, PATTERNS_LIMIT, TAG, is_pattern
from pulse.core.network.ranges import mesh_range
from pulse.core.types import LEAST_PREFIX, SHORT_ID, is_node_id, is_node_name
from pulse.errors import Conflict, NotFound, Refused

FORMS: Final = "a name, tag:x, group:x, an id or its first digits (a3f2*), cidr:10.100.7.0/24, or *"

_HEX: Final = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Words:
    """Reads patterns for one draft."""

    draft: Draft
    ahead: bool = False
    """Names and tags that nobody has yet are meant: for machines still to join."""
    kept: frozenset[str] = frozenset()
    """Patterns that may stand although they mean nobody: they stood before."""

    def read(self, typed: Iterable[str]) -> list[str]:
        """Patterns as a rule keeps them, each once.

        Raises Refused, NotFound for a word that means nothing, or Conflict for digits that begin several ids.
        """
        found = [*dict.fromkeys(pattern for word in typed for pattern in self._read(word.strip()))]
        if not found:
            raise Refused(f"a rule needs somebody on each side. Write {FORMS}")
        if len(found) > PATTERNS_LIMIT:
            raise Refused(f"these are {len(found)} nodes and patterns; {PATTERNS_LIMIT} are allowed. Use a tag")
        return found

    def is_known(self, pattern: str) -> bool:
        """True if a pattern of a rule means somebody, or something other than nodes."""
        plain = pattern == ANYBODY or pattern.startswith(CIDR) or is_node_id(pattern)
        return plain or (is_pattern(pattern) and self._means_something(pattern))

    def _read(self, word: str) -> Sequence[str]:
        if word in self.kept or word == ANYBODY or is_node_id(word):
            return [word]
        if len(word) >= LEAST_PREFIX and _HEX.issuperset(word.removesuffix("*").lower()):
            return self._ids(word.lower())
        if word.startswith(CIDR):
            return [CIDR + str(self._range(word))]
        if not is_pattern(word):
            raise Refused(f'"{shortened(word)}" is no pattern. Write {FORMS}')
        if not self._means_something(word):
            raise NotFound(self._unknown(word))
        return [word]

    def _ids(self, word: str) -> Sequence[str]:
        prefix = word.removesuffix("*")
        found = [*self.draft.roll.starting(prefix)]
        if not found:
            raise NotFound(f'no node\'s id begins with "{shortened(prefix)}". See the nodes: pulse status')
        if len(found) > 1 and prefix == word:
            shown = ", ".join(each[:SHORT_ID] for each in found[:8])
            raise Conflict(f'"{word}" begins {len(found)} ids: {shown}. Type more digits, or {word}* for all')
        return found

    def _range(self, word: str) -> Range:
        found = range_of(word.removeprefix(CIDR))
        if found is None:
            raise Refused(f'"{shortened(word)}" is no range. Write cidr:192.168.7.0/24')
        for mesh in (mesh_range(self.draft.config.settings.mesh_cidr), self.draft.roll.v6):
            if mesh is not None and found != mesh and _holds(found, mesh):
                raise Refused(
                    f"{shortened(word)} holds the whole mesh ({mesh}) and more, so it could mean either.\n"
                    f"For all nodes write * or cidr:{mesh}; for what lies behind a node write a range beside the mesh"
                )
        return found

    def _means_something(self, word: str) -> bool:
        if word.startswith(GROUP):
            return word.removeprefix(GROUP) in self.draft.config.groups
        if word.startswith(TAG):
            return self.ahead or word in self.draft.roll.tags
        return self.ahead or word in self.draft.roll.names

    def _unknown(self, word: str) -> str:
        if word.startswith(TAG):
            tag = word.removeprefix(TAG)
            return (
                f'no node has the tag "{tag}".{self._meant(word)}\n'
                f"Give it first (pulse tag <node> {tag}), or say --ahead if machines still to join will have it"
            )
        if word.startswith(GROUP):
            name = word.removeprefix(GROUP)
            return f'there is no group "{name}".{self._meant(word)}\nMake it: pulse groups set {name} <members>'
        for each in self.draft.members.all():
            if each.host == word:
                return (
                    f'"{word}" is only what that machine asked to be called, and no rule goes by that.\n'
                    f"Name it: pulse name {each.node_id[:SHORT_ID]} {word}"
                )
        return f'no node is called "{word}".{self._meant(word)}\nSee the nodes: pulse status'

    def _meant(self, word: str) -> str:
        """What was perhaps meant, as a sentence to follow another."""
        roll = self.draft.roll
        known = roll.names | roll.tags | {GROUP + name for name in self.draft.config.groups}
        others = [each for each in (TAG + word, GROUP + word) if each in known]
        return f" Did you mean {' or '.join(others)}?" if others else meant(word, sorted(known))


def _holds(found: IPv4Network | IPv6Network, mesh: IPv4Network | IPv6Network) -> bool:
    """True if the one range is in the other."""
    return found.version == mesh.version and found.overlaps(mesh) and found.prefixlen < mesh.prefixlen


def check_group_name(name: str) -> None:
    """Raise Refused if `name` cannot name a group."""
    if not is_node_name(name):
        raise Refused(f'"{shortened(name)}" cannot name a group: lower case letters, digits and inner -, no id')
