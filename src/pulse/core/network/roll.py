"""The nodes of a draft, as the words of its rules see them.

Invariant: it is worked out once for all edits that leave names and tags alone, so many edits together cost no more for
each of them than one.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Network
from itertools import islice, takewhile

from pulse.core.network.patterns import TAG, Subject
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.identity import mesh_prefix
from pulse.core.trust.members import Members, Naming, rule_name, tags
from pulse.core.types import NodeId


@dataclass(frozen=True, slots=True)
class Roll:
    """All nodes, and the words they are known by."""

    subjects: tuple[Subject, ...]
    ids: tuple[NodeId, ...]
    """In their order."""
    names: frozenset[str]
    """Of nodes that the config names and nobody has met, too."""
    tags: frozenset[str]
    """As patterns: `tag:x`."""
    v6: IPv6Network | None
    """The range of all IPv6 mesh addresses; None if nobody is known."""

    @classmethod
    def of(cls, members: Members, naming: Naming) -> "Roll":
        """As these are called."""
        subjects = tuple(_subject(each, naming) for each in members.all())
        worn = {tag for each in subjects for tag in each.tags}
        return cls(
            subjects,
            tuple(sorted(each.node for each in subjects)),
            frozenset((*naming.names.values(), *(each.name for each in subjects if each.name))),
            frozenset(TAG + tag for tag in worn.union(*naming.tags.values())),
            next((mesh_prefix(each.network) for each in members.all()), None),
        )

    def starting(self, prefix: str) -> Iterator[NodeId]:
        """The ids that begin so, in their order."""
        first = bisect_left(self.ids, prefix)
        return takewhile(lambda each: each.startswith(prefix), islice(self.ids, first, None))


def _subject(of: Certificate, naming: Naming) -> Subject:
    v4, v6 = map(str, (of.addresses.v4, of.addresses.v6))
    return Subject(of.node_id, v4, rule_name(of, naming), tags(of, naming), v6)
