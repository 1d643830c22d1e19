"""Where streams of others lead: a destination is looked up here, judged, and dialled.

Invariant: every address of a name is judged, and the one that is dialled is one of them.
"""

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Final

from pulse.core.network.destinations import NOT_APPROVED, Destination, IPAddress, Premises, address_of, judge
from pulse.core.network.streamcodes import StreamCode, StreamKind
from pulse.core.types import NodeId
from pulse.net.links import Moved
from pulse.net.outward import Turns
from pulse.services.streams.register import Flow, Register

PATIENCE: Final = 10.0
"""Seconds for a destination to be found and to answer."""

LOOKUPS_OF_ONE: Final = 4
"""Names looked up at once for one node, while name servers let us wait."""

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


class Unfit(Exception):
    """A stream of theirs that is refused: with which code, and why as our log says it."""

    def __init__(self, code: StreamCode, why: str) -> None:
        """The code goes to the other end, the reason does not."""
        super().__init__(why)
        self.code = code


@dataclass(frozen=True, slots=True)
class Led:
    """What a stream of theirs leads to."""

    connection: socket.socket
    flow: Flow
    """What that is to the rules."""
    tell: Callable[[Moved], None] = lambda _: None
    """Is to be told how it ended, or that it never began."""


@dataclass(slots=True)
class Dialling:
    """Dials for other nodes."""

    register: Register
    premises: Callable[[], Premises]
    """What this node is, for the judgement of destinations; asked anew for each stream."""
    resolve: Callable[[str], Awaitable[list[IPAddress]]]
    connect: Callable[[IPAddress, int], Awaitable[socket.socket]]
    program: Callable[[NodeId, int], tuple[socket.socket, Callable[[Moved], None]] | None] = lambda *_: None
    """What leads to the program that has a port of this node, for a node that calls, and who is told how that ended;
    None if none has it."""
    lead_here: bool = True
    """Streams of others lead to what listens on this machine, and not to such programs alone."""
    _lookups: Turns[NodeId] = field(default_factory=lambda: Turns(LOOKUPS_OF_ONE), init=False)

    async def connected(self, flow: Flow, destination: Destination, kind: StreamKind) -> Led:
        """A socket connected to the destination. Raises Unfit."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._led(flow, destination, kind)
        except TimeoutError:
            raise Unfit(StreamCode.TIMED_OUT, "no answer") from None

    def check(self, flow: Flow) -> None:
        """Raise Unfit if the rules deny it."""
        if not self.register.may(flow):
            self.register.tally(flow, opened=False)
            raise Unfit(StreamCode.NOT_ALLOWED, "the rules deny it")

    # Details

    async def _led(self, flow: Flow, destination: Destination, kind: StreamKind) -> Led:
        addresses, premises = await self._judged(flow.source, destination, kind)
        ways = {each: replace(flow, beyond=_behind(each, premises)) for each in addresses}
        for way in ways.values():
            self.check(way)
        at_home = next((each for each in addresses if self._is_home(each)), None)
        if at_home and (handed := self.program(flow.source, destination.port)):
            connection, tell = handed
            return Led(connection, ways[at_home], tell)
        if at_home and not self.lead_here:
            raise Unfit(StreamCode.REFUSED, "no program has that port, and it leads to nothing else here")
        connection, address = await self._dialled(addresses, destination.port, premises.behind)
        return Led(connection, ways[address])

    async def _judged(
        self, source: NodeId, destination: Destination, kind: StreamKind
    ) -> tuple[list[IPAddress], Premises]:
        """The addresses of the destination that may be dialled, and what they were judged by. Raises Unfit.

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
                raise Unfit(StreamCode.FORBIDDEN, why)
            fit += [] if why else [address]
        if not fit:
            raise Unfit(StreamCode.FORBIDDEN, NOT_APPROVED) if found else Unfit(StreamCode.NO_NAME, "no address")
        return fit, premises

    async def _looked_up(self, source: NodeId, host: str, kind: StreamKind) -> list[IPAddress]:
        """All addresses of the host. Raises Unfit; names are looked up for those alone whom that can lead anywhere."""
        if address_of(host) is not None:
            return await self.resolve(host)
        if kind is StreamKind.EXIT and not self.premises().everywhere:
            raise Unfit(StreamCode.FORBIDDEN, NOT_APPROVED)
        try:
            return await self._lookups.had(source, lambda: self.resolve(host))
        except (OSError, UnicodeError) as error:
            raise Unfit(StreamCode.NO_NAME, f"no such name: {error}") from error

    def _at_home(self, address: IPAddress, premises: Premises) -> IPAddress:
        """Our mesh address stands for this node also where no interface has it: then loopback does."""
        ours = self.register.mesh.me.addresses
        if address not in (ours.v4, ours.v6) or address in premises.own:
            return address
        return _LOOPBACK[address.version]

    def _is_home(self, address: IPAddress) -> bool:
        """True for the addresses at which programs have ports of this node: loopback, and those of the mesh."""
        ours = self.register.mesh.me.addresses
        return address.is_loopback or address in (ours.v4, ours.v6)

    async def _dialled(
        self, addresses: list[IPAddress], port: int, behind: Callable[[IPAddress], IPAddress]
    ) -> tuple[socket.socket, IPAddress]:
        failures: list[Unfit] = []
        for address in addresses:
            try:
                return await self.connect(behind(address), port), address
            except OSError as error:
                code = _CODES.get(error.errno or 0, StreamCode.HOST_UNREACHABLE)
                failures.append(Unfit(code, str(error)))
        # Of several, that there is a host and nothing listens says most.
        raise next((each for each in failures if each.code is StreamCode.REFUSED), failures[0])


def _behind(address: IPAddress, premises: Premises) -> IPAddress | None:
    """The address as rules with ranges see it; None for one of the mesh, which stands for the node itself."""
    return None if address.is_loopback or premises.is_of_mesh(address) else address
