"""Why a path is what it is: both ends' own accounts, joined into one verdict and one sentence.

Invariant: a verdict rests on what an end measured or was told by those who see it; what nobody knows is not made up.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final, NamedTuple

import msgspec

from pulse.core.addresses import is_endpoint, split
from pulse.core.messages import U32, Wire
from pulse.core.paths.birthday import State
from pulse.core.paths.nat import Mapping
from pulse.core.types import LinkType, ShortText, Text

MOST_PLACES: Final = 24
"""Places one account names."""

FIREWALL: Final = "look for a firewall on the way that drops UDP"

_CAME_OF_BIRTHDAY: Final = {
    State.UNDER_WAY: "birthday probing goes on just now",
    State.FAILED: "birthday probing found no way, and is tried once an hour",
    State.OPENED: "the way that birthday probing found is gone, and it is tried once an hour",
    State.UNTRIED: "birthday probing is yet to be tried",
}

Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e6)]


class Place(Wire, frozen=True):
    """A place of the other node, and what was tried there."""

    address: ShortText
    sent: U32 = 0
    """Punch probes of the newest attempt."""
    answered: U32 = 0
    heard: U32 = 0
    """Probes of the other node's own that came from there."""
    error: Text = ""
    """How the last dial there ended."""


class Account(Wire, frozen=True):
    """What one end knows of its own way to the other."""

    link: ShortText = LinkType.NONE
    """Type of the first link of the path; `-` for none."""
    via: Annotated[bytes, msgspec.Meta(max_length=32)] = b""
    """Id of the first relay; none on a direct path."""
    rtt: Seconds | None = None
    loss: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    places: Annotated[tuple[Place, ...], msgspec.Meta(max_length=MOST_PLACES)] = ()
    nat: ShortText = Mapping.UNKNOWN
    """The NAT before this end."""
    observers: U32 = 0
    """Neighbours that said where they see it."""
    seen: Annotated[tuple[ShortText, ...], msgspec.Meta(max_length=3)] = ()
    """Where they see it, `ip:port`; most of them first."""
    has_udp: bool = False
    """Some link of this end, with whomever, is over UDP."""
    has_links: bool = False
    is_wanted: bool = False
    """This end had traffic for the other lately, so it looks for a direct way."""
    is_linked: bool = False
    """There is a direct link, whether or not the path takes it."""
    next_try: Seconds | None = None
    """Seconds until it tries to punch again; none if it does not mean to."""
    error: Text = ""
    """How its last attempt to punch ended."""
    attempts: U32 = 0
    """Attempts that failed since something changed."""
    birthday: ShortText = ""
    """What came of birthday probing; nothing is said by releases that have none."""


class Code(StrEnum):
    """The verdicts, for programs."""

    DIRECT = "direct"
    UDP_BLOCKED = "udp_blocked"
    UDP_BLOCKED_BETWEEN = "udp_blocked_between"
    SYMMETRIC_NATS = "symmetric_nats"
    SYMMETRIC_NAT = "symmetric_nat"
    NO_HAIRPIN = "no_hairpin"
    NO_TRAFFIC = "no_traffic"
    SEEKING = "seeking"
    ONE_WAY = "one_way"
    NO_PLACES = "no_places"
    UNANSWERED = "unanswered"
    RELAY_PREFERRED = "relay_preferred"
    NO_PATH = "no_path"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The one reason, the sentence that says it, and what a person could do about it (empty: nothing, or no need)."""

    code: Code
    sentence: str
    help: str = ""


@dataclass(frozen=True, slots=True)
class End:
    """One end by name; `account` is None if it could not be asked."""

    name: str
    account: Account | None


def judge(here: End, there: End, via: str = "") -> Verdict:
    """Why `here` reaches `there` as it does; `via` is the name of the relay, where one is used."""
    ours = here.account or Account()
    if ours.link == LinkType.NONE:
        return Verdict(Code.NO_PATH, f"Nothing leads from {here.name} to {there.name} now{_last_error(ours)}.")
    reached = f"{there.name} is reached by {ours.link}" + (f" over {via}" if via else " directly")
    if not via and ours.link != LinkType.WEBSOCKET:
        how = ", through a hole punched in the NATs" if ours.link == LinkType.DIRECT_QUIC else ""
        return Verdict(Code.DIRECT, f"{there.name} is reached directly by {ours.link}{how}.")
    reason = _reason(here, there)
    return Verdict(reason.code, f"{reached}, because {reason.because}.", reason.help)


class _Reason(NamedTuple):
    code: Code
    because: str
    help: str = ""


def _reason(here: End, there: End) -> _Reason:
    """Why the way is no direct one over UDP."""
    ours, theirs = here.account or Account(), there.account or Account()
    for end, account in ((here, ours), (there, theirs)):
        if account.has_links and not account.has_udp:
            because = f"the network of {end.name} lets no UDP through"
            return _Reason(Code.UDP_BLOCKED, because, f"allow UDP out of {end.name}'s network")
    if not ours.via:
        because = "UDP does not pass between the two, though each has UDP with others"
        return _Reason(Code.UDP_BLOCKED_BETWEEN, because, FIREWALL)
    if ours.is_linked:
        return _Reason(Code.RELAY_PREFERRED, "the direct link is silent or much worse at present")
    if not (ours.is_wanted or theirs.is_wanted):
        because = "there was no traffic that would want a direct way"
        return _Reason(Code.NO_TRAFFIC, because, f"send some: pulse ping {there.name}")
    if not (ours.attempts or theirs.attempts):
        return _Reason(Code.SEEKING, "a direct way is being looked for just now")
    return _one_way(here, there) or _nats(here, there) or _silence(ours, theirs)


def _one_way(here: End, there: End) -> _Reason | None:
    """Probes of one end arrive, those of the other do not."""
    hears, is_heard = _heard(here), _heard(there)
    if hears == is_heard:
        return None
    deaf, other = (there, here) if hears else (here, there)
    because = f"probes of {deaf.name} reach {other.name}, but none come back"
    return _Reason(Code.ONE_WAY, because, f"look for a firewall before {deaf.name} that drops UDP coming in")


def _nats(here: End, there: End) -> _Reason | None:
    """What NATs do to those who would punch."""
    names = [each.name for each in (here, there) if each.account and each.account.nat == Mapping.SYMMETRIC]
    if shared := _outer(here) & _outer(there):
        because = f"both are behind the NAT of {min(shared)}, which does not lead back to itself (hairpinning)"
        return _Reason(Code.NO_HAIRPIN, because, "let that router hairpin, or join their networks by a route")
    if not names:
        return None
    advice = f"let the router of {' or '.join(names)} map a port (UPnP, NAT-PMP, PCP), or forward one by hand"
    if len(names) == 2:
        return _Reason(Code.SYMMETRIC_NATS, "both are behind symmetric NATs, which nobody can punch", advice)
    because = f"{names[0]} is behind a symmetric NAT, and the other end lets in only what it sent to"
    came_of_it, turn_on = _birthday(here, there)
    return _Reason(Code.SYMMETRIC_NAT, because + came_of_it, advice + turn_on)


def _birthday(here: End, there: End) -> tuple[str, str]:
    """What came of birthday probing, and how it is turned on."""
    ends = [each for each in (here, there) if each.account]
    if without := [each.name for each in ends if each.account and each.account.birthday == State.OFF]:
        both = " and ".join(without)
        return f"; birthday probing is off at {both}", f", or start {both} with --birthday"
    states = {each.account.birthday for each in ends if each.account}
    for state, words in _CAME_OF_BIRTHDAY.items():
        if state in states:
            return f"; {words}", ""
    return "", ""


def _silence(ours: Account, theirs: Account) -> _Reason:
    if any(place.sent for account in (ours, theirs) for place in account.places):
        return _Reason(Code.UNANSWERED, "no probe of either reached the other", FIREWALL)
    because = "neither knows an address of the other to try"
    return _Reason(Code.NO_PLACES, because, "give one of them --addr with its outer address")


def _outer(end: End) -> set[str]:
    """Addresses at which others see an end."""
    return {split(each)[0] for each in end.account.seen if is_endpoint(each)} if end.account else set()


def _heard(end: End) -> bool:
    return end.account is not None and any(each.answered or each.heard for each in end.account.places)


def _last_error(account: Account) -> str:
    error = next((each.error for each in account.places if each.error), "")
    return f" ({error})" if error else ""
