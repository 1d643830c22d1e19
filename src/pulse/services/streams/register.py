"""The streams that are open at this node, whoever opened them, and what the rules say of each.

Invariant: a stream has a place here from its first word to its last, and one that is kept is one the rules allow.
"""

import asyncio
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from pulse.core.crowd import OF_ONE_NODE, STREAMS, Crowd
from pulse.core.mesh import Mesh
from pulse.core.network.destinations import IPAddress
from pulse.core.network.policy import TCP
from pulse.core.types import NodeId
from pulse.net.links import RuleHits, Stream


@dataclass(frozen=True, slots=True)
class Flow:
    """What the rules judge of a stream: from whom to whom, and where to."""

    source: NodeId
    destination: NodeId
    port: int
    beyond: IPAddress | None = None
    """What is dialled behind the destination, as far as this end knows; rules may name its range."""


@dataclass(slots=True)
class Register:
    """Counts streams, and judges them."""

    mesh: Mesh
    kept: dict[Stream, Flow] = field(default_factory=dict, init=False)
    """Those that lead somewhere, or are about to."""
    places: Crowd[NodeId] = field(default_factory=lambda: Crowd(STREAMS, OF_ONE_NODE), init=False)
    """Streams by the node at the other end, from the first word to the last."""
    _ended: asyncio.Future[None] | None = field(default=None, init=False)
    """Done once the next one is over; there is one while somebody waits for a place."""
    _decided: Counter[str] = field(default_factory=Counter, init=False)
    """Streams by the id of the rule that decided on them; under none those that no rule matched."""

    @property
    def me(self) -> NodeId:
        """This node."""
        return self.mesh.me.node_id

    def total(self) -> int:
        """Streams open now."""
        return self.places.total

    def is_full(self, node: NodeId) -> bool:
        """True if that node has as many as it may."""
        return self.places.is_full(node)

    async def wait_room(self, node: NodeId) -> None:
        """Return once that node may have one more."""
        while self.is_full(node):
            if self._ended is None:
                self._ended = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._ended)

    def take(self, stream: Stream) -> None:
        """It has a place until it ends."""
        self.places.take(stream.node)
        stream.ended.add_done_callback(lambda _: self._leave(stream))

    def keep(self, stream: Stream, flow: Flow) -> None:
        """The rules allow it, and are asked again whenever they change, until it ends."""
        self.kept[stream] = flow

    def cut(self, streams: Collection[Stream]) -> None:
        """These end now."""
        for each in streams:
            self.kept.pop(each, None)
            each.cancel()

    def denied(self) -> set[Stream]:
        """Those that the rules of this moment do not allow."""
        return {stream for stream, flow in self.kept.items() if not self.may(flow)}

    def may(self, flow: Flow) -> bool:
        """True if the rules of this moment allow it."""
        return self.mesh.may(flow.source, flow.destination, TCP, flow.port, now(), flow.beyond)

    def tally(self, flow: Flow, *, opened: bool) -> None:
        """Count the rule that decided; none did on a stream that was allowed here and did not open."""
        allowed, rule = self.mesh.verdict(flow.source, flow.destination, TCP, flow.port, now(), flow.beyond)
        if rule is not None and allowed is opened:
            self._decided[rule] += 1

    def hits(self) -> RuleHits:
        """Streams that each rule decided on here: opened, or denied, each once."""
        return RuleHits({rule: count for rule, count in self._decided.items() if rule}, self._decided[""])

    def _leave(self, stream: Stream) -> None:
        self.kept.pop(stream, None)
        self.places.leave(stream.node)
        if self._ended is not None:
            self._ended.set_result(None)
            self._ended = None


def now() -> float:
    """By the clock that rules with times go by."""
    return asyncio.get_running_loop().time()
