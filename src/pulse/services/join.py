"""Joins this machine to a mesh: performs what `core/trust/joiner.py` asks for.

Invariant: nothing is written here; the enrolment is returned only when every check has held.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from pulse import clock
from pulse.core.trust.identity import Signer
from pulse.core.trust.join import Enrolment, build_csr
from pulse.core.trust.joiner import (
    Applicant,
    CloseLane,
    Effect,
    Joined,
    Joiner,
    JoinRefused,
    OpenLane,
    SendRequest,
)
from pulse.core.trust.tokens import Token
from pulse.errors import LinkError, Refused
from pulse.net.addresses import resolve
from pulse.net.links import JoinLane, Links

NONCE_BYTES = 16

ADDRESS_PATIENCE = 5.0
"""Seconds for one of the addresses a name has, so that a dead IPv6 does not eat the time of a living IPv4."""


@dataclass(slots=True)
class JoinService:
    """One join over the join lanes of the addresses, one after the other."""

    links: Links
    progress: Callable[[str], None]
    """Told each step in words, for whoever waits."""
    _lane: JoinLane | None = None

    async def join(
        self, addresses: tuple[str, ...], token: Token, key: Signer, *, network: str | None, host: str
    ) -> Enrolment:
        """A certificate for `key`, by way of any of `addresses`, into `network` if that is named.

        Raises Refused when the answer is final, LinkError when another try may help.
        """
        loop = asyncio.get_running_loop()
        applicant = Applicant(build_csr(key), secrets.token_bytes(NONCE_BYTES), host)
        joiner = Joiner(addresses, token, applicant, network, loop.time())
        effects = joiner.tick(loop.time())
        while True:
            following: list[Effect] = []
            for effect in effects:
                match effect:
                    case Joined(enrolment):
                        return enrolment
                    case JoinRefused(text, retryable):
                        raise (LinkError if retryable else Refused)(text)
                    case _:
                        following += await self._perform(effect, joiner)
            effects = following or joiner.tick(loop.time())

    async def _perform(self, effect: Effect, joiner: Joiner) -> list[Effect]:
        now = asyncio.get_running_loop().time
        limit = joiner.deadline()
        try:
            async with asyncio.timeout_at(limit):
                match effect:
                    case OpenLane(address, pinned):
                        lane = await self._open(address, pinned=pinned)
                        return joiner.lane_opened(lane.leaf, lane.objects, now())
                    case SendRequest(request) if self._lane is not None:
                        answer = await self._lane.send(request)
                        return joiner.answer_received(answer, now(), clock.wall())
        except TimeoutError:
            return joiner.tick(now())
        except (LinkError, OSError) as error:
            return joiner.lane_failed(str(error), now())
        if isinstance(effect, CloseLane):
            self._lane = None
        return []

    async def _open(self, address: str, *, pinned: bool) -> JoinLane:
        error: Exception = LinkError(f"{address} has no address")
        for resolved in await resolve(address):
            started = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(ADDRESS_PATIENCE):
                    self._lane = await self.links.join(resolved, pinned=pinned)
            except (LinkError, TimeoutError) as failed:
                error = failed if isinstance(failed, LinkError) else LinkError("no answer")
                continue
            took = asyncio.get_running_loop().time() - started
            self.progress(f"reached {address} ({self._lane.transport}, {took * 1000:.0f} ms)")
            return self._lane
        raise error
