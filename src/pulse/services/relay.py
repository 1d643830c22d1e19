"""Hands the joins that strangers bring to this node on to the CA, unread.

Invariant: this node learns neither the token nor whether it was right; the joiner believes only the CA's answer.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from pulse import clock
from pulse.core.messages import MethodName
from pulse.core.trust.join import JOIN_LIMIT, Refusal, build_general_refusal
from pulse.core.types import NodeId
from pulse.errors import PulseError
from pulse.net.links import JoinOffer, Links, Rpc

PATIENCE = 10.0
"""Seconds for the CA to answer; the joiner waits 15."""


@dataclass(frozen=True, slots=True)
class RelayService:
    """Answers the join lane on a node that is not the CA."""

    links: Links
    call: Rpc
    ca_nodes: Callable[[], frozenset[NodeId]]

    async def run(self) -> None:
        """Serve, until cancelled; the join lane itself bounds how many wait at once."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                tasks.create_task(self._pass_on(await self.links.wait_offer()))

    async def _pass_on(self, offer: JoinOffer) -> None:
        answer = build_general_refusal(Refusal.CA_UNREACHABLE, clock.wall())
        for ca in sorted(self.ca_nodes()):
            try:
                said = await self.call(ca, MethodName.JOIN, offer.request, PATIENCE)
            except PulseError:
                continue
            if len(said) <= JOIN_LIMIT:
                answer = said
                break
        self.links.answer_join(offer.offer, answer)
