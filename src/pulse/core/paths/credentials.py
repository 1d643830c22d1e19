"""The certificates that node records name, by hash: what a record's signature is checked with.

`trust/members.py` knows who people mean; this keeps beside the newest certificate of a node the one its record
names, which may be the one before. Invariant: nothing is held that a trusted CA does not vouch for, that ended,
or that is a revoked node's.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from pulse.core.paths.noderecord import certificate_hash
from pulse.core.trust.certificates import Authority, Certificate, parse, verify
from pulse.core.types import SHORT_ID, NodeId
from pulse.errors import Refused

MOST_NODES: Final = 4096
MOST_OF_A_NODE: Final = 3
"""Certificates of one node: the newest, the one its record names, and one that a record on its way names."""

FRESH: Final = 60.0
"""Seconds for which a certificate that is new to us is taken to be new to others: it travels with its record."""

MOST_FRESH: Final = 256

CLOCK_AGE: Final = 60.0
"""Seconds since the wall clock was read, at most: what began within them has begun."""

MOST_REFUSED: Final = 1024
"""Hashes of refused certificates remembered, so that nobody is asked for them again and again."""


class Credentials:
    """Verified certificates, ours included."""

    def __init__(
        self,
        me: Certificate,
        authorities: Callable[[], Sequence[Authority]],
        named: Callable[[NodeId], bytes | None],
        most: int = MOST_NODES,
    ) -> None:
        """`named` gives the hash of the certificate that the record held of a node names."""
        self._me, self._authorities, self._named, self._most = me, authorities, named, most
        self._trusted = tuple(authorities())
        self._by_hash: dict[bytes, Certificate] = {}
        self._hashes: dict[NodeId, tuple[bytes, ...]] = {}
        """Of each node, the certificate that began first first."""
        self._refused: dict[bytes, None] = {}
        self._fresh: dict[bytes, float] = {}
        """Until when, oldest first."""
        self._revoked: frozenset[NodeId] = frozenset()
        self._wall: float | None = None
        self._floor = me.not_before
        self.seen(me)

    # Facts

    def received(self, der: bytes, now: float) -> Certificate:
        """A certificate came by gossip: read and check it.

        Raises ProtocolError for what no honest node sends, Refused for what we do not believe (now).
        """
        try:
            certificate = parse(der)
            self._check(certificate)
        except Refused:
            self._refuse(hashlib.sha256(der).digest())
            raise
        # One network object for all of them: its names are long, and there may be thousands.
        certificate = replace(certificate, network=self._me.network)
        self._add(certificate)
        self._freshen(certificate, now)
        return certificate

    def seen(self, certificate: Certificate, now: float | None = None) -> bool:
        """A certificate that somebody else verified, just `now` or long ago; True if it was new here."""
        if certificate.node_id in self._revoked or certificate_hash(certificate) in self._by_hash:
            return False
        self._add(certificate)
        if now is not None:
            self._freshen(certificate, now)
        return True

    def clock_read(self, wall: float, floor: float) -> list[Certificate]:
        """What the wall clock says, and the newest time a CA signed: the certificates that ended, which are dropped."""
        self._wall, self._floor = wall, max(floor, self._me.not_before)
        self._refused.clear()
        now = max(wall, self._floor)
        ended = [each for each in self._by_hash.values() if each.not_after < now and each.node_id != self._me.node_id]
        for each in ended:
            self._drop(each.node_id, certificate_hash(each))
        return ended

    def revocations_changed(self, revoked: frozenset[NodeId]) -> None:
        """These nodes are out, and nobody else."""
        self._revoked = revoked
        self._refused.clear()
        for node in revoked.intersection(self._hashes):
            self.forget(node)

    def authorities_changed(self) -> list[Certificate]:
        """Other CA keys count: the certificates that none of them vouches for, which are dropped; ours stays."""
        before, self._trusted = self._trusted, tuple(self._authorities())
        if self._trusted == before:
            return []
        self._refused.clear()
        if all(each in self._trusted for each in before):
            return []
        others = [each for each in self._by_hash.values() if each.node_id != self._me.node_id]
        gone = [each for each in others if not self._is_vouched(each)]
        for each in gone:
            self._drop(each.node_id, certificate_hash(each))
        return gone

    def forget(self, node: NodeId) -> None:
        """Drop what we hold of a node."""
        for each in self._hashes.pop(node, ()):
            del self._by_hash[each]

    def record_taken(self, node: NodeId) -> None:
        """The record of a node names what it names now: drop what only the one before named."""
        self._trim(node, 1)

    # Queries

    def get(self, wanted: bytes) -> Certificate | None:
        """The certificate with that hash."""
        return self._by_hash.get(wanted)

    def newest(self, node: NodeId) -> Certificate | None:
        """The certificate of a node that began last."""
        hashes = self._hashes.get(node)
        return self._by_hash[hashes[-1]] if hashes else None

    def is_fresh(self, wanted: bytes, now: float) -> bool:
        """True if that certificate came so lately that others may not have it."""
        return self._fresh.get(wanted, now) > now

    def is_refused(self, wanted: bytes) -> bool:
        """True if that certificate was refused since the clock was last read."""
        return wanted in self._refused

    def is_settled(self, wanted: bytes) -> bool:
        """True if there is no point in asking for it."""
        return wanted in self._by_hash or wanted in self._refused

    # Details

    def _check(self, certificate: Certificate) -> None:
        if certificate.node_id in self._revoked:
            raise Refused(f"{certificate.node_id[:SHORT_ID]} is revoked")
        wall = self._wall
        if wall is not None:
            wall = max(wall, min(certificate.not_before, wall + CLOCK_AGE))
        verify(certificate, self._authorities(), wall, self._floor)
        if certificate.node_id not in self._hashes and len(self._hashes) >= self._most and self._victim() is None:
            raise Refused(f"no room for another node's certificate; {self._most} are held")

    def _is_vouched(self, certificate: Certificate) -> bool:
        try:
            verify(certificate, self._authorities(), None)
        except Refused:
            return False
        return True

    def _refuse(self, wanted: bytes) -> None:
        self._refused[wanted] = None
        if len(self._refused) > MOST_REFUSED:
            del self._refused[next(iter(self._refused))]

    def _add(self, certificate: Certificate) -> None:
        node, added = certificate.node_id, certificate_hash(certificate)
        if node not in self._hashes and len(self._hashes) >= self._most and (victim := self._victim()):
            self.forget(victim)
        self._by_hash[added] = certificate
        self._hashes[node] = tuple(sorted({*self._hashes.get(node, ()), added}, key=self._age))
        self._trim(node, MOST_OF_A_NODE, added)

    def _freshen(self, certificate: Certificate, now: float) -> None:
        self._fresh[certificate_hash(certificate)] = now + FRESH
        if len(self._fresh) > MOST_FRESH:
            del self._fresh[next(iter(self._fresh))]

    def _age(self, wanted: bytes) -> tuple[float, bytes]:
        return self._by_hash[wanted].not_before, wanted

    def _trim(self, node: NodeId, most: int, *kept: bytes) -> None:
        hashes = self._hashes.get(node, ())
        needed = {hashes[-1], self._named(node), *kept} if hashes else set()
        for each in [each for each in hashes if each not in needed][: max(0, len(hashes) - most)]:
            self._drop(node, each)

    def _drop(self, node: NodeId, dropped: bytes) -> None:
        del self._by_hash[dropped]
        left = tuple(each for each in self._hashes[node] if each != dropped)
        if left:
            self._hashes[node] = left
        else:
            del self._hashes[node]

    def _victim(self) -> NodeId | None:
        """The node met first whose certificate no record needs."""
        return next((node for node in self._hashes if node != self._me.node_id and self._named(node) is None), None)
