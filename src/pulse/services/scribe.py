"""Keeps the network config on the node that is the scribe, and asks the CA for that role where a person wants it.

Invariant: an edit is answered only once its config is on disk; a node the roles do not name writes nothing.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from pulse import clock
from pulse.core.messages import MethodName
from pulse.core.network.edits import Edits
from pulse.core.network.netconfig import SignedConfig
from pulse.core.network.scribe import Scribe
from pulse.core.trust.roles import SignedRoles, open_roles
from pulse.core.types import SHORT_ID, NodeId
from pulse.errors import PulseError, Refused
from pulse.net.links import Rpc

log = logging.getLogger(__name__)

PATIENCE = 10.0
"""Seconds for the CA to answer."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
"""Seconds between two claims, doubling while the CA is out of reach."""

SOON = 8.0
"""Seconds an edit waits for the role that is being asked for, and for the config: less than the client waits."""


class Publishes(Protocol):
    """What this service asks of the publisher."""

    def config(self, signed: SignedConfig) -> None: ...
    def roles(self, signed: SignedRoles) -> None: ...


@dataclass(slots=True)
class ScribeService:
    """One node as the network's scribe, or as one that would be it."""

    scribe: Scribe
    publish: Publishes
    call: Rpc
    ca_nodes: Callable[[], frozenset[NodeId]]
    wanted: bool
    """Started with --scribe."""
    asked: Callable[[NodeId], None] = lambda _: None
    """Told who asked for an edit, before it is in force."""
    check: Callable[[], None] = lambda: None
    """Raises Refused while this node may sign nothing."""
    problem: str = field(default="", init=False)
    """Why a node that was started to be the scribe is not; empty if it is, or was not."""
    _final: bool = field(default=False, init=False)
    """The CA said no, so waiting helps nobody."""
    _changed: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _able: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    """The role is ours and there is a config to write on."""

    # The role

    def changed(self) -> None:
        """Other roles or another network config may be in force."""
        self._changed.set()
        self._look()

    async def run(self) -> None:
        """Claim the role if it is wanted, and sign the config anew once it is ours; until cancelled."""
        pause = FIRST_PAUSE
        while True:
            self._changed.clear()
            self._renew()
            if self.wanted and not self.scribe.in_office:
                await self._claim()
            if self.scribe.in_office:
                self.problem, self._final = "", False
            self._look()
            pause = LONGEST_PAUSE if self._final or not self.problem else min(pause * 2, LONGEST_PAUSE)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._changed.wait()

    # Edits

    async def edit(self, edits: Edits, by: NodeId) -> SignedConfig:
        """Make edits that `by` asks for, who may; the config they are in force with.

        Raises Refused, NotFound, Conflict, or SystemRefused for a disk that refuses.
        """
        await self._wait_able()
        if self.scribe.in_office:
            self.check()
        signed = self.scribe.edited(edits, clock.wall())
        if signed != self.scribe.statements.config:
            self.asked(by)
            self.publish.config(signed)
            log.info("network config edited", extra={"node": by[:SHORT_ID], "version": signed.version})
        return signed

    # Details

    async def _wait_able(self) -> None:
        """Wait for the role that is being asked for, and for the config."""
        self._look()
        if self.scribe.in_office or (self.wanted and not self._final):
            with suppress(TimeoutError):
                async with asyncio.timeout(SOON):
                    await self._able.wait()

    def _look(self) -> None:
        if self.scribe.able:
            self._able.set()
        else:
            self._able.clear()

    def _renew(self) -> None:
        renewed = self.scribe.renewed()
        if renewed is None:
            return
        try:
            self.check()
        except Refused:
            # The next round tries again.
            return
        try:
            self.publish.config(renewed)
        except PulseError as error:
            log.error("network config not signed anew", extra={"error": str(error)})

    async def _claim(self) -> None:
        cas = sorted(self.ca_nodes())
        if not cas:
            self.problem = "the CA, which gives the role, was not met yet"
        for ca in cas:
            try:
                await self._ask(ca)
            except Refused as error:
                self._refused(str(error))
            except PulseError as error:
                self.problem = f"asking the CA for the role failed: {error}"

    async def _ask(self, ca: NodeId) -> None:
        if ca == self.scribe.me:
            raise Refused("another node has the role. Take it back: pulse ca grant <this node> scribe")
        statements = self.scribe.statements
        answer = await self.call(ca, MethodName.CLAIM, b"", PATIENCE)
        self.publish.roles(open_roles(answer, statements.network, statements.authorities))
        self._renew()

    def _refused(self, why: str) -> None:
        if not self._final:
            log.warning("role of scribe refused", extra={"error": why})
        self.problem, self._final = why, True
