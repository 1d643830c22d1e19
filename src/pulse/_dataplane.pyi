"""The Rust data plane as Python sees it: plain calls that return at once, and events to drain.

Shapes: ids of links, dials, joins, offers, requests and streams are positive ints; a node id is 32 `bytes`;
addresses of sockets are text, "192.0.2.1:443" or "[2001:db8::1]:443"; times are float seconds.
Errors: ValueError for arguments that cannot be meant, RuntimeError("data plane is closed") after close(),
OSError (with errno) where the system refused. No call waits for the network.

Events, as `drain()` returns them (first the kind, then the fields in this order):

    ("LinkUp", link: int, dial: int, node: bytes, certificate: bytes, transport: str, observed: str,
               version: int, boot: bytes, index: int, replaces: int, clock: float, revocations: bytes, features: int)
        dial is 0 on the side that accepted; transport is "quic" or "websocket"; observed is where we see the peer; from
        `version` on it is the peer's hello (boot 16 bytes, revocations = SHA-256 of its revoked ids, sorted and joined)
    ("LinkDown", link: int, node: bytes, reason: str)
    ("LinkSuspect", link: int, node: bytes, suspect: bool)
    ("LinkMoved", link: int, node: bytes, observed: str)         an echo came from there; told by the end that sees it
    ("PathSuspect", node: bytes, link: int, suspect: bool)
        what is sent over that link to that node does not arrive, or does again
    ("DialFailed", dial: int, code: str, detail: str)
        code: "identity" (none installed), "timeout", "unreachable", "certificate" (we refused theirs),
        "closed" (its machine says that nothing listens there on TCP, and UDP has no answer),
        "refused" (they refused us), "self", "inside" (a mesh address),
        "broken", "duplicate" (another link to that node stays; detail is its
        id in hex)
    ("Message", link: int, payload: bytes)
    ("JoinOffered", offer: int, source: str, request: bytes)
    ("JoinGreeted", join: int, transport: str, leaf: bytes, objects: bytes)     objects is empty unless pinned
    ("JoinAnswered", join: int, answer: bytes)
    ("JoinFailed", join: int, code: str, detail: str)            code: "timeout", "unreachable",
        "refused", "certificate", "broken"
    ("ProbeReceived", attempt: int, source: str, echo: bool)     a punch probe of the peer, or its echo of one of ours
    ("PeerWanted", node: bytes)                                  traffic for a node; once a minute at most
    ("NoRoute", node: bytes)
    ("FlowDenied", node: bytes, rule: str, protocol: int, port: int, others: int)
        our own policy denied a flow to that node (rule "": none matched; port 0: it has none); told once a second at
        most, with the number of others denied since
    ("Request", request: int, node: bytes, payload: bytes)
    ("Response", request: int, payload: bytes | None, code: str)  payload None: it failed; code "": it did not
    ("StreamOffered", stream: int, node: bytes, header: bytes)
    ("StreamAccepted", stream: int)
    ("StreamRefused", stream: int, code: int)
    ("StreamClosed", stream: int, sent: int, received: int, cut: int)      bytes from the descriptor to the stream, and
                                            back; 0 for one that ended whole, else a code of 256 or more
    ("SessionUp", node: bytes)
    ("SessionDown", node: bytes, reason: str)
    ("TunGone", reason: str)
    ("Log", level: int, text: str)                               level as `logging` numbers it
"""

from collections.abc import Sequence
from typing import Any, final

__all__ = [
    "Dataplane", "LinkStatistics", "PathStatistics", "PeerStatistics", "SessionStatistics", "Statistics", "version"
]  # fmt: skip

def version() -> str:
    """Version of the crate: the same as that of the Python package."""

@final
class LinkStatistics:
    """One live link; counts are frames and bytes on the wire since it came up."""

    @property
    def link(self) -> int: ...
    @property
    def node(self) -> bytes: ...
    @property
    def transport(self) -> str: ...
    @property
    def remote(self) -> str:
        """Where frames go."""
    @property
    def rtt(self) -> float | None:
        """Smoothed seconds; None before the first echo."""
    @property
    def jitter(self) -> float: ...
    @property
    def loss(self) -> float:
        """Share of the last 100 probes without an echo, 0 to 1."""
    @property
    def suspect(self) -> bool: ...
    @property
    def size(self) -> int:
        """The longest datagram sent on it now, in bytes of UDP payload: the way's MTU less 28 (IPv4) or 48 bytes."""
    @property
    def age(self) -> float: ...
    @property
    def packets_out(self) -> int: ...
    @property
    def bytes_out(self) -> int: ...
    @property
    def packets_in(self) -> int: ...
    @property
    def bytes_in(self) -> int: ...
    @property
    def relayed(self) -> int:
        """Frames of others that were passed on to it."""

@final
class PeerStatistics:
    """One node that packets can be sent to; counts are IP packets and their bytes, but for parity packets."""

    @property
    def node(self) -> bytes: ...
    @property
    def mtu(self) -> int | None:
        """Bytes of the longest IP packet that goes whole over the path in use; None if no path leads there."""
    @property
    def packets_out(self) -> int: ...
    @property
    def bytes_out(self) -> int: ...
    @property
    def packets_in(self) -> int: ...
    @property
    def bytes_in(self) -> int: ...
    @property
    def parity_out(self) -> int: ...
    @property
    def parity_in(self) -> int: ...
    @property
    def repaired(self) -> int:
        """IP packets that were lost on the way here and repaired; they are among `packets_in`, too."""
    @property
    def unrepairable(self) -> int:
        """IP packets that were lost in blocks with too little parity."""

@final
class PathStatistics:
    """One path that was measured: a node and our first link to it."""

    @property
    def node(self) -> bytes: ...
    @property
    def link(self) -> int: ...
    @property
    def rtt(self) -> float | None:
        """Smoothed seconds, end to end; None before the first echo, and on the link to the node itself."""
    @property
    def loss(self) -> float:
        """Share of the records sent on it that the node missed, else of the last 100 probes, 0 to 1."""
    @property
    def reported(self) -> float | None:
        """That share of the records alone; None unless the node reported on a hundred of them lately."""
    @property
    def burst(self) -> float:
        """How many records got lost in a row, on average; 1 while fewer than ten did."""
    @property
    def suspect(self) -> bool: ...
    @property
    def parity(self) -> int:
        """Parity packets over a full block of 20 records, as `set_fec` said last; 0 if the node takes none."""
    @property
    def duplicate(self) -> bool:
        """What is sent on it goes over a second path, too."""

@final
class SessionStatistics:
    """One live session; counts are bytes of QUIC packets."""

    @property
    def node(self) -> bytes: ...
    @property
    def rtt(self) -> float: ...
    @property
    def age(self) -> float: ...
    @property
    def streams(self) -> int: ...
    @property
    def bytes_out(self) -> int: ...
    @property
    def bytes_in(self) -> int: ...

@final
class Statistics:
    """One snapshot."""

    @property
    def links(self) -> list[LinkStatistics]: ...
    @property
    def peers(self) -> list[PeerStatistics]: ...
    @property
    def paths(self) -> list[PathStatistics]: ...
    @property
    def sessions(self) -> list[SessionStatistics]: ...
    @property
    def drops(self) -> dict[str, int]:
        """Packets dropped, by reason; every reason is there."""
    @property
    def hits(self) -> dict[str, int]:
        """Flows decided on by each rule's id, each once while it lasts, also of rules that are no longer in force.

        A flow that is allowed counts at its ends when it is opened; any other, and all that is relayed, when judged.
        """
    @property
    def unmatched(self) -> int:
        """Flows that no rule matched, while there were rules."""

@final
class Dataplane:
    """The data plane of one node. Any thread may call; events come to whoever drains."""

    def __new__(cls, udp: int) -> Dataplane:
        """Take over `udp`, the descriptor of a bound UDP socket (dual-stack AF_INET6, or AF_INET)."""
    def fileno(self) -> int:
        """An eventfd that is readable while there are events; valid until this object dies, even after close()."""
    def drain(self, most: int = 1024) -> list[tuple[Any, ...]]:
        """At most `most` events, oldest first; readable again at once if more are left."""
    def local_address(self) -> str:
        """Where the UDP socket is bound."""
    def boot_id(self) -> bytes:
        """The 16 random bytes our hellos show for this life of the node."""
    def install_identity(self, chain: Sequence[bytes], key: bytes) -> None:
        """Certificate chain (DER, leaf first) and its key (PKCS#8 DER), for all handshakes from now on.

        ValueError if they do not fit each other or the leaf is no node certificate. Live links stay, unless the id is
        another.
        """
    def install_trust(
        self, cas: Sequence[bytes], network: str, revoked: Sequence[bytes], time_floor: float, objects: bytes = ...
    ) -> None:
        """Whom to trust: CA certificates (DER), the network label, revoked node ids, the newest CA-signed time.

        Closes every link and session this no longer covers. `objects` (≤ 64 KiB, opaque) is what the join lane shows
        a joiner who pinned the CA.
        """
    def listen(self, tcp: int) -> None:
        """Take in WebSockets on a TCP socket that listens, whose descriptor is taken over."""
    def join(
        self,
        address: str,
        pinned: bool,
        websocket: float | None = None,
        proxy: tuple[str, str] | None = None,
    ) -> int:
        """Knock at the join lane of `address`: JoinGreeted or JoinFailed follows. Needs no identity.

        Pinned: the lane shows its leaf and objects. Else a throw-away certificate and no objects.
        The transports are those of `dial`.
        """
    def send_join(self, join: int, request: bytes) -> None:
        """After JoinGreeted, send the request (≤ 64 KiB): JoinAnswered or JoinFailed follows.

        An ended join is ignored.
        """
    def cancel_join(self, join: int) -> None:
        """Hang up, as when the lane's leaf does not satisfy; no event follows."""
    def answer_join(self, offer: int, answer: bytes) -> None:
        """Answer a JoinOffered (≤ 64 KiB; empty hangs up). One that is gone (10 s) is ignored."""
    def dial(
        self,
        address: str,
        expect: bytes | None,
        replaces: int = 0,
        websocket: float | None = None,
        proxy: tuple[str, str] | None = None,
        hole: int = 0,
    ) -> int:
        """Make a link: LinkUp with this dial id, or DialFailed, follows within 10 s.

        Any other node than `expect` (a node id) is refused. `replaces` is the link this one takes over from.
        QUIC is tried at once, a WebSocket `websocket` seconds later (None: not at all), through the HTTP
        proxy at `proxy` (its "ip:port", and the value of Proxy-Authorization or ""); the first that is verified counts.
        `hole` is an attempt by birthday: QUIC leaves from the socket that its first probe came in by, which lives as
        long as the link; its others are closed. From the UDP socket if there was none; 16 links may have their own.
        """
    def close_link(self, link: int, reason: str) -> None:
        """Close; the peer hears `reason` (≤ 100 bytes of it). LinkDown follows. An unknown link is ignored."""
    def close_session(self, node: bytes, reason: str) -> None: ...
    def renew_sessions(self) -> None:
        """Have a new session with everybody beside the one there is, which it replaces; the lower id dials."""
    def send(self, link: int, message: bytes) -> bool:
        """Queue a control message (≤ 64 KiB); False if the link is gone or 256 wait already."""
    def expect_probes(self, attempts: Sequence[tuple[int, bytes, bytes, bool]]) -> None:
        """(attempt, key for what we send, key for what comes, by birthday): the attempts under way, all of them.

        Keys have 32 bytes. Probes of others cause neither answer nor event.
        """
    def send_probe(self, address: str, attempt: int) -> None:
        """Send one punch probe from the UDP socket; at most 128 of one attempt leave, 1,024 by birthday."""
    def send_probes_apart(self, address: str, attempt: int, count: int) -> None:
        """Send so many probes of an attempt by birthday, each from the next of its sockets; the first 128 open theirs.

        Address is IPv4. What the system has no socket for, or does not take, is lost.
        """
    def request(self, node: bytes, payload: bytes, timeout: float) -> int:
        """RPC (≤ 1 MiB): Response follows, at the latest after `timeout`."""
    def respond(self, request: int, payload: bytes) -> None: ...
    def open_stream(self, node: bytes, header: bytes) -> int:
        """StreamAccepted or StreamRefused follows."""
    def accept_stream(self, stream: int, fd: int) -> None:
        """Accept a StreamOffered and splice it with the stream socket `fd`, which is taken over."""
    def refuse_stream(self, stream: int, code: int) -> None: ...
    def splice(self, stream: int, fd: int) -> None:
        """After StreamAccepted, splice with the stream socket `fd`, which is taken over."""
    def cancel_stream(self, stream: int) -> None: ...
    def replace_routes(self, routes: dict[str, list[tuple[int, int, bool]]]) -> None:
        """Handle to [(link, weight, last), …], best first: the whole table. Links that are gone are skipped.

        Flows are spread by weight and stick; 0 is a warm backup, used while all others are suspect. `last`: the
        neighbour must send over a link of its own to the node, or drop. Sessions that go another way now are kicked.
        """
    def replace_addresses(self, owners: Sequence[tuple[str, bytes, bool, bool]]) -> None:
        """(prefix, node, may be a destination, may be a source): the whole table, the longest prefix first.

        Each node's mesh addresses come as its first /32 and its first /128; every node needs both. Prefixes of our own
        node are those that others reach through us. A prefix of length 0 is the public Internet alone, and from there
        only what answers a flow opened here may come.
        """
    def replace_policy(
        self,
        rules: Sequence[
            tuple[
                bool,
                Sequence[str] | None,
                Sequence[str] | None,
                Sequence[int],
                Sequence[tuple[int, int]],
                bool,
                str,
                tuple[Sequence[str], Sequence[str]],
                tuple[Sequence[str], Sequence[str]],
            ]
        ],
    ) -> None:
        """(allow, from handles, to handles, IP protocols, port ranges, redundant, id, from beyond, to beyond): the
        whole policy; None or empty is any. Beyond are prefixes, and the handles of the nodes that they lie behind: a
        side fits packets whose own address lies in one, too, and at a relay, if the rule allows, those nodes.

        The first rule that matches decides; without rules all is allowed, with any what matches none is not.
        ValueError changes nothing. A rule with ports matches no fragment but the first, whom the others follow, and
        no protocol without ports. Flows under way are judged anew. Where one direction is allowed the other passes
        answers to flows that were opened.
        """
    def set_fec(self, paths: Sequence[tuple[bytes, int, int, bool]] | None) -> None:
        """(node, first link, parity packets over 20 records (≤ 8), over a second path too): all paths with protection.

        Sessions that begin from now on offer to take parity, and carry it if their peer offers it too; None takes the
        offer back. ValueError changes nothing.
        """
    def attach_tun(self, name: str, queues: int = 1) -> str:
        """Make and read the TUN device `name`; returns the name the kernel gave it."""
    def detach_tun(self) -> None: ...
    def rebind(self, udp: int) -> None:
        """Go on with another bound UDP socket, whose descriptor is taken over."""
    def moved(self) -> list[int]:
        """Links whose packets leave from another address of this machine, or from none, since this was last asked."""
    def statistics(self) -> Statistics: ...
    def close(self) -> None:
        """Say goodbye to all peers and end (≤ 1 s). Calling it again does nothing."""
