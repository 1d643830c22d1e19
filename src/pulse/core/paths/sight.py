"""How others see us: at which address, and with which clock.

Invariant: what a neighbour said counts only while its link is up, once however many links it has, and one that lies
outweighs no two that agree.
"""

from collections import Counter
from dataclasses import dataclass, field
from ipaddress import ip_address
from statistics import median
from typing import Final

from pulse.core.addresses import is_ip, join, split
from pulse.core.bucket import Bucket
from pulse.core.effects import WARNING, CloseLink, Effect, Log, SendMessage
from pulse.core.facts import LinkUp
from pulse.core.messages import Observed, encode
from pulse.core.paths.nat import Mapping, Nat, is_v4, judge
from pulse.core.types import LinkId, LinkType, NodeId

CLOCK_TOLERANCE: Final = 300.0
"""Seconds between our clock and the neighbours' median from which rules with times only deny."""

OBSERVED_TOLD: Final = 3
"""Addresses that neighbours see which have a place among our candidates, however many interfaces there are."""

SIGHTINGS: Final = 8
SIGHTING_RATE: Final = 1 / 10
"""How often one neighbour may see us elsewhere, at once and then each second: each time we tell the whole mesh."""


@dataclass(slots=True)
class Sight:
    """What neighbours and our router tell us of ourselves."""

    mapped: tuple[str, ...] = ()
    """Where our router passes on to us what strangers send, `ip:port`: one place, or none."""
    _local: tuple[str, ...] = ()
    _addresses: dict[LinkId, str] = field(default_factory=dict)
    _nodes: dict[LinkId, NodeId] = field(default_factory=dict)
    """Whom each link leads to."""
    _apart: set[LinkId] = field(default_factory=set)
    """Links through sockets of their own: where those are seen leads nobody else to us, nor tells of the NAT."""
    _sightings: dict[LinkId, Bucket] = field(default_factory=dict)
    """Of each link that told an address."""
    _told: dict[LinkId, Bucket] = field(default_factory=dict)
    """Of each link whose far end moved."""
    _offsets: dict[LinkId, float] = field(default_factory=dict)
    _lead: float | None = None
    """Our wall clock minus the monotonic one: it changes when somebody sets the clock."""

    # Facts

    def addresses_changed(self, candidates: tuple[str, ...]) -> None:
        """Where this machine says it is reached, `ip:port` each, best first."""
        self._local = candidates

    def port_mapped(self, address: str | None) -> None:
        """Our router passes on to us what comes to `address`; None: it does no more."""
        self.mapped = (address,) if address else ()

    def link_opened(self, fact: LinkUp, *, apart: bool = False) -> list[Effect]:
        """Tell the neighbour where we see it; the far end of a WebSocket is no address for UDP."""
        if apart:
            self._apart.add(fact.link)
        self._nodes[fact.link] = fact.node
        if fact.transport == LinkType.WEBSOCKET:
            return []
        return [_observed(fact.link, fact.observed)]

    def link_moved(self, link: LinkId, observed: str, now: float) -> list[Effect]:
        """The neighbour is seen elsewhere: tell it, no more often than it would listen."""
        told = self._told.setdefault(link, Bucket(SIGHTING_RATE, SIGHTINGS - 1, now))
        if told.level(now) < 1:
            return []
        told.spend(1, now)
        return [_observed(link, observed)]

    def observed(self, link: LinkId, host: str, port: int, now: float) -> list[Effect]:
        """A neighbour sees us there; one that changes its mind too often is not listened to."""
        # The zone of a link-local address is the neighbour's own name for its interface, and free text.
        bare = host.partition("%")[0]
        if not is_ip(bare) or not port:
            return [CloseLink(link, "protocol"), Log("neighbour saw us at no address", WARNING)]
        address = join(str(ip_address(bare)), port)
        # A link-local address means something on that one LAN only, where a beacon tells of it.
        if ip_address(bare).is_link_local or link in self._apart or address == self._addresses.get(link):
            return []
        sightings = self._sightings.setdefault(link, Bucket(SIGHTING_RATE, SIGHTINGS, now))
        if sightings.level(now) >= 1:
            sightings.spend(1, now)
            self._addresses[link] = address
        return []

    def clock_compared(self, link: LinkId, offset: float) -> None:
        """Our wall clock minus a neighbour's, in seconds."""
        self._offsets[link] = offset

    def clock_read(self, wall: float, now: float) -> None:
        """Our wall clock, in seconds since 1970; one that was set meanwhile is ahead of all others by as much more."""
        lead = wall - now
        moved = 0.0 if self._lead is None else lead - self._lead
        self._lead = lead
        self._offsets = {link: offset + moved for link, offset in self._offsets.items()}

    def link_closed(self, link: LinkId) -> None:
        """That neighbour sees us no more."""
        self._addresses.pop(link, None)
        self._nodes.pop(link, None)
        self._apart.discard(link)
        self._sightings.pop(link, None)
        self._told.pop(link, None)
        self._offsets.pop(link, None)

    # Queries

    def addresses(self) -> list[str]:
        """Addresses our neighbours see us at, `ip:port` each, each once; those that most of them see first."""
        voices = self._voices()
        return sorted(voices, key=lambda each: (-voices[each], each))

    def outer(self) -> list[str]:
        """Those of `addresses` that lie beyond a NAT."""
        return [each for each in self.addresses() if is_v4(each) and each not in self._local]

    def candidates(self) -> tuple[str, ...]:
        """Where others may try to reach us: a mapped port, what this machine knows, what neighbours see beside it."""
        seen = [each for each in self.addresses() if each not in self._local][:OBSERVED_TOLD]
        known = (*self._local[:OBSERVED_TOLD], *seen, *self._local[OBSERVED_TOLD:])
        return tuple(dict.fromkeys([*self.mapped, *known]))

    def own(self) -> tuple[str, ...]:
        """Places that are surely ours: what this machine knows, and what two neighbours see. One alone could lie, and
        name another node's place, so that we never dial it."""
        voices = self._voices()
        return (*self._local, *(each for each, count in voices.items() if count > 1))

    def nat(self) -> Nat:
        """The NAT between us and our neighbours."""
        return judge([*self._voices().elements()], self._local)

    def is_open(self) -> bool:
        """True if others see us at addresses of our own."""
        return self.nat().mapping is Mapping.NONE

    def clock_offset(self) -> float:
        """Our wall clock minus the median of the neighbours', in seconds; 0 while there are none.

        Of an even number of neighbours half may lie, so ours is one more voice then: it takes most of them to say that
        we are wrong. One alone does: it could as well drop all that we send, and the clock that is wrong may be ours.
        """
        offsets = self._clocks()
        return median(offsets if len(offsets) % 2 else [*offsets, 0.0])

    def clock_vouched(self) -> bool:
        """True if most neighbours' clocks agree with ours, which is no voice here: it is the one in doubt."""
        offsets = self._clocks()
        return sum(abs(each) <= CLOCK_TOLERANCE for each in offsets) * 2 > len(offsets)

    def clock_agrees(self) -> bool:
        """True unless most neighbours' clocks are far from ours; with nobody to ask ours is all there is."""
        return abs(self.clock_offset()) <= CLOCK_TOLERANCE

    # Details

    def _clocks(self) -> list[float]:
        """Our wall clock minus each neighbour's; by the newest of two links with one."""
        by_node = {self._nodes.get(link, link): offset for link, offset in self._offsets.items()}
        return [*by_node.values()]

    def _voices(self) -> Counter[str]:
        """How many neighbours see us at each address; two links with one are one voice."""
        said = {(self._nodes.get(link, link), address) for link, address in self._addresses.items()}
        return Counter(address for _, address in said)


def _observed(link: LinkId, seen_at: str) -> SendMessage:
    return SendMessage(link, encode(Observed(*split(seen_at))))
