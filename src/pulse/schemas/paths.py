"""What the control API says of the way to a node: the hops it takes, and why it is that way.

Fields are append-only, as in `pulse.schemas.structs`, which has all that is not about one path.
"""

from typing import Annotated

import msgspec

from pulse.schemas.structs import Body, View


class TraceRequest(Body, frozen=True):
    """Ask hop by hop how frames get to a node; `timeout` is for each hop."""

    node: str
    timeout: Annotated[float, msgspec.Meta(gt=0, le=10)] = 3.0


class TraceHop(View, frozen=True):
    """One hop of a way: the node it leads to, and the link it takes, by the word of the hop before."""

    id: str
    name: str
    v4: str
    link: str
    rtt: float | None
    """Round trip over this one link."""
    loss: float
    total: float | None
    """Sum of the round trips up to here; None once one of them is not known."""


class Trace(View, frozen=True):
    """The way frames take to a node."""

    id: str
    name: str
    v4: str
    hops: list[TraceHop]
    rtt: float | None
    """Measured to the node itself; None if it did not answer."""
    problem: str
    """Why the way could not be followed to its end, or why the node did not answer; empty if all is well."""


class WhyRequest(Body, frozen=True):
    """Ask why a node is reached as it is; from this node, or from `source`. `timeout` is for each end."""

    node: str
    source: str = ""
    timeout: Annotated[float, msgspec.Meta(gt=0, le=10)] = 5.0


class WhyPlace(View, frozen=True):
    """A place of the other node, and what was tried there."""

    address: str
    sent: int
    """Probes of the newest attempt to punch a hole."""
    answered: int
    heard: int
    """Probes of the other node's own that came from there."""
    error: str
    """How the last dial there ended."""


class WhyEnd(View, frozen=True):
    """One end's own account of its way to the other."""

    id: str
    name: str
    asked: bool
    """False if it could not be asked; `problem` says why."""
    problem: str
    link: str
    via: str
    rtt: float | None
    loss: float
    nat: str
    """How the NAT before it chooses ports: `none`, `cone`, `symmetric`, or `unknown`."""
    observers: int
    """Neighbours that said where they see it."""
    seen: list[str]
    """Where they see it."""
    next_try: float | None
    """Seconds until it tries to punch again; None if it does not mean to."""
    last_error: str
    attempts: int
    places: list[WhyPlace]
    birthday: str = ""
    """What came of birthday probing: off, untried, under_way, failed or opened; empty where it is not known."""


class Why(View, frozen=True):
    """Why a node is reached as it is."""

    code: str
    """The verdict in one word, for programs."""
    sentence: str
    help: str
    """What a person could do about it, or empty."""
    source: WhyEnd
    node: WhyEnd
