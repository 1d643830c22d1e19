"""The data plane behind the protocol `Links`: tuples become facts, node ids become hex digits.

Invariant: this is the only module that imports `pulse._dataplane`; it decides nothing.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from pulse import _dataplane
from pulse.core import facts
from pulse.core.addresses import split
from pulse.core.effects import WEBSOCKET_AFTER, Attempt, PolicyRule, TablesChanged
from pulse.core.messages import printable
from pulse.core.paths.fec import Protection
from pulse.core.paths.figures import PathSample
from pulse.core.types import NO_LINK, LinkId, NodeId
from pulse.errors import LinkError, SystemRefused
from pulse.net.dataplanewords import sentence, tun_refusal, understood
from pulse.net.links import JoinOffer, PeerTraffic, Request, RuleHits, Trust
from pulse.net.proxy import Proxy
from pulse.net.sockets import bind_beside
from pulse.net.streams import DataplaneStreams

log = logging.getLogger(__name__)

BACKLOG = 128
"""Connections that may wait to be accepted."""


@dataclass(slots=True)
class Lane:
    """The joiner's side of one conversation on a join lane."""

    _dataplane: _dataplane.Dataplane
    _join: int
    _next: asyncio.Future[tuple[Any, ...]]
    transport: str = ""
    leaf: bytes = b""
    objects: bytes = b""
    _ended: LinkError | None = None

    async def opened(self) -> None:
        """Wait for the greeting. Raises LinkError."""
        self.transport, self.leaf, self.objects = await self._next

    async def send(self, request: bytes) -> bytes:
        """Send the request and wait for the answer. Raises LinkError."""
        if self._ended is not None:
            raise self._ended
        self._next = asyncio.get_running_loop().create_future()
        self._dataplane.send_join(self._join, request)
        answer: bytes
        (answer,) = await self._next
        return answer

    def happened(self, *values: object) -> None:
        """The next step of the conversation arrived."""
        if not self._next.done():
            self._next.set_result(values)

    def failed(self, code: str, detail: str) -> None:
        """The conversation ended before its time, perhaps between two of our steps."""
        self._ended = LinkError(sentence(code, detail))
        if not self._next.done():
            self._next.set_exception(self._ended)


@dataclass(slots=True)
class DataplaneLinks:
    """One data plane, drained by the asyncio loop it was started on."""

    _dataplane: _dataplane.Dataplane
    _udp: socket.socket
    """The socket of the data plane once more: whoever binds another beside it needs it."""
    _proxy: Proxy | None = None
    refused: Callable[[str], None] = lambda _: None
    """Told, in the data plane's words, of links that were refused for their certificate."""
    listens_tcp: bool = False
    """WebSockets are taken in, on the TCP port of the same number."""
    _facts: list[facts.Fact] = field(default_factory=list)
    _told: asyncio.Event = field(default_factory=asyncio.Event)
    _offers: asyncio.Queue[JoinOffer] = field(default_factory=asyncio.Queue)
    """Bounded by the join lane, which holds at most 64 conversations."""
    _requests: asyncio.Queue[Request] = field(default_factory=asyncio.Queue)
    """Bounded by the sessions, which hold at most 64 open requests a peer."""
    _tun_gone: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    _lanes: dict[int, Lane] = field(default_factory=dict)
    _answers: dict[int, asyncio.Future[bytes]] = field(default_factory=dict)
    streams: DataplaneStreams = field(init=False)

    def __post_init__(self) -> None:
        self.streams = DataplaneStreams(self._dataplane)

    @classmethod
    def start(cls, udp: int, proxy: Proxy | None = None) -> "DataplaneLinks":
        """Start a data plane on a bound UDP socket, whose descriptor it takes over; WebSockets go through `proxy`."""
        ours = socket.socket(fileno=os.dup(udp))
        links = cls(_dataplane.Dataplane(udp), ours, proxy)
        asyncio.get_running_loop().add_reader(links._dataplane.fileno(), links._drain)
        return links

    @property
    def host(self) -> str:
        """Address of the UDP socket; empty if it takes in what comes to any."""
        host = split(self._dataplane.local_address())[0]
        return "" if ip_address(host).is_unspecified else host

    @property
    def port(self) -> int:
        """Of the UDP socket."""
        return split(self._dataplane.local_address())[1]

    def listen(self, tcp: socket.socket) -> None:
        """Take in WebSockets on a bound TCP socket, which is taken over."""
        tcp.listen(BACKLOG)
        self.listens_tcp = True
        self._dataplane.listen(tcp.detach())

    def close(self) -> None:
        """End every link and session and free the socket; takes well under a second."""
        asyncio.get_running_loop().remove_reader(self._dataplane.fileno())
        self._dataplane.close()
        self._udp.close()

    def rebind(self, host: str) -> None:
        fresh = bind_beside(self._udp, host)
        self._dataplane.rebind(os.dup(fresh.fileno()))
        self._udp.close()
        self._udp = fresh

    # What happened

    async def wait_facts(self) -> list[facts.Fact]:
        await self._told.wait()
        self._told.clear()
        told, self._facts = self._facts, []
        return told

    async def wait_offer(self) -> JoinOffer:
        return await self._offers.get()

    async def wait_request(self) -> Request:
        return await self._requests.get()

    async def wait_tun_gone(self) -> str:
        return await self._tun_gone.get()

    def _drain(self) -> None:
        for kind, *values in self._dataplane.drain():
            _ON_EVENT[kind](self, *values)

    def _said(self, level: int, text: str) -> None:
        log.log(level, text)
        if level >= logging.INFO and text.startswith("refused a link"):
            self.refused(text)

    def _tell(self, fact: facts.Fact) -> None:
        self._facts.append(fact)
        self._told.set()

    # What is asked

    def install_identity(self, chain: Sequence[bytes], key: bytes) -> None:
        self._dataplane.install_identity(list(chain), key)

    def install_trust(self, trust: Trust) -> None:
        self._dataplane.install_trust(
            list(trust.authorities), trust.network, [_raw(node) for node in trust.revoked], trust.time_floor,
            trust.greeting,
        )  # fmt: skip

    def renew_sessions(self) -> None:
        self._dataplane.renew_sessions()

    async def join(self, address: str, *, pinned: bool) -> Lane:
        with understood(f"the address {address}"):
            through = self._through(address)
            join = self._dataplane.join(address, pinned, websocket=WEBSOCKET_AFTER, proxy=through)
        lane = self._lanes[join] = Lane(self._dataplane, join, asyncio.get_running_loop().create_future())
        await lane.opened()
        return lane

    def answer_join(self, offer: int, answer: bytes) -> None:
        self._dataplane.answer_join(offer, answer)

    def dial(
        self,
        address: str,
        expect: NodeId | None,
        replaces: LinkId = NO_LINK,
        websocket_after: float | None = WEBSOCKET_AFTER,
        hole: int = 0,
    ) -> int:
        raw = _raw(expect) if expect else None
        with understood(f"the address {address}"):
            through = self._through(address)
            return self._dataplane.dial(address, raw, replaces, websocket=websocket_after, proxy=through, hole=hole)

    def close_link(self, link: LinkId, reason: str) -> None:
        self._dataplane.close_link(link, reason)

    def close_session(self, node: NodeId, reason: str) -> None:
        self._dataplane.close_session(_raw(node), reason)

    def send(self, link: LinkId, message: bytes) -> bool:
        return self._dataplane.send(link, message)

    def expect_probes(self, attempts: Sequence[Attempt]) -> None:
        self._dataplane.expect_probes([(each.number, each.ours, each.theirs, each.by_birthday) for each in attempts])

    def send_probe(self, address: str, attempt: int) -> None:
        self._dataplane.send_probe(address, attempt)

    def send_probes_apart(self, address: str, attempt: int, count: int) -> None:
        self._dataplane.send_probes_apart(address, attempt, count)

    async def request(self, node: NodeId, payload: bytes, timeout: float) -> bytes:
        request = self._dataplane.request(_raw(node), payload, timeout)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._answers[request] = answer
        try:
            return await answer
        finally:
            del self._answers[request]

    def respond(self, request: int, payload: bytes) -> None:
        self._dataplane.respond(request, payload)

    def replace_tables(self, tables: TablesChanged) -> None:
        with understood("these tables"):
            self._dataplane.replace_addresses(
                [(owner.prefix, _raw(owner.node), owner.destination, owner.source) for owner in tables.owners]
            )
            self._dataplane.replace_routes({str(handle): list(hops) for handle, hops in tables.routes.items()})

    def replace_policy(self, rules: Sequence[PolicyRule]) -> None:
        with understood("these rules"):
            self._dataplane.replace_policy(rules)

    def set_fec(self, paths: Sequence[Protection] | None) -> None:
        raw = None if paths is None else [(_raw(node), link, parity, twice) for node, link, parity, twice in paths]
        self._dataplane.set_fec(raw)

    def attach_tun(self, name: str, queues: int) -> str:
        try:
            return self._dataplane.attach_tun(name, queues)
        except OSError as error:
            raise SystemRefused(tun_refusal(name, error)) from error

    def detach_tun(self) -> None:
        self._dataplane.detach_tun()

    def _through(self, address: str) -> tuple[str, str] | None:
        if self._proxy is None or self._proxy.is_bypassed(address):
            return None
        return self._proxy.address, self._proxy.authorization

    def moved(self) -> tuple[LinkId, ...]:
        return tuple(LinkId(link) for link in self._dataplane.moved())

    # Figures

    def sample(self) -> tuple[facts.LinkSample, ...]:
        return tuple(
            facts.LinkSample(LinkId(link.link), link.rtt, link.jitter, link.loss)
            for link in self._dataplane.statistics().links
        )

    def paths(self) -> list[PathSample]:
        return [
            PathSample(
                *(_hex(path.node), LinkId(path.link), path.rtt, path.loss, path.suspect),
                *(path.reported, path.burst, path.parity, path.duplicate),
            )
            for path in self._dataplane.statistics().paths
        ]

    def traffic(self) -> list[PeerTraffic]:
        return [
            PeerTraffic(
                _hex(peer.node),
                peer.packets_out,
                peer.bytes_out,
                peer.packets_in,
                peer.bytes_in,
                peer.mtu or 0,
                peer.parity_out,
                peer.parity_in,
                peer.repaired,
                peer.unrepairable,
            )
            for peer in self._dataplane.statistics().peers
        ]

    def relayed(self) -> int:
        return sum(link.relayed for link in self._dataplane.statistics().links)

    def sessions(self) -> int:
        return len(self._dataplane.statistics().sessions)

    def drops(self) -> dict[str, int]:
        return dict(self._dataplane.statistics().drops)

    def hits(self) -> RuleHits:
        statistics = self._dataplane.statistics()
        return RuleHits(statistics.hits, statistics.unmatched)

    # Answers to what was asked before

    def _greeted(self, join: int, transport: str, leaf: bytes, objects: bytes) -> None:
        if lane := self._lanes.get(join):
            lane.happened(transport, leaf, objects)

    def _answered(self, join: int, answer: bytes) -> None:
        if lane := self._lanes.pop(join, None):
            lane.happened(answer)

    def _join_failed(self, join: int, code: str, detail: str) -> None:
        if lane := self._lanes.pop(join, None):
            lane.failed(code, detail)

    def _response(self, request: int, payload: bytes | None, code: str) -> None:
        answer = self._answers.get(request)
        if answer is None or answer.done():
            return
        if payload is None:
            answer.set_exception(LinkError(sentence(code, "")))
        else:
            answer.set_result(payload)

    def _link_up(self, *event: Any) -> None:
        link, dial, node, certificate, transport, observed, version, boot, _, _, clock, revocations, features = event
        hello = facts.PeerHello(version, boot, clock, revocations, features)
        self._tell(facts.LinkUp(LinkId(link), dial, _hex(node), certificate, transport, observed, hello))


_ON_EVENT: dict[str, Callable[..., None]] = {
    "LinkUp": DataplaneLinks._link_up,
    "LinkDown": lambda self, link, node, why: self._tell(facts.LinkDown(LinkId(link), _hex(node), printable(why))),
    "LinkSuspect": lambda self, link, node, so: self._tell(facts.LinkSuspect(LinkId(link), _hex(node), so)),
    "LinkMoved": lambda self, link, node, at: self._tell(facts.LinkMoved(LinkId(link), _hex(node), at)),
    "PathSuspect": lambda self, node, link, so: self._tell(facts.PathSuspected(_hex(node), LinkId(link), so)),
    "DialFailed": lambda self, dial, code, detail: self._tell(facts.DialFailed(dial, code, sentence(code, detail))),
    "Message": lambda self, link, payload: self._tell(facts.MessageReceived(LinkId(link), payload)),
    "JoinOffered": lambda self, *offer: self._offers.put_nowait(JoinOffer(*offer)),
    "JoinGreeted": DataplaneLinks._greeted,
    "JoinAnswered": DataplaneLinks._answered,
    "JoinFailed": DataplaneLinks._join_failed,
    "ProbeReceived": lambda self, *probe: self._tell(facts.ProbeReceived(*probe)),
    "PeerWanted": lambda self, node: self._tell(facts.PeerWanted(_hex(node))),
    "NoRoute": lambda self, node: self._tell(facts.NoRoute(_hex(node))),
    "FlowDenied": lambda self, node, *flow: self._tell(facts.FlowDenied(_hex(node), *flow)),
    "Request": lambda self, number, node, payload: self._requests.put_nowait(Request(number, _hex(node), payload)),
    "Response": DataplaneLinks._response,
    "StreamOffered": lambda self, stream, node, header: self.streams.offered(stream, _hex(node), header),
    "StreamAccepted": lambda self, stream: self.streams.accepted(stream),
    "StreamRefused": lambda self, stream, code: self.streams.refused(stream, code),
    "StreamClosed": lambda self, stream, *moved: self.streams.closed(stream, *moved),
    "SessionUp": lambda self, node: self._tell(facts.SessionUp(_hex(node))),
    "SessionDown": lambda self, node, why: self._tell(facts.SessionDown(_hex(node), why)),
    "TunGone": lambda self, why: self._tun_gone.put_nowait(why),
    "Log": DataplaneLinks._said,
}


def _raw(node: NodeId) -> bytes:
    return bytes.fromhex(node)


def _hex(node: bytes) -> NodeId:
    return NodeId(node.hex())
