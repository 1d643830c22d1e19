"""Brings back what an earlier run knew: signed objects and peers; and keeps the peer table for the next one.

Invariant: what comes from disk is judged like what comes from a neighbour; only the signed objects may refuse a start.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pulse import clock
from pulse.core.effects import NOTHING, Effect, PolicyChanged
from pulse.core.mesh import Mesh
from pulse.core.messages import ObjectKind
from pulse.core.trust.certificates import Certificate, parse, verify
from pulse.core.trust.members import label
from pulse.core.types import SHORT_ID
from pulse.errors import PulseError
from pulse.store import peers
from pulse.store.netconfig import NetworkStore

log = logging.getLogger(__name__)

ADDRESSES_KEPT = 4
"""Addresses kept of each peer: where it was dialled and seen last."""


@dataclass(frozen=True, slots=True)
class PersistService:
    """What a node remembers over a restart."""

    data_dir: Path
    mesh: Mesh
    store: NetworkStore
    keep_peers: bool

    def restore(self, now: float) -> list[Effect]:
        """Certificates first, for a scribe's word is judged by its own; then what was said; then whom to look for."""
        known = self._known_peers()
        for certificate, _ in known:
            self.mesh.members.certificate_seen(certificate)
        effects = self._restore_objects(now)
        for certificate, addresses in known:
            effects += _sound("peer", partial(self.mesh.peer_restored, certificate, addresses, now))
        return [*effects, *_sound("tables", lambda: [self.mesh.tables()])] if known else effects

    def _restore_objects(self, now: float) -> list[Effect]:
        """Roles, revocations and config, in the order in which each gives the right to the next."""
        roles, config, revoked = self.store.load_roles(), self.store.load_config(), self.store.load_revocations()
        for warning in (roles.warning, config.warning):
            if warning:
                log.warning("stored object damaged, the one before it is used", extra={"error": warning})
        for node in revoked.damaged:
            log.warning("stored revocation damaged, its node stays out", extra={"node": node[:SHORT_ID]})
        self.mesh.statements.revocations_lost(revoked.damaged)
        objects = [(ObjectKind.ROLES, roles.data)] if roles.data else []
        objects += [(ObjectKind.REVOCATION, data) for data in revoked.objects]
        objects += [(ObjectKind.CONFIG, config.data)] if config.data else []
        # Nobody can tell what was to be kept out by a config that cannot be taken in.
        shut = PolicyChanged((NOTHING,))
        return _sound("signed objects", lambda: self.mesh.objects_restored(objects, now), shut)

    def _known_peers(self) -> list[tuple[Certificate, list[str]]]:
        """The peers of an earlier run whose certificates still hold, with their addresses."""
        if not self.keep_peers:
            return []
        kept, warning = peers.load(self.data_dir)
        if warning:
            log.warning("peer table starts empty", extra={"error": warning})
        known: list[tuple[Certificate, list[str]]] = []
        for peer in kept:
            try:
                certificate = parse(peer.certificate)
                # A clock that lost its time must not cost us our peers: the floor is what a handshake goes by too.
                verify(certificate, self.mesh.statements.authorities, clock.wall(), self.mesh.me.not_before)
            except PulseError as error:
                log.info("known peer left out", extra={"error": str(error)})
                continue
            known.append((certificate, peer.addresses))
        return known

    def save_peers(self) -> None:
        """Keep everybody we know and where they were; a disk that refuses costs a warning, not the node."""
        if not self.keep_peers:
            return
        mesh = self.mesh
        others = [each for each in mesh.members.all() if each.node_id != mesh.me.node_id]
        known = [
            peers.KnownPeer(
                each.node_id, label(each), mesh.neighbours.addresses_of(each.node_id)[:ADDRESSES_KEPT], each.der
            )
            for each in others
        ]
        try:
            peers.save(self.data_dir, known)
        except PulseError as error:
            log.warning("peer table not written", extra={"error": str(error)})


def _sound(what: str, made: Callable[[], list[Effect]], *otherwise: Effect) -> list[Effect]:
    """The effects of what others wrote, or what to do if that breaks the mesh: a node that never starts again could not
    even be told of something better."""
    try:
        return made()
    except Exception:
        log.exception("what was stored broke the mesh", extra={"what": what})
        return [*otherwise]
