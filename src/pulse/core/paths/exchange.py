"""Comparing all that is held with one neighbour, so that nothing missed stays missed.

    A  Digest ──▶ B      at link-up from the lower id, and every minute to one neighbour in turn
    A  ◀── Have   B      every id of the buckets that differ; nothing if none does
    A  records ─▶ B      what B lacks: few are sent, many offered by their ids, for B may have them from others too
    A  Want ────▶ B      what A lacks

Invariant: two nodes that compared and could send in peace hold the same records.
"""

from itertools import islice
from typing import TYPE_CHECKING, Final

from pulse.core.effects import Effect
from pulse.core.messages import Digest, Have
from pulse.core.paths.branch import Branch
from pulse.core.paths.noderecord import NodeRecord, read_id, split_ids
from pulse.core.paths.plumtree import Plumtree
from pulse.core.paths.recordtable import RecordTable
from pulse.core.paths.wants import LATE, Came, Wants
from pulse.core.types import NodeId

if TYPE_CHECKING:
    from random import Random

INTERVAL: Final = 60.0
"""Seconds between two comparisons, whatever the number of neighbours."""

SETTLING: Final = 5.0
"""Seconds after link-up in which a difference means that something was missed; later most are on their way."""

FEW: Final = 32
"""Records sent unasked to a new neighbour that lacks them: asking first costs more time than doubles cost bytes."""


class Exchange:
    """Who compares with whom, and what follows."""

    def __init__(self, me: NodeId, table: RecordTable, tree: Plumtree, wants: Wants, random: "Random") -> None:
        self._me, self._table, self._tree, self._wants, self._random = me, table, tree, wants, random
        self._next: float | None = None

    # Facts

    def link_opened(self, branch: Branch, now: float) -> list[Effect]:
        """A link is up: one of both ends compares at once."""
        if self._next is None:
            self._next = now + self._random.uniform(INTERVAL / 2, INTERVAL)
        return [self._compare(branch, now)] if self._me < branch.node else []

    def digest_received(self, branch: Branch, buckets: bytes, now: float) -> list[Effect]:
        """A neighbour compares: name what we hold where we differ."""
        if branch.digests.level(now) < 1:
            return []
        branch.digests.spend(1, now)
        branch.compared_at = now
        differing = self._table.summary.differing(buckets)
        if not differing:
            return []
        ids = b"".join(record.id12 for record in self._table.inside(differing))
        return [branch.outbox.say(Have(ids, differing), now)]

    def answered(self, branch: Branch, answer: Have, now: float) -> list[Effect]:
        """A neighbour named all it holds where we differ; raises ProtocolError for ids that are none."""
        if not branch.digest:
            return []
        sent, branch.digest = branch.digest, b""
        ids = split_ids(answer.ids)
        theirs = dict(map(read_id, ids))
        settling = now - branch.opened_at < SETTLING
        self._look_for([each for each in ids if not self._table.holds(*read_id(each))], branch, settling, now)
        missed = [each for each in self._table.inside(answer.buckets) if _is_newer(each, theirs)]
        if missed and not (settling and len(missed) <= FEW):
            return [branch.outbox.say(Have(b"".join(each.id12 for each in missed)), now)]
        for record in missed:
            if record.handle.packed not in theirs:
                branch.outbox.add_certificate(record.certificate)
        for record in [*missed, *self._clashing(sent, answer.buckets, theirs)]:
            branch.outbox.add_backlog(record.node)
        return branch.outbox.flush(now)

    # The machine's face

    def deadline(self) -> float | None:
        """When the next comparison is due."""
        return self._next

    def tick(self, now: float) -> list[Effect]:
        """Time has passed: compare with the neighbour whose turn it is."""
        if self._next is None or now < self._next:
            return []
        branches = self._tree.branches()
        if not branches:
            self._next = None
            return []
        self._next = now + INTERVAL
        return [self._compare(min(branches, key=lambda each: (each.compared_at, each.link)), now)]

    # Details

    def _look_for(self, ids: list[bytes], branch: Branch, settling: bool, now: float) -> None:
        came = Came.IN_BULK if len(ids) > FEW else Came.ASKED
        for id12 in ids:
            self._wants.announced(id12, branch.link, now, 0.0 if settling else LATE, came)

    def _compare(self, branch: Branch, now: float) -> Effect:
        branch.compared_at = now
        branch.digest = self._table.summary.packed()
        return branch.outbox.say(Digest(branch.digest), now)

    def _clashing(self, sent: bytes, buckets: bytes, theirs: dict[bytes, tuple[int, int]]) -> list[NodeRecord]:
        """Ours where nothing changed here since we compared and yet all ids agree: one of them has two contents."""
        ours = {each.handle.packed: each.numbers for each in self._table.inside(buckets)}
        if ours != theirs:
            return []
        unchanged = set(buckets) - set(self._table.summary.differing(sent))
        return [*islice(self._table.inside(unchanged), FEW)]


def _is_newer(record: NodeRecord, theirs: dict[bytes, tuple[int, int]]) -> bool:
    return record.numbers > theirs.get(record.handle.packed, (-1, -1))
