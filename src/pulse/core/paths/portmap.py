"""When to ask the router for a port, and what becomes of its answer.

    no gateway ──> asking ──> held ──> asking again: half of the lease is over, the router restarted or moved
                     └─────> waiting: a minute, doubling to an hour ──> asking

Sources: RFC 6886 §3.6, RFC 6887 §8.5 and §11.2.1. Invariant: one question is open at a time, what answers another one
changes nothing, and an address told to the mesh is one where a stranger may dial.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Final

from pulse.core.addresses import join
from pulse.core.effects import DEBUG, INFO, Log
from pulse.core.facts import PortMapped
from pulse.core.paths.backoff import Backoff
from pulse.errors import Refused

if TYPE_CHECKING:
    from random import Random

LEASE: Final = 7200.0
"""Seconds asked for (RFC 6886 §3.3 recommends it): a node that is killed leaves its mapping behind no longer."""

LEAST_LEASE, MOST_LEASE = 60.0, 86400.0
"""Seconds a lease may last: renewing a shorter one would be all we do, and a longer one is asked for again in time."""

RENEW_FROM, RENEW_TO = 1 / 2, 5 / 8
"""The part of the lease after which it is renewed, drawn anew each time (RFC 6887 §11.2.1)."""

LOOK: Final = 60.0
"""Seconds after which the router is looked at, in case it restarted in silence: one small packet each way."""

LOOK_SOON: Final = 10.0
"""The same while it does not answer: it may be restarting now."""

LOOK_LEAST, ASK_LEAST = 1.0, 5.0
"""Seconds between two looks, or two questions, that somebody on our cable can cause at most."""

FIRST_WAIT, LONGEST_WAIT = 60.0, 3600.0
"""Seconds of the first and the longest pause after a router that maps nothing."""

SLACK: Final = 1 / 8
TOLERANCE: Final = 2.0
"""How much faster or slower than ours a router's clock may go, and seconds it may be wrong beside."""

_PRIVATE: Final = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")))
"""RFC 1918 and RFC 6598: an address there is behind one more NAT."""

_NOWHERE: Final = IPv4Network("0.0.0.0/8")


class Mapper(StrEnum):
    """The protocol a port is mapped by; the first named is asked first."""

    PCP = "pcp"
    NAT_PMP = "nat-pmp"
    UPNP = "upnp"


@dataclass(frozen=True, slots=True)
class Gateway:
    """The router by which this machine reaches the Internet, and our end of the cable to it."""

    address: IPv4Address
    source: IPv4Address
    """Our address there, for which the port is mapped."""
    interface: str


@dataclass(frozen=True, slots=True)
class Grant:
    """A port that a router gave us."""

    mapper: Mapper
    outer: IPv4Address
    port: int
    lease: float
    """Seconds."""
    epoch: float | None
    """Seconds the router says it has kept its mappings; None if it does not say."""
    tcp: bool = False
    """TCP at the same port comes to us too."""


class PortRefused(Refused):
    """The router maps no port for us; asking again within `wait` seconds is no use."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True, slots=True)
class AskRouter:
    """Ask for the port; `before` is what the same router gave last: by that protocol first, and that port again."""

    gateway: Gateway
    before: Grant | None


@dataclass(frozen=True, slots=True)
class LookAtRouter:
    """Hear what the router says of its age and its address."""

    gateway: Gateway
    grant: Grant


@dataclass(frozen=True, slots=True)
class GiveBack:
    """End a grant before its time."""

    gateway: Gateway
    grant: Grant


@dataclass(frozen=True, slots=True)
class Held:
    """A grant that is told to the mesh."""

    grant: Grant
    address: str
    """`ip:port` where others reach us."""
    until: float


Effect = AskRouter | LookAtRouter | GiveBack | PortMapped | Log


class PortMap:
    """The one mapping of our port at the gateway we have."""

    def __init__(self, random: "Random", mesh_range: Callable[[], IPv4Network | None]) -> None:
        self._random, self._mesh_range = random, mesh_range
        self._backoff = Backoff(random, FIRST_WAIT, LONGEST_WAIT)
        self._gateway: Gateway | None = None
        self._before: Grant | None = None
        self._busy = False
        """A question is open."""
        self._ask_at: float | None = None
        self._asked_at = self._looked_at = float("-inf")
        self._look_at: float | None = None
        self._epoch: float | None = None
        self._heard_at = 0.0
        """When that epoch was told."""
        self._said = ""
        """The reason that was logged last for this gateway."""
        self.held: Held | None = None

    # Facts

    def gateway_found(self, gateway: Gateway | None, now: float) -> list[Effect]:
        """The network changed, and this is the gateway now; what the one before gave us is of no use any more."""
        if gateway == self._gateway:
            return self._look_early(now)
        lost = self._lose()
        self._gateway, self._before, self._busy, self._said = gateway, None, False, ""
        self._backoff.reset()
        self._ask_at = None if gateway is None else now
        return [*lost, *self.tick(now)]

    def router_announced(self, now: float) -> list[Effect]:
        """The gateway says to everybody that it is there: it restarted, or has another address."""
        return self._ask_early(now) if self._look_at is None else self._look_early(now)

    def granted(self, gateway: Gateway, grant: Grant, now: float) -> list[Effect]:
        """The router gave us a port."""
        if not self._is_open(gateway):
            return []
        fault = self._fault(gateway, grant)
        if fault:
            return [GiveBack(gateway, grant), *self._failed(fault, 0.0, now)]
        lease = min(grant.lease, MOST_LEASE)
        address, before = join(str(grant.outer), grant.port), self.held
        self.held = Held(grant, address, now + lease)
        self._before, self._said = grant, ""
        self._epoch, self._heard_at = grant.epoch, now
        self._ask_at = now + lease * self._random.uniform(RENEW_FROM, RENEW_TO)
        self._look_at = now + LOOK
        self._backoff.reset()
        if before is not None and before.address == address:
            return []
        return [Log("port mapped", INFO, {"protocol": grant.mapper.value}), PortMapped(address)]

    def refused(self, gateway: Gateway, reason: str, wait: float, now: float) -> list[Effect]:
        """The router maps no port, or answers nonsense; asking again within `wait` seconds is no use."""
        return self._failed(reason, wait, now) if self._is_open(gateway) else []

    def unanswered(self, gateway: Gateway, now: float) -> list[Effect]:
        """No protocol got an answer; what we hold stays ours until its lease ends."""
        if not self._is_open(gateway):
            return []
        self._ask_at = now + self._backoff.next_delay()
        self._look_at = None
        return [] if self._said else self._say("no answer from the router", DEBUG)

    def looked(self, gateway: Gateway, epoch: float | None, outer: IPv4Address | None, now: float) -> list[Effect]:
        """What the router says of its age in seconds, and of its outer address where it says that."""
        if not self._is_open(gateway) or self.held is None:
            return []
        restarted = self._restarted(epoch, now)
        self._epoch, self._heard_at = epoch, now
        self._look_at = now + LOOK
        if not restarted and outer in (None, self.held.grant.outer):
            return []
        log = Log("router restarted" if restarted else "router has another address", INFO)
        return [log, *self._ask_early(now)]

    def look_refused(self, gateway: Gateway, now: float) -> list[Effect]:
        """The router answers in a way that tells nothing; perhaps it maps nothing any more."""
        if not self._is_open(gateway):
            return []
        self._look_at = now + LOOK if self.held else None
        return self._ask_early(now)

    def look_unanswered(self, gateway: Gateway, now: float) -> list[Effect]:
        """The router is silent: it may be restarting."""
        if self._is_open(gateway):
            self._look_at = now + LOOK_SOON if self.held else None
        return self.tick(now)

    def stopped(self) -> list[Effect]:
        """The node ends: the port is the router's again."""
        gateway, held = self._gateway, self.held
        self._lose()
        self._gateway, self._ask_at = None, None
        return [GiveBack(gateway, held.grant)] if gateway and held else []

    # The machine's face

    def deadline(self) -> float | None:
        """When a lease ends, or something is to be asked."""
        ends = self.held.until if self.held else None
        asks = () if self._busy else (self._ask_at, self._look_at)
        return min((each for each in (ends, *asks) if each is not None), default=None)

    def tick(self, now: float) -> list[Effect]:
        """Time has passed."""
        effects = self._lose() if self.held and self.held.until <= now else []
        if self._busy or self._gateway is None:
            return effects
        if self._ask_at is not None and self._ask_at <= now:
            self._busy, self._asked_at = True, now
            return [*effects, AskRouter(self._gateway, self._before)]
        if self.held and self._look_at is not None and self._look_at <= now:
            self._busy, self._looked_at = True, now
            return [*effects, LookAtRouter(self._gateway, self.held.grant)]
        return effects

    # Details

    def _is_open(self, gateway: Gateway) -> bool:
        """True if this answers the open question, which is closed by it."""
        if not self._busy or gateway != self._gateway:
            return False
        self._busy = False
        return True

    def _ask_early(self, now: float) -> list[Effect]:
        if self._ask_at is not None:
            self._ask_at = min(self._ask_at, max(now, self._asked_at + ASK_LEAST))
        return self.tick(now)

    def _look_early(self, now: float) -> list[Effect]:
        if self._look_at is not None:
            self._look_at = min(self._look_at, max(now, self._looked_at + LOOK_LEAST))
        return self.tick(now)

    def _restarted(self, epoch: float | None, now: float) -> bool:
        """True if the router's age does not go with the time that passed; or ours slept, while leases ended."""
        if self._epoch is None or epoch is None:
            return False
        passed, theirs = now - self._heard_at, epoch - self._epoch
        return theirs + TOLERANCE < passed * (1 - SLACK) or passed + TOLERANCE < theirs * (1 - SLACK)

    def _lose(self) -> list[Effect]:
        if self.held is None:
            return []
        self.held = self._look_at = None
        return [Log("port mapping lost", INFO), PortMapped(None)]

    def _failed(self, reason: str, wait: float, now: float) -> list[Effect]:
        self._ask_at = now + max(self._backoff.next_delay(), min(wait, LONGEST_WAIT))
        said = [] if self._said == reason else self._say(reason, INFO)
        return [*said, *self._lose()]

    def _say(self, reason: str, level: int) -> list[Effect]:
        self._said = reason
        return [Log("no port mapped", level, {"error": reason})]

    def _fault(self, gateway: Gateway, grant: Grant) -> str:
        """Why nobody could dial us there; empty if they can."""
        mesh, outer = self._mesh_range(), grant.outer
        if not 0 < grant.port < 65536 or grant.lease < LEAST_LEASE:
            return "the router gave a port that cannot be used"
        if outer == gateway.source:
            return "there is no NAT: the router has our own address outside"
        if any(outer in each for each in _PRIVATE) or (mesh and outer in mesh):
            return "the router is behind another NAT itself"
        if outer in _NOWHERE or outer.is_loopback or outer.is_link_local or outer.is_multicast or outer.is_reserved:
            return "the router has no address outside"
        return ""
