"""A data plane that only remembers what it was asked, and tells what a test makes happen."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from pulse.core.effects import NOTHING, WEBSOCKET_AFTER, Attempt, PolicyRule, TablesChanged
from pulse.core.facts import Fact, LinkSample
from pulse.core.messages import RPC_LIMIT
from pulse.core.paths.fec import Protection
from pulse.core.paths.figures import PathSample
from pulse.core.types import NO_LINK, LinkId, NodeId
from pulse.errors import LinkError, ProtocolError, PulseError
from pulse.net.links import JoinOffer, PeerTraffic, Request, RuleHits, Trust

NOBODY = NodeId("")


@dataclass(frozen=True)
class Dialled:
    """One dial the data plane was asked for."""

    dial: int
    address: str
    expect: NodeId | None
    replaces: LinkId = NO_LINK
    websocket_after: float | None = WEBSOCKET_AFTER
    hole: int = 0


@dataclass
class FakeLane:
    """A join lane that answers every request with `answer`, or breaks if there is none."""

    leaf: bytes = b""
    objects: bytes = b""
    answer: bytes | None = None
    requests: list[bytes] = field(default_factory=list)
    transport: str = "quic"

    async def send(self, request: bytes) -> bytes:
        """The answer; raises LinkError without one."""
        self.requests.append(request)
        if self.answer is None:
            raise LinkError("the connection was lost")
        return self.answer


@dataclass
class FakeLinks:
    """Implements `Links`: `happens`, `asks`, `offers` and `loses_tun` are the world's side."""

    node: NodeId = NOBODY
    """Who asks, when this one asks `far`."""
    dials: list[Dialled] = field(default_factory=list)
    sessions_closed: dict[NodeId, str] = field(default_factory=dict)
    sessions_renewed: int = 0
    """How often all of them."""
    closed: dict[LinkId, str] = field(default_factory=dict)
    sent: dict[LinkId, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    unreadable: bool = False
    """Tables and rules are such that no data plane could read them."""
    unreadable_addresses: Collection[str] = ()
    """To be dialled, or joined at: no data plane could read them."""
    tables: TablesChanged | None = None
    policy: tuple[PolicyRule, ...] | None = None
    decided: RuleHits = field(default_factory=lambda: RuleHits({}, 0))
    trust: Trust | None = None
    identity: tuple[tuple[bytes, ...], bytes] | None = None
    join_answers: dict[int, bytes] = field(default_factory=dict)
    lanes: dict[str, FakeLane] = field(default_factory=dict)
    """By address; at any other nobody answers."""
    joins: list[tuple[str, bool]] = field(default_factory=list)
    far: dict[NodeId, "FakeLinks"] = field(default_factory=dict)
    """Nodes that RPCs reach."""
    tuns: list[str] = field(default_factory=list)
    """Devices there are."""
    tun_refusals: list[PulseError] = field(default_factory=list)
    """What the next tries to make a device end in."""
    expected: tuple[Attempt, ...] = ()
    probes: list[tuple[str, int]] = field(default_factory=list)
    probes_apart: list[tuple[str, int, int]] = field(default_factory=list)
    samples: tuple[LinkSample, ...] = ()
    peers: list[PeerTraffic] = field(default_factory=list)
    measured: list[PathSample] = field(default_factory=list)
    moves: tuple[LinkId, ...] = ()
    """Links whose source is another by now."""
    hosts: list[str] = field(default_factory=list)
    """Addresses the socket was bound to, one after the other."""
    passed_on: list[int] = field(default_factory=list)
    """How many frames of others each look finds; the last one counts for all that follow."""
    fec: list[tuple[Protection, ...] | None] = field(default_factory=list)
    """Every table of protected paths, the newest last."""
    _facts: asyncio.Queue[Fact] = field(default_factory=asyncio.Queue)
    _offers: asyncio.Queue[JoinOffer] = field(default_factory=asyncio.Queue)
    _requests: asyncio.Queue[Request] = field(default_factory=asyncio.Queue)
    _tun_gone: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    _answers: dict[int, asyncio.Future[bytes]] = field(default_factory=dict)

    # The world's side

    def happens(self, *facts: Fact) -> None:
        """Tell facts."""
        for fact in facts:
            self._facts.put_nowait(fact)

    def offers(self, offer: JoinOffer) -> None:
        """A stranger asks to join."""
        self._offers.put_nowait(offer)

    async def asks(self, node: NodeId, payload: bytes) -> bytes:
        """A peer asks something; what it was answered."""
        request = Request(1 + len(self._answers), node, payload)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._answers[request.request] = answer
        self._requests.put_nowait(request)
        return await answer

    def loses_tun(self, reason: str) -> None:
        """Somebody deleted the device."""
        self.tuns.clear()
        self._tun_gone.put_nowait(reason)

    # The protocol

    def expect_probes(self, attempts: Sequence[Attempt]) -> None:
        """Remember it."""
        self.expected = tuple(attempts)

    def send_probe(self, address: str, attempt: int) -> None:
        """Remember it."""
        self.probes.append((address, attempt))

    def send_probes_apart(self, address: str, attempt: int, count: int) -> None:
        """Remember it."""
        self.probes_apart.append((address, attempt, count))

    async def wait_facts(self) -> list[Fact]:
        """Wait for facts."""
        told = [await self._facts.get()]
        while not self._facts.empty():
            told.append(self._facts.get_nowait())
        return told

    async def wait_offer(self) -> JoinOffer:
        """Wait for a join request."""
        return await self._offers.get()

    async def wait_request(self) -> Request:
        """Wait for an RPC."""
        return await self._requests.get()

    async def wait_tun_gone(self) -> str:
        """Wait for the end of the device."""
        return await self._tun_gone.get()

    def install_identity(self, chain: Sequence[bytes], key: bytes) -> None:
        """Remember it."""
        self.identity = (tuple(chain), key)

    def install_trust(self, trust: Trust) -> None:
        """Remember it."""
        self.trust = trust

    async def join(self, address: str, *, pinned: bool) -> FakeLane:
        """The lane of `lanes` at that address."""
        self.joins.append((address, pinned))
        self._read(address)
        if address not in self.lanes:
            raise LinkError("no answer")
        return self.lanes[address]

    def answer_join(self, offer: int, answer: bytes) -> None:
        """Remember it."""
        self.join_answers[offer] = answer

    def dial(
        self,
        address: str,
        expect: NodeId | None,
        replaces: LinkId = NO_LINK,
        websocket_after: float | None = WEBSOCKET_AFTER,
        hole: int = 0,
    ) -> int:
        """Remember it, numbered from 1001: no attempt of the core has such a number."""
        self._read(address)
        self.dials.append(Dialled(1001 + len(self.dials), address, expect, replaces, websocket_after, hole))
        return self.dials[-1].dial

    def _read(self, address: str) -> None:
        if address in self.unreadable_addresses:
            raise ProtocolError(f"the data plane cannot read the address {address}")

    def close_link(self, link: LinkId, reason: str) -> None:
        """Remember it."""
        self.closed[link] = reason

    def renew_sessions(self) -> None:
        """Count it."""
        self.sessions_renewed += 1

    def close_session(self, node: NodeId, reason: str) -> None:
        """Remember it."""
        self.sessions_closed[node] = reason

    def send(self, link: LinkId, message: bytes) -> bool:
        """Remember it."""
        self.sent[link].append(message)
        return True

    async def request(self, node: NodeId, payload: bytes, timeout: float) -> bytes:
        """Ask one of `far`."""
        if node not in self.far:
            raise LinkError("it cannot be reached: no link leads there")
        try:
            async with asyncio.timeout(timeout):
                return await self.far[node].asks(self.node, payload)
        except TimeoutError as error:
            raise LinkError("no answer") from error

    def respond(self, request: int, payload: bytes) -> None:
        """Tell who asked; a second answer to one request is an error, and so is one that is too long."""
        if len(payload) > RPC_LIMIT:
            raise ValueError("a response is longer than 1 MiB")
        self._answers[request].set_result(payload)

    def replace_tables(self, tables: TablesChanged) -> None:
        """Remember them, unless they are to be refused."""
        if self.unreadable:
            raise ProtocolError("the data plane cannot read these tables")
        self.tables = tables

    def replace_policy(self, rules: Sequence[PolicyRule]) -> None:
        """Remember them, unless they are to be refused."""
        if self.unreadable and NOTHING not in rules:
            raise ProtocolError("the data plane cannot read these rules")
        self.policy = tuple(rules)

    def set_fec(self, paths: Sequence[Protection] | None) -> None:
        """Remember it."""
        self.fec.append(paths if paths is None else tuple(paths))

    def attach_tun(self, name: str, queues: int) -> str:
        """Make a device, unless one is there or a refusal is planned."""
        assert not self.tuns, "a device is there already"
        assert queues > 0
        if self.tun_refusals:
            raise self.tun_refusals.pop(0)
        self.tuns.append(name)
        return name

    def detach_tun(self) -> None:
        """Remove the device."""
        self.tuns.clear()

    def rebind(self, host: str) -> None:
        """Remember it."""
        self.hosts.append(host)

    def moved(self) -> tuple[LinkId, ...]:
        """Those of `moves`."""
        return self.moves

    def relayed(self) -> int:
        """The next of `passed_on`."""
        if len(self.passed_on) > 1:
            return self.passed_on.pop(0)
        return self.passed_on[0] if self.passed_on else 0

    def sample(self) -> tuple[LinkSample, ...]:
        """The figures of `samples`."""
        return self.samples

    def paths(self) -> list[PathSample]:
        """The figures of `measured`."""
        return self.measured

    def traffic(self) -> list[PeerTraffic]:
        """The figures of `peers`."""
        return self.peers

    def sessions(self) -> int:
        """As many as there are peers."""
        return len(self.peers)

    def drops(self) -> dict[str, int]:
        """Nothing is ever dropped."""
        return {}

    def hits(self) -> RuleHits:
        """The figures of `decided`."""
        return self.decided
