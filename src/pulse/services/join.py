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
from pulse.net.lanes import open_lane
from pulse.net.links import JoinLane, Links

NONCE_BYTES = 16


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
                        lane, took = await open_lane(self.links, address, pinned=pinned)
                        self._lane = lane
                        self.progress(f"reached {address} ({lane.transport}, {took * 1000:.0f} ms)")
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
