"""Streams to destinations behind other nodes, and those that others open to what is behind this one.

Both ends ask the rules, and ask again when those change: the far end by who the session says is there. Invariant: a
stream of theirs is accepted only once its destination is connected, and a live one is always one the rules allow.
"""

import asyncio
import errno
import logging
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import ip_address
from typing import Final

from pulse.core.mesh import Mesh
from pulse.core.network import streamcodes
from pulse.core.network.destinations import NOT_APPROVED, Destination, IPAddress, Premises, address_of, judge
from pulse.core.network.streamcodes import StreamCode, StreamKind
from pulse.core.types import SHORT_ID, NodeId
from pulse.errors import ProtocolError, PulseError, StreamFailed
from pulse.net.links import Moved, RuleHits, Stream, Streams
from pulse.net.outward import Turns

log = logging.getLogger(__name__)

MOST_OF_ONE: Final = 512
"""Streams open with one node, whoever opened them."""

MOST: Final = 4096
"""Streams open in all; each holds a descriptor. One node has no more of them than are left for others, so those who
take what they can leave room for whoever comes (dynamic thresholds, Choudhury and Hahne 1998)."""

PATIENCE: Final = 10.0
"""Seconds for a destination to be found and to answer."""

LOOKUPS_OF_ONE: Final = 4
"""Names looked up at once for one node, while name servers let us wait."""

TCP: Final = 6

_LOOPBACK: Final[dict[int, IPAddress]] = {4: ip_address("127.0.0.1"), 6: ip_address("::1")}

_CODES: Final = {
    errno.ECONNREFUSED: StreamCode.REFUSED,
    errno.ECONNRESET: StreamCode.REFUSED,
    errno.ENETUNREACH: StreamCode.NETWORK_UNREACHABLE,
    errno.ETIMEDOUT: StreamCode.TIMED_OUT,
    errno.EMFILE: StreamCode.BUSY,
    errno.ENFILE: StreamCode.BUSY,
}
"""What the system says of a connection; all else is a host that cannot be reached."""

_GRAVE: Final = frozenset({StreamCode.NOT_ALLOWED, StreamCode.FORBIDDEN, StreamCode.BROKEN})
"""Refusals that people want to know of; none of their reasons names an address."""


class _Unfit(Exception):
    """A stream of theirs that is refused: with which code, and why as our log says it."""

    def __init__(self, code: StreamCode, why: str) -> None:
        super().__init__(why)
        self.code = code


@dataclass(eq=False, frozen=True, slots=True)
class Opened:
    """A stream that leads to its destination: hand it a socket, or cancel it, within 30 s."""

    stream: Stream

    def splice(self, sock: socket.socket) -> None:
        """Move what the socket, which is taken over, has to say and to hear; the data plane does."""
        self.stream.splice(sock.detach())

    async def closed(self) -> Moved:
        """Wait until it is over: bytes from the socket to the far end, and back."""
        return await asyncio.shield(self.stream.ended)

    def cancel(self) -> None:
        """End it at once."""
        self.stream.cancel()


@dataclass(eq=False, frozen=True, slots=True)
class _Live:
    """A stream that was judged: from whom to whom, and where to."""

    stream: Stream
    source: NodeId
    destination: NodeId
    port: int
    beyond: IPAddress | None = None
    """What is dialled behind the destination, as far as this end knows; rules may name its range."""


@dataclass(slots=True)
class StreamsService:
    """Opens streams, and answers those of others."""

    mesh: Mesh
    streams: Streams
    premises: Callable[[], Premises]
    """What this node is, for the judgement of destinations; asked anew for each stream."""
    resolve: Callable[[str], Awaitable[list[IPAddress]]]
    connect: Callable[[IPAddress, int], Awaitable[socket.socket]]
    answers: Mapping[StreamKind, Callable[[NodeId, int], Awaitable[socket.socket]]] = field(default_factory=dict)
    """Kinds that lead to no destination of their own: what is spliced, by the node and the port."""
    program: Callable[[NodeId, int], socket.socket | None] = lambda *_: None
    """What leads to the program that has a port of this node, for a node that calls; None if none has it."""
    lead_here: bool = True
    """Streams of others lead to what listens on this machine, and not to such programs alone."""
    _live: set[_Live] = field(default_factory=set, init=False)
    _open: Counter[NodeId] = field(default_factory=Counter, init=False)
    """By the node at the other end, from the first word to the last."""
    _decided: Counter[str] = field(default_factory=Counter, init=False)
    """Streams by the id of the rule that decided on them; under none those that no rule matched."""
    _lookups: Turns[NodeId] = field(default_factory=lambda: Turns(LOOKUPS_OF_ONE), init=False)
    _quiet_until: float = field(default=0.0, init=False)
    """No refusal is news before then: a peer could fill the log with them."""

    async def open(self, node: NodeId, destination: Destination, kind: StreamKind) -> Opened:
        """A stream to a destination as the node sees it; returns once the far side is connected. Raises StreamFailed.

        Cancelled, it gives the stream up.
        """
        me = self.mesh.me.node_id
        beyond = self._beyond(destination, kind)
        code = self._refusal_here(node, destination, beyond)
        if code is None:
            stream = self.streams.open(node, streamcodes.header(kind, destination))
            self._count(stream)
            live = self._keep(_Live(stream, me, node, destination.port, beyond))
            try:
                code = streamcodes.code_of(await stream.answered())
            except asyncio.CancelledError:
                stream.cancel()
                raise
            if not self._may(live):
                # The rules turned while it was opened.
                stream.cancel()
                code = StreamCode.NOT_ALLOWED
        self._tally(me, node, destination.port, beyond, opened=code is StreamCode.OK)
        if code is StreamCode.OK:
            return Opened(stream)
        raise self._failed(code, node, destination)

    def check(self, node: NodeId, destination: Destination) -> None:
        """Raise StreamFailed if this node would not even try."""
        code = self._refusal_here(node, destination)
        if code is not None:
            raise self._failed(code, node, destination)

    def changed(self) -> None:
        """Other rules or approvals are in force, or times turned: what they no longer allow ends now."""
        withdrawn = self._withdrawn()
        denied = [each for each in self._live if each in withdrawn or not self._may(each)]
        for live in denied:
            self._live.discard(live)
            live.stream.cancel()
        if denied:
            nodes = sorted({each.stream.node[:SHORT_ID] for each in denied})
            log.info("streams cut", extra={"count": len(denied), "node": nodes[0], "others": len(nodes) - 1})

    def count(self) -> int:
        """Streams open now."""
        return self._open.total()

    def hits(self) -> RuleHits:
        """Streams that each rule decided on here: opened, or denied, each once."""
        return RuleHits({rule: count for rule, count in self._decided.items() if rule}, self._decided[""])

    async def run(self) -> None:
        """Answer streams of others, until cancelled; then all end."""
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    stream = await self.streams.wait_offered()
                    if self._is_full(stream.node):
                        stream.refuse(StreamCode.BUSY)
                        continue
                    self._count(stream)
                    answering = tasks.create_task(self._guarded(stream))
                    # Once it has ended its place is free again, so nothing of it may go on.
                    stream.ended.add_done_callback(partial(_cancel, answering))
        finally:
            for live in self._live:
                live.stream.cancel()

    # Details: ours

    def _beyond(self, destination: Destination, kind: StreamKind) -> IPAddress | None:
        """What an exit is asked for by its address; behind which address a name is it alone finds out."""
        return address_of(destination.host) if kind is StreamKind.EXIT else None

    def _refusal_here(
        self, node: NodeId, destination: Destination, beyond: IPAddress | None = None
    ) -> StreamCode | None:
        me = self.mesh.me.node_id
        if node == me:
            return StreamCode.FORBIDDEN
        if not self.mesh.may(me, node, TCP, destination.port, _now(), beyond):
            return StreamCode.NOT_ALLOWED
        return StreamCode.BUSY if self._is_full(node) else None

    def _failed(self, code: StreamCode, node: NodeId, destination: Destination) -> StreamFailed:
        members, me = self.mesh.members, self.mesh.me.node_id
        if code is StreamCode.NOT_ALLOWED and not self.mesh.statements.in_force:
            text = "nothing may pass yet: this node waits for the network config. See: pulse status"
            return StreamFailed(text, code, code.word, streamcodes.exit_code(code))
        if node == me:
            text = f"{members.named(me)} is this node itself: {destination} can be reached without pulse"
            return StreamFailed(text, code, code.word, streamcodes.exit_code(code))
        return streamcodes.failed(code, members.label_of(me), members.named(node), destination)

    # Details: theirs

    async def _guarded(self, stream: Stream) -> None:
        """Answer it; whatever goes wrong with one stream ends that one."""
        try:
            await self._answer(stream)
        except (OSError, PulseError) as error:
            self._refuse(stream, StreamCode.BUSY, str(error))
        except Exception:
            log.exception("stream not answered", extra={"node": stream.node[:SHORT_ID]})
            self._refuse(stream, StreamCode.BROKEN, "a fault of this node")

    async def _answer(self, stream: Stream) -> None:
        try:
            read = streamcodes.read_header(stream.header)
            kind = streamcodes.kind_of(read)
            live = _Live(stream, stream.node, self.mesh.me.node_id, read.port, self._beyond(read.destination, kind))
            self._check(live)
            answer = self.answers.get(kind)
            if answer:
                connection = await answer(stream.node, read.port)
            else:
                connection, live = await self._connected(live, read.destination, kind)
        except StreamFailed as failed:
            return self._refuse(stream, streamcodes.code_of(failed.code), str(failed))
        except ProtocolError as error:
            return self._refuse(stream, StreamCode.BROKEN, str(error))
        except _Unfit as unfit:
            return self._refuse(stream, unfit.code, str(unfit))
        # The rules may have turned while it was dialled, and the opener may be gone.
        if stream.ended.done() or not self._may(live):
            connection.close()
            return self._refuse(stream, StreamCode.NOT_ALLOWED, "the rules deny it by now")
        self._keep(live)
        self._tally(live.source, live.destination, live.port, live.beyond, opened=True)
        stream.splice(connection.detach())
        return None

    def _check(self, live: _Live) -> None:
        """Raise _Unfit if the rules deny it."""
        if not self._may(live):
            self._tally(live.source, live.destination, live.port, live.beyond, opened=False)
            raise _Unfit(StreamCode.NOT_ALLOWED, "the rules deny it")

    async def _connected(self, live: _Live, destination: Destination, kind: StreamKind) -> tuple[socket.socket, _Live]:
        """A socket connected to the destination, and what it then is to the rules. Raises _Unfit."""
        try:
            async with asyncio.timeout(PATIENCE):
                addresses, premises = await self._judged(live.source, destination, kind)
                ways = {each: replace(live, beyond=_behind(each, premises)) for each in addresses}
                for way in ways.values():
                    self._check(way)
                at_home = next((each for each in addresses if self._is_home(each)), None)
                if at_home and (connection := self.program(live.source, destination.port)):
                    return connection, ways[at_home]
                if at_home and not self.lead_here:
                    raise _Unfit(StreamCode.REFUSED, "no program has that port, and it leads to nothing else here")
                connection, address = await self._dialled(addresses, destination.port, premises.behind)
                return connection, ways[address]
        except TimeoutError:
            raise _Unfit(StreamCode.TIMED_OUT, "no answer") from None

    async def _judged(
        self, source: NodeId, destination: Destination, kind: StreamKind
    ) -> tuple[list[IPAddress], Premises]:
        """The addresses of the destination that may be dialled, and what they were judged by. Raises _Unfit.

        One that never may be spoils the name; one that was only not approved is left out, as the IPv6 address of a
        name is where the Internet was approved for IPv4 alone.
        """
        found = await self._looked_up(source, destination.host, kind)
        premises = self.premises()
        fit: list[IPAddress] = []
        for written in found:
            address = self._at_home(written, premises)
            loopback = kind is StreamKind.CONNECT or address != written
            why = judge(address, destination.port, premises, loopback=loopback, itself=kind is not StreamKind.EXIT)
            if why and why != NOT_APPROVED:
                raise _Unfit(StreamCode.FORBIDDEN, why)
            fit += [] if why else [address]
        if not fit:
            raise _Unfit(StreamCode.FORBIDDEN, NOT_APPROVED) if found else _Unfit(StreamCode.NO_NAME, "no address")
        return fit, premises

    async def _looked_up(self, source: NodeId, host: str, kind: StreamKind) -> list[IPAddress]:
        """All addresses of the host. Raises _Unfit; names are looked up for those alone whom that can lead anywhere."""
        if address_of(host) is not None:
            return await self.resolve(host)
        if kind is StreamKind.EXIT and not self.premises().everywhere:
            raise _Unfit(StreamCode.FORBIDDEN, NOT_APPROVED)
        try:
            return await self._lookups.had(source, lambda: self.resolve(host))
        except (OSError, UnicodeError) as error:
            raise _Unfit(StreamCode.NO_NAME, f"no such name: {error}") from error

    def _at_home(self, address: IPAddress, premises: Premises) -> IPAddress:
        """Our mesh address stands for this node also where no interface has it: then loopback does."""
        ours = self.mesh.me.addresses
        if address not in (ours.v4, ours.v6) or address in premises.own:
            return address
        return _LOOPBACK[address.version]

    def _is_home(self, address: IPAddress) -> bool:
        """True for the addresses at which programs have ports of this node: loopback, and those of the mesh."""
        ours = self.mesh.me.addresses
        return address.is_loopback or address in (ours.v4, ours.v6)

    async def _dialled(
        self, addresses: list[IPAddress], port: int, behind: Callable[[IPAddress], IPAddress]
    ) -> tuple[socket.socket, IPAddress]:
        failures: list[_Unfit] = []
        for address in addresses:
            try:
                return await self.connect(behind(address), port), address
            except OSError as error:
                code = _CODES.get(error.errno or 0, StreamCode.HOST_UNREACHABLE)
                failures.append(_Unfit(code, str(error)))
        # Of several, that there is a host and nothing listens says most.
        raise next((each for each in failures if each.code is StreamCode.REFUSED), failures[0])

    def _refuse(self, stream: Stream, code: StreamCode, why: str) -> None:
        now = _now()
        grave = code in _GRAVE and now >= self._quiet_until
        if grave:
            self._quiet_until = now + 1.0
        level = logging.INFO if grave else logging.DEBUG
        log.log(level, "stream refused", extra={"node": stream.node[:SHORT_ID], "code": code.word, "reason": why})
        if not stream.ended.done():
            stream.refuse(code)

    def _withdrawn(self) -> set[_Live]:
        """Streams of theirs to what this node was approved to lead to, and no longer is."""
        led = [each for each in self._live if each.beyond and each.destination == self.mesh.me.node_id]
        try:
            here = self.premises() if led else Premises(frozenset())
        except PulseError as error:
            log.warning("streams not judged again", extra={"error": str(error)})
            return set()
        return {each for each in led if each.beyond and each.beyond not in here.own and not here.leads_to(each.beyond)}

    # Details: both

    def _may(self, live: _Live) -> bool:
        return self.mesh.may(live.source, live.destination, TCP, live.port, _now(), live.beyond)

    def _tally(self, source: NodeId, destination: NodeId, port: int, beyond: IPAddress | None, *, opened: bool) -> None:
        """Count the rule that decided; none did on a stream that was allowed here and did not open."""
        allowed, rule = self.mesh.verdict(source, destination, TCP, port, _now(), beyond)
        if rule is not None and allowed is opened:
            self._decided[rule] += 1

    def _is_full(self, node: NodeId) -> bool:
        return self._open[node] >= min(MOST_OF_ONE, MOST - self._open.total())

    def _count(self, stream: Stream) -> None:
        self._open[stream.node] += 1
        stream.ended.add_done_callback(lambda _: self._uncount(stream.node))

    def _uncount(self, node: NodeId) -> None:
        self._open[node] -= 1
        if not self._open[node]:
            del self._open[node]

    def _keep(self, live: _Live) -> _Live:
        self._live.add(live)
        live.stream.ended.add_done_callback(lambda _: self._live.discard(live))
        return live


def _cancel(answering: asyncio.Task[None], _: object) -> None:
    answering.cancel()


def _behind(address: IPAddress, premises: Premises) -> IPAddress | None:
    """The address as rules with ranges see it; None for one of the mesh, which stands for the node itself."""
    return None if address.is_loopback or premises.is_of_mesh(address) else address


def _now() -> float:
    return asyncio.get_running_loop().time()
