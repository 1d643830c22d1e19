"""Node records and the certificates they name, from neighbour to neighbour until every node holds the newest.

What came is judged here: whose it is, whether it is signed, whether it is news; `plumtree.py` passes it on,
`exchange.py` finds what was missed, `wants.py` asks for it. Invariant: nothing is held or passed on that was not
verified, so a forged record is always the fault of the neighbour that sent it; a signed one that is unfit, its node's.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from pulse.core.effects import DEBUG, WARNING, CloseLink, Effect, Log
from pulse.core.messages import Digest, Gossiped, Have, NodeRecords, Prune, Want
from pulse.core.paths.branch import Branch
from pulse.core.paths.budget import Tempo, Verdict, size_of
from pulse.core.paths.credentials import Credentials
from pulse.core.paths.exchange import Exchange
from pulse.core.paths.news import CertificateAccepted, Outcome, OwnRecordSeen, RecordAccepted, RecordForgotten
from pulse.core.paths.noderecord import (
    HANDLE_BYTES,
    Claim,
    NodeRecord,
    Unfit,
    certificate_hash,
    is_of_later_release,
    read_id,
    read_record,
    split_ids,
)
from pulse.core.paths.outbox import Shelf
from pulse.core.paths.plumtree import GRAFT, Journey, Plumtree
from pulse.core.paths.recordtable import MOST_RECORDS, Merge, RecordTable
from pulse.core.paths.wants import LATE, Came, Wants
from pulse.core.trust.certificates import Authority, Certificate
from pulse.core.trust.signed import Comparison
from pulse.core.types import SHORT_ID, LinkId, Network, NodeId
from pulse.errors import ProtocolError, PulseError, Refused

if TYPE_CHECKING:
    from random import Random

HASH_BYTES = 32

ALARMS_A_SECOND = 1 / 60
"""Of one kind and node: who signs two records under one number can do so all day."""


@dataclass(slots=True)
class Counts:
    """What was not taken, for metrics."""

    throttled: int = 0
    """Dropped unread, over a neighbour's budget."""
    refused: int = 0
    """Of nodes that are out, under certificates we do not believe, or unfit though signed."""
    stale: int = 0
    """Older than what we hold."""
    duplicates: int = 0
    faults: int = 0
    """Forged or malformed: the link was closed."""


class Gossip:
    """All node records this node knows, its own included."""

    def __init__(
        self,
        network: Network,
        me: Certificate,
        authorities: Callable[[], Sequence[Authority]],
        random: "Random",
        most: int = MOST_RECORDS,
    ) -> None:
        self._network, self._me = network, me.node_id
        self._table = RecordTable(me.node_id, most)
        self._credentials = Credentials(me, authorities, self._named, most)
        self._tree = Plumtree(Shelf(self._table.get, self._credentials.get), random)
        self._records_wanted = Wants(HANDLE_BYTES, lambda id12: self._table.holds(*read_id(id12)))
        self._certificates_wanted = Wants(HASH_BYTES, self._credentials.is_settled)
        self._exchange = Exchange(me.node_id, self._table, self._tree, self._records_wanted, random)
        self._revoked: frozenset[NodeId] = frozenset()
        self._alarms = Tempo(1, ALARMS_A_SECOND)
        self.counts = Counts()

    # Facts: links and what comes on them

    def link_opened(self, link: LinkId, node: NodeId, now: float) -> list[Outcome]:
        """A link is up."""
        return [*self._exchange.link_opened(self._tree.link_opened(link, node, now), now)]

    def link_closed(self, link: LinkId, now: float) -> list[Outcome]:
        """A link is gone."""
        grafts = self._tree.link_closed(link, now)
        for wants in (self._records_wanted, self._certificates_wanted):
            wants.link_closed(link, now)
        return [*grafts, *self._ask(now)]

    def message_received(self, link: LinkId, message: Gossiped, now: float) -> list[Outcome]:
        """A neighbour's message."""
        branch = self._tree.get(link)
        if branch is None or branch.closing:
            return []
        try:
            return [*self._message(branch, message, now), *self._ask(now)]
        except ProtocolError as error:
            return self._fault(branch, error)

    def certificates_received(self, link: LinkId, ders: Sequence[bytes], now: float) -> list[Outcome]:
        """Certificates came on a link, as objects."""
        branch = self._tree.get(link)
        effects: list[Outcome] = []
        for der in ders:
            if branch is None or branch.closing:
                break
            try:
                effects += self._certificate_received(branch, der, now)
            except ProtocolError as error:
                effects += self._fault(branch, error)
        return [*effects, *self._ask(now)]

    # Facts: what others decided

    def certificate_seen(self, certificate: Certificate, now: float) -> list[Outcome]:
        """A certificate verified elsewhere: a handshake showed it, or ours was renewed."""
        return self._release(certificate_hash(certificate), now) if self._credentials.seen(certificate, now) else []

    def certificate_restored(self, certificate: Certificate) -> list[Outcome]:
        """A certificate verified elsewhere that we held in an earlier run; others do too."""
        self._credentials.seen(certificate)
        return []

    def record_made(self, record: NodeRecord, now: float) -> list[Outcome]:
        """A new version of our own record; `certificate_seen` was told of the certificate it names."""
        return self._taken(record, None, Came.UNASKED, now)

    def revocations_changed(self, revoked: frozenset[NodeId]) -> list[Outcome]:
        """These nodes are out, and nobody else; so are those whose certificate no CA key that counts vouches for."""
        self._revoked = revoked
        self._credentials.revocations_changed(revoked)
        gone = self._dropped(self._credentials.authorities_changed())
        return [*gone, *(RecordForgotten(node) for node in sorted(revoked) if self._table.forget(node))]

    def clock_read(self, wall: float, floor: float = 0.0) -> list[Outcome]:
        """The wall clock, and the newest time a CA signed: records whose certificate ended go."""
        return self._dropped(self._credentials.clock_read(wall, floor))

    def node_expired(self, node: NodeId) -> list[Outcome]:
        """Nobody reaches the node any more: should room be needed, its record goes first."""
        self._table.node_expired(node)
        return []

    def node_returned(self, node: NodeId) -> list[Outcome]:
        """The node is there again."""
        self._table.node_returned(node)
        return []

    # The machine's face

    def deadline(self) -> float | None:
        """When the first of the parts wants to be woken."""
        parts = (self._tree, self._exchange, self._records_wanted, self._certificates_wanted)
        return min((due for part in parts if (due := part.deadline()) is not None), default=None)

    def tick(self, now: float) -> list[Outcome]:
        """Time has passed."""
        due = self.deadline()
        if due is None or now < due:
            return []
        return [*self._ask(now), *self._exchange.tick(now), *self._tree.tick(now)]

    # Queries

    def record(self, node: NodeId) -> NodeRecord | None:
        """The newest record of a node."""
        return self._table.get(node)

    def records(self) -> list[NodeRecord]:
        """Every record, ours included."""
        return [*self._table.all()]

    def lacking(self) -> int:
        """Of how many nodes neighbours named a record while we hold none."""
        named = {read_id(id12)[0] for id12 in self._records_wanted}
        return sum(self._table.at(handle) is None for handle in named)

    def is_complete(self) -> bool:
        """True if we look for no node that neighbours named, and for no certificate."""
        return not self.lacking() and not len(self._certificates_wanted)

    def certificate(self, node: NodeId) -> Certificate | None:
        """The newest certificate of a node."""
        return self._credentials.newest(node)

    def statistics(self) -> dict[str, int]:
        """Records held, and what was not taken, by name."""
        return {"records": len(self._table), **asdict(self.counts)}

    def summary(self) -> bytes:
        """What a `Digest` says of all we hold: equal at two nodes that hold the same."""
        return self._table.summary.packed()

    # Details

    def _dropped(self, certificates: Iterable[Certificate]) -> list[Outcome]:
        named = (each.node_id for each in certificates if self._named(each.node_id) == certificate_hash(each))
        return [RecordForgotten(node) for node in named if self._table.forget(node)]

    def _named(self, node: NodeId) -> bytes | None:
        return record.certificate if (record := self._table.get(node)) else None

    def _message(self, branch: Branch, message: Gossiped, now: float) -> list[Outcome]:
        if isinstance(message, NodeRecords):
            return self._records_received(branch, message.records, now)
        verdict = branch.budget.judge(0, size_of(message), now)
        if verdict is not Verdict.TAKE:
            return self._throttled(branch, verdict)
        match message:
            case Prune():
                branch.eager = False
                return []
            case Digest(buckets):
                return [*self._exchange.digest_received(branch, buckets, now)]
            case Want():
                return self._asked(branch, message, now)
            case Have():
                return self._named_by(branch, message, now)

    def _records_received(self, branch: Branch, records: Sequence[bytes], now: float) -> list[Outcome]:
        effects: list[Outcome] = []
        for data in records:
            verdict = branch.budget.judge(1, len(data), now)
            if verdict is not Verdict.TAKE:
                effects += self._throttled(branch, verdict)
            elif is_of_later_release(data):
                self.counts.refused += 1
            else:
                effects += self._judged(branch, data, now)
            if branch.closing:
                break
        return effects

    def _judged(self, branch: Branch, data: bytes, now: float) -> list[Outcome]:
        try:
            return self._record_received(branch, read_record(data), now)
        except (ProtocolError, Refused) as error:
            return self._fault(branch, error)

    def _record_received(self, branch: Branch, claim: Claim, now: float) -> list[Outcome]:
        certificate = self._credentials.get(claim.certificate)
        if certificate is None:
            return self._hold(branch, claim, now)
        node = certificate.node_id
        came = self._records_wanted.answered(branch.link, certificate.addresses.v4.packed, now)
        held = self._table.get(node)
        if held is not None and claim.data == held.data:
            self.counts.duplicates += 1
            return [*self._tree.duplicate_received(branch, node, now)] if came is Came.UNASKED else []
        if held is not None and claim.numbers < held.numbers:
            # It cannot matter any more, so its signature need not be looked at.
            self.counts.stale += 1
            return []
        try:
            record = claim.vouched(certificate, self._network)
        except Unfit as error:
            if branch.node == node:
                raise
            # Another release, or another Python, may find nothing wrong with it and pass it on.
            self.counts.refused += 1
            return [Log("record refused", DEBUG, {"node": node[:SHORT_ID], "error": str(error)})]
        if node == self._me:
            return [OwnRecordSeen(record.boot, record.seq, held is not None and held.numbers == record.numbers)]
        return self._taken(record, branch, came, now)

    def _hold(self, branch: Branch, claim: Claim, now: float) -> list[Outcome]:
        if self._credentials.is_refused(claim.certificate):
            self.counts.refused += 1
        else:
            branch.hold(claim)
            self._certificates_wanted.announced(claim.certificate, branch.link, now)
        return []

    def _taken(self, record: NodeRecord, branch: Branch | None, came: Came, now: float) -> list[Outcome]:
        before = self._table.get(record.node)
        certificate = self._credentials.get(record.certificate)
        merge = self._table.merge(record, certificate.not_before if certificate else 0.0)
        effects: list[Outcome] = self._alarm(record, merge, now)
        if not merge.taken:
            if branch is not None and merge.comparison is Comparison.CLASH_OURS:
                branch.outbox.add_fresh(record.node)
                effects += branch.outbox.flush(now)
            return effects
        self._records_wanted.arrived(record.id12)
        self._credentials.record_taken(record.node)
        if merge.forgotten is not None:
            effects.append(RecordForgotten(merge.forgotten))
        if branch is not None:
            effects.append(RecordAccepted(record))
        certified = (before is None or before.certificate != record.certificate) and self._credentials.is_fresh(
            record.certificate, now
        )
        journey = Journey(branch.link if branch else None, certified, came is Came.IN_BULK)
        return [*effects, *self._tree.record_taken(record, journey, now)]

    def _alarm(self, record: NodeRecord, merge: Merge, now: float) -> list[Outcome]:
        what = "two records under one number" if merge.comparison.is_alarm else "two nodes under one address"
        if not (merge.comparison.is_alarm or merge.address_clash) or self._alarms.take(record.node, now) > now:
            return []
        return [Log(what, WARNING, {"node": record.node[:SHORT_ID]})]

    def _certificate_received(self, branch: Branch, der: bytes, now: float) -> list[Outcome]:
        verdict = branch.budget.judge(1, len(der), now)
        if verdict is not Verdict.TAKE:
            return self._throttled(branch, verdict)
        wanted = sha256(der).digest()
        self._certificates_wanted.answered(branch.link, wanted, now)
        if self._credentials.is_settled(wanted):
            return []
        try:
            certificate = self._credentials.received(der, now)
        except Refused as error:
            # Its CA may be one we have not heard of yet, or our clock wrong: no fault of the neighbour's.
            self.counts.refused += 1
            for each in self._tree.branches():
                each.held.pop(wanted, None)
            return [Log("certificate refused", DEBUG, {"error": str(error)})]
        is_news = self._credentials.newest(certificate.node_id) is certificate and certificate.node_id != self._me
        news: list[Outcome] = [CertificateAccepted(certificate)] if is_news else []
        return news + self._release(wanted, now)

    def _release(self, certificate: bytes, now: float) -> list[Outcome]:
        self._certificates_wanted.arrived(certificate)
        waiting = [(branch, branch.held.pop(certificate, None)) for branch in self._tree.branches()]
        judged = [self._judged(branch, claim.data, now) for branch, claim in waiting if claim is not None]
        return [effect for effects in judged for effect in effects]

    def _named_by(self, branch: Branch, have: Have, now: float) -> list[Outcome]:
        if have.buckets and branch.digest:
            return [*self._exchange.answered(branch, have, now)]
        for id12 in split_ids(have.ids):
            handle, numbers = read_id(id12)
            record = self._table.at(handle)
            if record is None or record.numbers < numbers:
                wait, came = (0.0, Came.IN_BULK) if self._tree.is_rush(now) else (LATE, Came.ASKED)
                self._records_wanted.announced(id12, branch.link, now, wait, came)
            elif record.numbers == numbers:
                branch.shows(record.node)
        return []

    def _asked(self, branch: Branch, want: Want, now: float) -> list[Outcome]:
        branch.eager |= want == GRAFT
        for id12 in split_ids(want.ids):
            handle, numbers = read_id(id12)
            record = self._table.at(handle)
            if record is not None and record.numbers >= numbers:
                branch.outbox.add_backlog(record.node)
        for wanted in split_ids(want.certificates, HASH_BYTES):
            if self._credentials.get(wanted) is not None:
                branch.outbox.add_certificate(wanted)
        return [*branch.outbox.flush(now)]

    def _ask(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for asking in self._records_wanted.due(now):
            if (branch := self._tree.get(asking.link)) is not None:
                effects.append(branch.outbox.say(Want(b"".join(asking.keys)), now))
                if not asking.in_bulk:
                    effects += self._tree.record_late(branch, now)
        for asking in self._certificates_wanted.due(now):
            if (branch := self._tree.get(asking.link)) is not None:
                effects.append(branch.outbox.say(Want(b"", b"".join(asking.keys)), now))
        return effects

    def _throttled(self, branch: Branch, verdict: Verdict) -> list[Outcome]:
        self.counts.throttled += 1
        if verdict is Verdict.DROP:
            return []
        return self._close(branch, "too many records", Log("neighbour sends too much", WARNING, _of(branch)))

    def _fault(self, branch: Branch, error: PulseError) -> list[Outcome]:
        self.counts.faults += 1
        log = Log("neighbour broke the protocol", WARNING, {**_of(branch), "error": str(error)})
        return self._close(branch, "protocol", log)

    def _close(self, branch: Branch, reason: str, log: Log) -> list[Outcome]:
        branch.closing = True
        return [CloseLink(branch.link, reason), log]


def _of(branch: Branch) -> dict[str, object]:
    return {"node": branch.node[:SHORT_ID]}
