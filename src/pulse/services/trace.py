"""Finds the way frames take to a node by asking the hops themselves: each answers with its own next link.

Invariant: a hop speaks of its own next link only, so what is shown is what every hop does, not what one believes.
"""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from pulse.core import messages
from pulse.core.mesh import Mesh
from pulse.core.messages import MethodName, Wire
from pulse.core.trust.certificates import Certificate
from pulse.core.types import NodeId, ShortText
from pulse.errors import LinkError, ProtocolError, PulseError, Refused
from pulse.net.links import Rpc
from pulse.schemas.paths import Trace, TraceHop, TraceRequest

MOST_HOPS: Final = 16
"""Hops a frame lives."""

_ID_BYTES: Final = 32
_LAST: Final = b"\1"

Seconds = Annotated[float, msgspec.Meta(ge=0, le=3600)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Step(Wire, frozen=True):
    """What a hop answers: the node its frames for the destination go to next, and the link they take."""

    next: Annotated[bytes, msgspec.Meta(max_length=_ID_BYTES)]
    """32 bytes of id, or none: it has no path."""
    link: ShortText = ""
    rtt: Seconds | None = None
    loss: Share = 0.0
    last: bool = False
    """What it sends bears the flag LAST: the next one uses a link of its own to the destination."""


_steps = msgspec.msgpack.Decoder(Step)


@dataclass(frozen=True, slots=True)
class TraceService:
    """Asks for a way, and answers others who do."""

    mesh: Mesh
    call: Rpc

    async def answer(self, _: NodeId, body: bytes) -> bytes:
        """The method `trace`: our next link towards the node whose 32 bytes of id came; `_LAST` may follow them, for
        what comes to us with that flag. Raises Refused."""
        node, last = body[:_ID_BYTES], body[_ID_BYTES:]
        if len(node) != _ID_BYTES or last not in (b"", _LAST):
            raise Refused(f"a trace names a node by the 32 bytes of its id, not by {len(body)}")
        return messages.pack(self._step(NodeId(node.hex()), last=bool(last)))

    async def trace(self, wanted: TraceRequest) -> Trace:
        """The way to a node, and its measured round trip. Raises NotFound, Conflict, Refused or LinkError."""
        target = self.mesh.members.resolve(wanted.node)
        if target.node_id == self.mesh.me.node_id:
            raise Refused(f"{self._name(target.node_id)} is this node itself. Name another: pulse status")
        if self.mesh.routing.path_to(target.node_id) is None:
            raise LinkError(f"no path leads to {self._name(target.node_id)} now. What is known of it: pulse status")
        hops, problem = await self._walk(target, wanted.timeout)
        rtt, silence = await self._ping(target, wanted.timeout)
        return Trace(
            id=target.node_id,
            name=self._name(target.node_id),
            v4=str(target.addresses.v4),
            hops=hops,
            rtt=rtt,
            problem=problem or silence,
        )

    # Details

    async def _walk(self, target: Certificate, timeout: float) -> tuple[list[TraceHop], str]:
        """Go from hop to hop; the hops, and why there are no more of them if the target is not the last."""
        hops: list[TraceHop] = []
        at, passed, last = self.mesh.me.node_id, set[NodeId](), False
        while at != target.node_id:
            passed.add(at)
            try:
                step = await self._step_of(at, target.node_id, timeout, last=last)
            except PulseError as error:
                return hops, f"{self._name(at)} does not tell its next hop: {error}"
            if not step.next:
                return hops, f"{self._name(at)} has no path to {self._name(target.node_id)}"
            at, last = NodeId(step.next.hex()), step.last
            hops.append(self._hop(at, step, hops[-1].total if hops else 0.0))
            if at in passed:
                return hops, f"the way comes back to {self._name(at)}: a loop"
            if len(hops) == MOST_HOPS and at != target.node_id:
                return hops, f"{MOST_HOPS} hops do not reach {self._name(target.node_id)}, and frames live no longer"
        return hops, ""

    async def _step_of(self, node: NodeId, target: NodeId, timeout: float, *, last: bool) -> Step:
        if node == self.mesh.me.node_id:
            return self._step(target)
        body = bytes.fromhex(target) + (_LAST if last else b"")
        answer = await self.call(node, MethodName.TRACE, body, timeout)
        step = messages.unpack(_steps, answer, "trace", messages.RPC_LIMIT)
        if len(step.next) not in (0, _ID_BYTES):
            raise ProtocolError(f"a next hop of {len(step.next)} bytes; an id has {_ID_BYTES}")
        return step

    def _step(self, target: NodeId, *, last: bool = False) -> Step:
        path = None if last else self.mesh.routing.path_to(target)
        neighbours = self.mesh.neighbours
        neighbour = neighbours.link_to(target) if last else neighbours.get(path.link) if path else None
        if neighbour is None:
            return Step(b"")
        quality = self.mesh.probe.quality(neighbour.link)
        onward = path is not None and path.last
        return Step(bytes.fromhex(neighbour.node), neighbour.transport, quality.rtt, quality.loss, last=onward)

    def _hop(self, node: NodeId, step: Step, before: float | None) -> TraceHop:
        known = self.mesh.members.get(node)
        return TraceHop(
            id=node,
            name=self._name(node),
            v4=str(known.addresses.v4) if known else "",
            link=messages.printable(step.link),
            rtt=step.rtt,
            loss=step.loss,
            total=None if before is None or step.rtt is None else before + step.rtt,
        )

    def _name(self, node: NodeId) -> str:
        return self.mesh.members.label_of(node)

    async def _ping(self, target: Certificate, timeout: float) -> tuple[float | None, str]:
        now = asyncio.get_running_loop().time
        sent = now()
        try:
            await self.call(target.node_id, MethodName.PING, b"", timeout)
        except PulseError as error:
            return None, f"{self._name(target.node_id)} does not answer: {error}"
        return now() - sent, ""
