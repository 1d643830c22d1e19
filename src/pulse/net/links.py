"""The data plane as services see it: the protocol that `net/dataplane.py` and the tests' fakes implement.

Invariant: calls return at once; what comes of them arrives as facts, in order, through `wait_facts`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from pulse.core.effects import WEBSOCKET_AFTER, Attempt, PolicyRule, TablesChanged
from pulse.core.facts import Fact, LinkSample
from pulse.core.paths.fec import Protection
from pulse.core.paths.figures import PathSample
from pulse.core.types import NO_LINK, LinkId, NodeId


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom the data plane believes, and what its join lane shows first."""

    authorities: tuple[bytes, ...]
    """CA certificates, DER, newest first."""
    network: str
    """The network's label."""
    revoked: tuple[NodeId, ...]
    time_floor: float
    """Newest time signed by the CA that we have seen, in seconds since 1970."""
    greeting: bytes = b""
    """CA certificates and succession statements for the pinned join lane."""


@dataclass(frozen=True, slots=True)
class JoinOffer:
    """A stranger's join request that waits for an answer."""

    offer: int
    source: str
    request: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """An RPC of a verified peer that waits for an answer."""

    request: int
    node: NodeId
    payload: bytes


Rpc = Callable[[NodeId, str, bytes, float], Awaitable[bytes]]
"""An RPC to another node: method, body, seconds to wait. Raises LinkError, or what the far method raised."""

CLIENT_PATIENCE: Final = 8.0
"""Seconds that another node has to answer where a client waits for it: less than that does; an edit waits twice."""


@dataclass(frozen=True, slots=True)
class PeerTraffic:
    """Inner packets and bytes exchanged with a node since the data plane started."""

    node: NodeId
    packets_out: int
    bytes_out: int
    packets_in: int
    bytes_in: int
    mtu: int = 0
    """Bytes of the longest packet that goes whole over the path in use; 0 while there is no path."""
    parity_out: int = 0
    parity_in: int = 0
    repaired: int = 0
    """Packets of `packets_in` that were lost on the way and repaired."""
    unrepairable: int = 0
    """Packets that were lost although there was parity over them: too many at a time."""


@dataclass(frozen=True, slots=True)
class RuleHits:
    """Flows that this node decided on since its data plane started: each once, as source, relay or destination."""

    rules: dict[str, int]
    """By the id of the rule that matched; rules of the past keep theirs."""
    unmatched: int
    """Those that no rule matched, so denied."""


class Moved(NamedTuple):
    """Bytes a stream moved: from the descriptor here into it, and back."""

    sent: int
    received: int
    cut: int = 0
    """The code of what cut it; 0 if both directions ended by themselves, and all that was sent has arrived."""


class Stream(Protocol):
    """One stream to a node, ours or theirs; it is ours to answer if they opened it."""

    node: NodeId
    header: bytes
    ended: asyncio.Future[Moved]
    """Done once it is over, however it ended; one that was refused moved nothing."""

    async def answered(self) -> int:
        """Of ours: 0 once the far end accepted it, else the code it was refused with."""
        ...

    def splice(self, descriptor: int) -> None:
        """Move the bytes of a connected stream socket, which is taken over; of theirs this accepts it."""
        ...

    def refuse(self, code: int) -> None:
        """Say no to one of theirs."""
        ...

    def cancel(self) -> None:
        """End it at once, whatever was moved."""
        ...


class Streams(Protocol):
    """The streams of all sessions of one node."""

    async def wait_offered(self) -> Stream:
        """Wait for the next stream that a node opens to us."""
        ...

    def open(self, node: NodeId, header: bytes) -> Stream:
        """Open a stream to a node; what comes of it is to be waited for."""
        ...


class JoinLane(Protocol):
    """One conversation on a node's join lane, from the joiner's side."""

    transport: str
    """`quic` or `websocket`."""
    leaf: bytes
    """The certificate the lane showed, DER; a throw-away one unless the lane was pinned."""
    objects: bytes
    """What the lane showed of its authorities; empty unless the lane was pinned."""

    async def send(self, request: bytes) -> bytes:
        """Send the request and wait for the answer. Raises LinkError."""
        ...


class Links(Protocol):
    """Links, sessions and tables of one node."""

    async def wait_facts(self) -> list[Fact]:
        """Wait for at least one fact; all that are there, oldest first."""
        ...

    async def wait_offer(self) -> JoinOffer:
        """Wait for the next join request."""
        ...

    async def wait_request(self) -> Request:
        """Wait for the next RPC."""
        ...

    async def wait_tun_gone(self) -> str:
        """Wait until the TUN device is gone; the reason."""
        ...

    def install_identity(self, chain: Sequence[bytes], key: bytes) -> None:
        """Show this certificate (leaf first) from the next handshake on; `key` is PKCS #8 DER."""
        ...

    def install_trust(self, trust: Trust) -> None:
        """Believe these from now on, and close what they no longer cover."""
        ...

    async def join(self, address: str, *, pinned: bool) -> JoinLane:
        """Open the join lane of the node at `address` (`ip:port`). Raises LinkError, ProtocolError for no address."""
        ...

    def answer_join(self, offer: int, answer: bytes) -> None:
        """Answer a join request and end its conversation."""
        ...

    def dial(
        self,
        address: str,
        expect: NodeId | None,
        replaces: LinkId = NO_LINK,
        websocket_after: float | None = WEBSOCKET_AFTER,
        hole: int = 0,
    ) -> int:
        """Try to link with the node at `address` (`ip:port`); the number `LinkUp` or `DialFailed` will name.

        QUIC goes first, a WebSocket so many seconds later or never; the link is to take over from `replaces`. `hole` is
        the attempt by birthday from whose socket QUIC leaves. Raises ProtocolError for what is no address.
        """
        ...

    def close_link(self, link: LinkId, reason: str) -> None:
        """End a link."""
        ...

    def renew_sessions(self) -> None:
        """Have a new session with everybody, beside the one there is, which it replaces; the lower id dials."""
        ...

    def close_session(self, node: NodeId, reason: str) -> None:
        """End the session with a node; the next packet for it opens a new one."""
        ...

    def send(self, link: LinkId, message: bytes) -> bool:
        """Queue a control message; False if the link is gone or its queue full."""
        ...

    def expect_probes(self, attempts: Sequence[Attempt]) -> None:
        """Answer and tell punch probes of these attempts, and of no others."""
        ...

    def send_probe(self, address: str, attempt: int) -> None:
        """Send one punch probe of an attempt to `ip:port`."""
        ...

    def send_probes_apart(self, address: str, attempt: int, count: int) -> None:
        """Send so many probes of an attempt by birthday to `ip:port`, each from the next of its sockets."""
        ...

    async def request(self, node: NodeId, payload: bytes, timeout: float) -> bytes:
        """Ask a node over its session. Raises LinkError after `timeout` seconds or if it cannot be reached."""
        ...

    def respond(self, request: int, payload: bytes) -> None:
        """Answer an RPC."""
        ...

    def replace_tables(self, tables: TablesChanged) -> None:
        """Route and address packets by these tables from now on. Raises ProtocolError for what cannot be understood."""
        ...

    def replace_policy(self, rules: Sequence[PolicyRule]) -> None:
        """Allow and deny flows by these rules from now on; the first that matches decides, none allows all.

        Raises ProtocolError for what cannot be understood; the rules before stay.
        """
        ...

    def set_fec(self, paths: Sequence[Protection] | None) -> None:
        """Protect these paths against loss, and no others; None offers no parity in later sessions."""
        ...

    def attach_tun(self, name: str, queues: int) -> str:
        """Create the TUN device; its name. Raises SystemRefused."""
        ...

    def detach_tun(self) -> None:
        """Remove the TUN device."""
        ...

    def rebind(self, host: str) -> None:
        """Have the UDP port on that address from now on, or on all of its family. Raises SystemRefused."""
        ...

    def moved(self) -> tuple[LinkId, ...]:
        """The links whose packets leave from another address of ours, or from none, since this was last asked."""
        ...

    def relayed(self) -> int:
        """Frames of others passed on over the links there are."""
        ...

    def sample(self) -> tuple[LinkSample, ...]:
        """The newest figures of every link."""
        ...

    def paths(self) -> list[PathSample]:
        """The newest figures of every path that was measured."""
        ...

    def traffic(self) -> list[PeerTraffic]:
        """What was exchanged with each node."""
        ...

    def sessions(self) -> int:
        """How many sessions there are."""
        ...

    def drops(self) -> dict[str, int]:
        """Packets dropped so far, by reason."""
        ...

    def hits(self) -> RuleHits:
        """How many flows each rule decided on."""
        ...
