"""The first line of `pulse status`: is all well and, if not, the one thing to do first.

Invariant: every complaint names what it is about and what to do; the most pressing comes first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pulse.core.paths.sight import CLOCK_TOLERANCE
from pulse.core.trust.fleet import Outlook, outlook

DAY = 86400.0

_NOT_RENEWED = "it should have been renewed: is the CA up, and its node reached?"
_ENDED = "it is renewed by itself once a node of the mesh is reached: for 30 days, then this machine has to join again"


@dataclass(frozen=True, slots=True)
class PeerHealth:
    """What matters of one peer."""

    name: str
    direct: bool
    """It is reached over one hop."""
    configured: bool
    """A person named it, so its absence is worth a word."""
    last_error: str = ""
    relayed: bool = False
    """It is reached over others."""

    @property
    def reached(self) -> bool:
        """True if there is a path to it."""
        return self.direct or self.relayed


@dataclass(frozen=True, slots=True)
class Vitals:
    """What the sentence is made from; times in seconds."""

    peers: Sequence[PeerHealth]
    certificate_left: float
    certificate_life: float
    clock_offset: float
    """Our wall clock minus the median of the neighbours'."""
    tun_wanted: bool
    tun_problem: str = ""
    revoked: bool = False
    """This very node is revoked."""
    late: Sequence[tuple[str, float]] = ()
    """Other nodes whose certificates should have been renewed and that somebody here can see to, and what is left."""
    scribe_problem: str = ""
    """Why this node, started to be the scribe, is not; empty if it is, or was not asked to."""
    resolver_problem: str = ""
    """Why this machine does not ask the node for names, though a person wants it; empty if it does."""
    exits_problem: str = ""
    """Why the host's packets do not go through exits as they should; empty if they do, or are not meant to."""
    exit_problem: str = ""
    """Why not all get out through this node whose ranges are approved; empty if they do, or none is."""
    left: str = ""
    """What an earlier run may have left on this machine, if nobody can tell."""
    ranges_refused: Sequence[str] = ()
    """Approved ranges that no exit carries."""
    bypasses: Sequence[str] = ()
    """Routes of this host by which packets for the Internet go past the exit in use."""
    cut_off: bool = False
    """No interface of this machine is up, so whom it does not reach is not to blame."""


@dataclass(frozen=True, slots=True)
class Health:
    """The verdict."""

    well: bool
    sentence: str


def judge(vitals: Vitals) -> Health:
    """The sentence for these vitals."""
    complaints = [*_complaints(vitals)]
    if complaints:
        count = "1 thing" if len(complaints) == 1 else f"{len(complaints)} things"
        return Health(False, f"{count} to see to: {complaints[0]}.")
    if not vitals.peers:
        return Health(True, "All well, and alone: no other node has joined yet (pulse invite).")
    return Health(True, f"All well. {len(vitals.peers) + 1} nodes, {', '.join(_ways(vitals.peers))}.")


def _ways(peers: Sequence[PeerHealth]) -> Iterator[str]:
    relayed = sum(peer.relayed for peer in peers)
    away = sum(not peer.reached for peer in peers)
    yield f"{sum(peer.direct for peer in peers)} direct"
    if relayed:
        yield "1 over a relay" if relayed == 1 else f"{relayed} over relays"
    if away:
        yield f"{away} away"


def _complaints(vitals: Vitals) -> list[str]:
    found: list[str] = []
    if vitals.revoked:
        found.append("this node is revoked: nobody talks to it any more (a machine comes back with a new --data-dir)")
    if vitals.certificate_left <= 0:
        found.append(f"this node's certificate has ended, so nobody talks to it ({_ENDED})")
    if vitals.tun_wanted and vitals.tun_problem:
        found.append(f"no mesh addresses: {vitals.tun_problem}")
    if vitals.cut_off:
        found.append("this machine has no network: no interface is up with its cable in (ip link)")
    for peer in () if vitals.cut_off else vitals.peers:
        if peer.configured and not peer.reached:
            why = f": {peer.last_error}" if peer.last_error else ""
            found.append(f"{peer.name} is not reached{why} (is it up? is its UDP port open?)")
    if vitals.scribe_problem:
        found.append(f"this node is not the scribe it was started to be: {vitals.scribe_problem}")
    if vitals.resolver_problem:
        undo = "to do without: pulse setup dns --undo"
        found.append(f"this machine does not ask for names under .pulse: {vitals.resolver_problem} ({undo})")
    found += _about_exits(vitals)
    if abs(vitals.clock_offset) > CLOCK_TOLERANCE:
        ahead = "ahead of" if vitals.clock_offset > 0 else "behind"
        found.append(f"this clock is {abs(vitals.clock_offset) / 60:.0f} min {ahead} the neighbours' (set the time)")
    if outlook(vitals.certificate_left, vitals.certificate_life) is Outlook.LATE:
        found.append(f"this node's certificate ends in {_days(vitals.certificate_left)} ({_NOT_RENEWED})")
    found += [f"certificate of {name} ends in {_days(left)} (pulse why {name})" for name, left in vitals.late]
    return found


def _about_exits(vitals: Vitals) -> Iterator[str]:
    if vitals.exits_problem:
        yield vitals.exits_problem
    if vitals.exit_problem:
        yield vitals.exit_problem
    if vitals.left:
        yield f"an earlier run may have left something here: {vitals.left}"
    if vitals.ranges_refused:
        ranges = ", ".join(vitals.ranges_refused)
        yield f"{ranges} is closed: no exit leads there now (pulse route list)"
    for route in vitals.bypasses:
        where = route.partition(" ")[0]
        yield f"packets for {where} go past the exit, by a route of this machine (ip route del {route}; pulse doctor)"


def _days(seconds: float) -> str:
    days = round(seconds / DAY)
    return "less than a day" if days < 1 else "1 day" if days == 1 else f"{days} days"
