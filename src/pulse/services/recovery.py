"""A CA put back from a backup hears from the mesh whom it let in since, and whom it shut out, before it signs again.

Invariant: until a neighbour has told all it holds, no certificate is issued; what others hold is given to nobody else.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pulse import clock
from pulse.core.mesh import Mesh
from pulse.core.trust.certificates import Certificate, verify
from pulse.errors import PulseError, Refused
from pulse.store import authority
from pulse.store.ledger import Ledger

log = logging.getLogger(__name__)

LOOK = 1.0
"""Seconds between looks."""

HEARING = 10.0
"""Seconds that a link must have been settled: digests are compared as it comes up, and what differs travels at once."""

PATIENCE: Final = 300.0
"""Seconds after which one who names what it never gives holds up the CA no longer."""


@dataclass(slots=True)
class RecoveryService:
    """The memory of a CA that lost its latest."""

    data_dir: Path
    mesh: Mesh
    ledger: Ledger
    catch_up: Callable[[], None]
    """Takes revocations into the ledger."""
    restate: Callable[[], None] = lambda: None
    """Signs what every network has and this one lacks: the first config, roles that name the scribe."""
    _hearing_since: float | None = field(default=None, init=False)
    _heard: bool = field(default=False, init=False)
    _known: set[int] = field(default_factory=set, init=False)

    def waits(self) -> bool:
        """True while it may sign nothing."""
        return not self._heard

    def check(self) -> None:
        """Raise Refused while it may sign nothing."""
        if self.waits():
            raise Refused(
                "this CA was put back from a backup and has yet to hear from the mesh what it signed since, "
                "so it signs nothing.\n"
                "Try again in half a minute. If it finds nobody: pulse start --ca <host:port of any node>. "
                "If no other node is left: pulse ca restore --alone"
            )

    async def run(self) -> None:
        """Listen, until cancelled; what comes late is taken in too."""
        log.warning("CA put back from a backup: it signs nothing before it heard from the mesh")
        told = ""
        while True:
            try:
                self.look(asyncio.get_running_loop().time())
            except PulseError as error:
                if told != (told := str(error)):
                    log.error("ledger refused what the mesh knows", extra={"error": told})
            await asyncio.sleep(LOOK)

    def look(self, now: float) -> None:
        """Take in what the mesh knows by now; once it had time to tell, the CA may sign. Raises as the ledger does."""
        mesh = self.mesh
        settled = any(mesh.sharing.is_settled(each.link) for each in mesh.neighbours.links())
        self._hearing_since = (self._hearing_since or now) if settled else None
        if not self._heard and not self._was_told(now):
            return
        self.catch_up()
        fresh = [each for each in mesh.members.all() if each.serial not in self._known]
        count = self.ledger.take_in(self._ours(fresh), clock.wall())
        self._known.update(each.serial for each in fresh)
        if not self._heard:
            # Last of all: what refuses keeps the mark, so that a restart listens again.
            self.restate()
            authority.heard_from_mesh(self.data_dir)
            self._heard = True
            log.info("CA knows again whom it let in", extra={"count": count})

    def _was_told(self, now: float) -> bool:
        """True once a neighbour had time to name what it holds, and all of that is here."""
        if self._hearing_since is None:
            return False
        took = now - self._hearing_since
        return took >= PATIENCE or (took >= HEARING and self.mesh.gossip.is_complete())

    def _ours(self, certificates: Iterable[Certificate]) -> list[Certificate]:
        """Those that a key of ours signed."""
        ours = []
        for each in certificates:
            try:
                verify(each, self.mesh.statements.authorities, None)
            except Refused:
                continue
            ours.append(each)
        return ours
