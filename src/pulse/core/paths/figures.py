"""What a path's round trip and loss are, by what was measured and announced: asked by whoever tells them.

Invariant: a figure of what went over the path itself goes before one of probes, and that before what others announce.
"""

from dataclasses import dataclass
from typing import NamedTuple

from pulse.core.paths.probe import Quality
from pulse.core.paths.routing import Path
from pulse.core.types import LinkId, NodeId


@dataclass(frozen=True, slots=True)
class PathSample:
    """Figures of one path, named by its node and our first link of it."""

    node: NodeId
    link: LinkId
    rtt: float | None
    """Seconds, end to end; None before the first echo, and on the link to the node itself."""
    loss: float
    """From 0 to 1: of the records sent on it, else of its probes."""
    suspect: bool
    reported: float | None = None
    """Loss of records alone, by the node's own reports; None while too little is known."""
    burst: float = 1.0
    """How many records got lost in a row, on average."""
    parity: int = 0
    """Parity packets over 20 records."""
    duplicate: bool = False
    """What is sent on it goes over a second path, too."""


class Figures(NamedTuple):
    """How good a path is; times in seconds, loss from 0 to 1, None for not known."""

    rtt: float | None = None
    jitter: float | None = None
    loss: float | None = None
    suspect: bool = False


def figures(first: Quality, sample: PathSample | None, announced: Path | None = None, *, direct: bool) -> Figures:
    """Of a path that starts with a link of quality `first`, and is that link alone if `direct`.

    `sample` is what was measured on the path itself, `announced` the same path as routing reckons with it, if it does.
    """
    suspect = first.suspect or (sample is not None and sample.suspect)
    if direct:
        rtt, jitter, loss = first.rtt, first.jitter, first.loss
    elif sample is not None and sample.rtt is not None:
        rtt, jitter, loss = sample.rtt, None, sample.loss
    elif announced is not None:
        rtt, jitter, loss = announced.latency, None, announced.loss
    else:
        rtt, jitter, loss = None, None, None
    if sample is not None and sample.reported is not None:
        loss = sample.reported
    return Figures(rtt, jitter, loss, suspect)
