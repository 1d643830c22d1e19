"""What can be asked of a node about the way to another one; `pulse.client` is the connection."""

from dataclasses import dataclass
from typing import Final

from pulse.client import Client
from pulse.schemas.paths import Trace, TraceRequest

_MOST_QUESTIONS: Final = 17
"""Of a trace: sixteen hops and a ping."""


@dataclass(frozen=True, slots=True)
class TraceCalls:
    """The way frames take, hop by hop."""

    client: Client

    def trace(self, node: str, timeout: float = 3.0) -> Trace:
        """The way frames take; each hop has `timeout` seconds (at most 10) to answer."""
        request = TraceRequest(node, timeout)
        return self.client.call("POST", "/api/trace", Trace, request, patience=timeout * _MOST_QUESTIONS)
