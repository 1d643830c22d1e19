"""Answers the RPCs of other nodes from a table made in `node.py`.

Invariant: every request gets exactly one answer, and one that fails harms no other.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from pulse.core import messages
from pulse.core.types import SHORT_ID, NodeId
from pulse.errors import NotFound, PulseError, Refused
from pulse.net.links import Links, Request

log = logging.getLogger(__name__)

Method = Callable[[NodeId, bytes], Awaitable[bytes]]
"""Takes the verified caller and the body, returns the answer's body; raises PulseError to say no."""

AT_ONCE = 256
"""Requests worked on at once, over all peers; the rest wait in the queue, which the data plane bounds."""

POLITE = frozenset({messages.MethodName.PUNCH})
"""Methods that say no every day, because it is not the time: nobody did wrong."""


@dataclass(slots=True)
class RpcService:
    """Dispatches requests to methods, each in a task of its own."""

    links: Links
    methods: Mapping[str, Method]
    refused: Callable[[str, NodeId], None] = lambda _, __: None
    """Told why a node was refused what it may not do."""
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def run(self) -> None:
        """Serve, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                request = await self.links.wait_request()
                await self._places.acquire()
                tasks.create_task(self._serve(request))

    async def call(self, node: NodeId, method: str, body: bytes = b"", timeout: float = 10.0) -> bytes:
        """Ask another node. Raises LinkError, or what the far method raised."""
        return messages.decode_answer(await self.links.request(node, messages.encode_call(method, body), timeout))

    async def _serve(self, request: Request) -> None:
        try:
            answer = await self._answer(request)
        finally:
            self._places.release()
        self.links.respond(request.request, answer)

    async def _answer(self, request: Request) -> bytes:
        try:
            call = messages.decode_call(request.payload)
            method = self.methods.get(call.method)
            if method is None:
                raise NotFound(f"no method {messages.printable(call.method)!r}: the other node may run a later release")
            return messages.encode_result(await method(request.node, call.body))
        except PulseError as error:
            log.debug("request refused", extra={"node": request.node[:SHORT_ID], "error": str(error)})
            if isinstance(error, Refused) and call.method not in POLITE:
                self.refused(f"request refused; {error}", request.node)
            return messages.encode_failure(error)
        except Exception:
            # Whatever a request of one peer runs into, the others are to be answered.
            log.exception("request broke a method", extra={"node": request.node[:SHORT_ID]})
            return messages.encode_failure(PulseError("the other node failed at this: its log says how"))


async def echo(_: NodeId, body: bytes) -> bytes:
    """The method `ping`: send back what came."""
    return body
