"""The tables of `pulse top`: what each asks the node, and what it makes of the answer.

Invariant: nothing is judged here; sentences and states are the node's own words.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pulse.calls.acls import AclCalls
from pulse.calls.dns import DnsCalls
from pulse.calls.routes import RouteCalls
from pulse.calls.stats import StatsCalls
from pulse.calls.tokens import TokenCalls
from pulse.client import Client
from pulse.core.types import SHORT_ID
from pulse.errors import LinkError, Refused
from pulse.schemas.events import EventsQuery
from pulse.schemas.node import PeerRow
from pulse.schemas.policy import Hits, HitsQuery
from pulse.schemas.scribe import MeshState
from pulse.tui.model import Column, Line, line, number, sparkline, word
from pulse.tui.rates import Rates
from pulse.wording import DASH, milliseconds, moment, percent, size, span, speed

NEWEST: Final = 200
"""Events shown."""


CERTIFICATES_EVERY: Final = 60.0
"""Seconds between two questions when certificates end, for the table of nodes."""

LIVELY: Final = 1.0
SLOW: Final = 5.0
QUIET: Final = 30.0
"""Seconds between two looks: at what moves all the time, at what moves now and then, and at what changes by events
alone, which are followed."""


@dataclass(slots=True)
class Memory:
    """What is kept between two looks."""

    rates_in: Rates
    rates_out: Rates
    ends: dict[str, float] = field(default_factory=dict)
    """Seconds left of certificates, by node."""
    ends_asked: float | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A view: its name, its columns, and how it is filled."""

    name: str
    columns: tuple[Column, ...]
    ask: Callable[[Client, MeshState, Memory], list[Line]]
    empty: str
    """What is said where there is nothing to show."""
    every: float = QUIET


def rate(values: Sequence[float]) -> str:
    """Bytes a second as `1.2 MB/s`, behind the last few of them drawn."""
    return f"{sparkline(values)} {speed(values[-1])}" if values else DASH


def nodes(client: Client, state: MeshState, memory: Memory) -> list[Line]:
    """The nodes of the mesh, as this one sees them."""
    peers, now = state.peers, time.monotonic()
    memory.rates_in.looked({peer.id: peer.bytes_in for peer in peers}, now)
    memory.rates_out.looked({peer.id: peer.bytes_out for peer in peers}, now)
    if memory.ends_asked is None or now - memory.ends_asked > CERTIFICATES_EVERY:
        memory.ends_asked = now
        memory.ends = {each.id: each.left for each in client.certificates()}
    return [_node(peer, state, memory) for peer in peers]


def _node(peer: PeerRow, state: MeshState, memory: Memory) -> Line:
    linked = peer.link != "-"
    coming, going = memory.rates_in.of(peer.id), memory.rates_out.of(peer.id)
    seen = "now" if peer.seen is not None and peer.seen < 5 else DASH if peer.seen is None else span(peer.seen)
    name = peer.name or peer.id[:SHORT_ID]
    traffic, left = state.stats.get(peer.id), memory.ends.get(peer.id)
    return line(
        peer.id,
        (name, word(name)),
        (peer.id[:SHORT_ID], word(peer.id)),
        (peer.v4, number(_place(peer.v4))),
        (f"{peer.link}?" if peer.suspect else peer.link if linked else DASH, word(peer.link if linked else "")),
        (peer.via or DASH, word(peer.via)),
        (milliseconds(peer.rtt if linked else None), number(peer.rtt if linked else None)),
        (percent(peer.loss if linked else None), number(peer.loss if linked else None)),
        (rate(going), number(going[-1] if going else None)),
        (rate(coming), number(coming[-1] if coming else None)),
        (str(traffic.active_conns) if traffic else DASH, number(traffic.active_conns if traffic else None)),
        (seen, number(peer.seen)),
        (" ".join(peer.roles) or DASH, word(" ".join(peer.roles))),
        (" ".join(peer.tags) or DASH, word(" ".join(peer.tags))),
        (peer.version or DASH, word(peer.version)),
        (DASH if left is None else "ended" if left < 0 else span(left), number(left)),
    )


def paths(_: Client, state: MeshState, __: Memory) -> list[Line]:
    """By which way each node is reached, and how good that is."""
    names = {peer.id: peer.name or peer.id[:SHORT_ID] for peer in state.peers}
    return [_path(peer, names) for peer in state.peers]


def _path(peer: PeerRow, names: Mapping[str, str]) -> Line:
    linked = peer.link != "-"
    way = " → ".join(names.get(each, each[:SHORT_ID]) for each in peer.path)
    pin = peer.pinned
    pinned = "" if pin is None else ("direct" if pin.direct else pin.via) + ("" if pin.followed else " (not followed)")
    return line(
        peer.id,
        (names[peer.id], word(names[peer.id])),
        (f"{peer.link}?" if peer.suspect else peer.link if linked else DASH, word(peer.link if linked else "")),
        (str(peer.hops) if linked else DASH, number(peer.hops if linked else None)),
        (milliseconds(peer.rtt if linked else None), number(peer.rtt if linked else None)),
        (milliseconds(peer.jitter if linked else None), number(peer.jitter if linked else None)),
        (percent(peer.loss if linked else None), number(peer.loss if linked else None)),
        (str(peer.mtu) if peer.mtu else DASH, number(peer.mtu or None)),
        (pinned or DASH, word(pinned)),
        (way or peer.last_error or DASH, word(way)),
        (peer.address or DASH, word(peer.address)),
    )


def _place(v4: str) -> float | None:
    try:
        return float(int.from_bytes(bytes(map(int, v4.split(".")))))
    except ValueError:
        return None


def certificates(client: Client, _: MeshState, __: Memory) -> list[Line]:
    """When whose certificate ends."""
    return [
        line(
            each.id,
            (each.name, word(each.name)),
            (moment(each.not_after), number(each.not_after)),
            (span(each.left) if each.left >= 0 else "ended", number(each.left)),
            (each.outlook, word(each.outlook)),
            ("yes" if each.reached else "no", word("yes" if each.reached else "no")),
        )
        for each in client.certificates()
    ]


def policy(client: Client, _: MeshState, __: Memory) -> list[Line]:
    """The rules, in the order in which they are asked, and the flows that each decided on."""
    calls = AclCalls(client)
    flows = {each.id: each.flows for each in _hits(calls).rules}
    return [
        line(
            rule.id,
            (str(rule.index), number(rule.index)),
            (rule.id, word(rule.id)),
            (str(flows[rule.id]) if rule.id in flows else DASH, number(flows.get(rule.id))),
            (rule.line, word(rule.line)),
            (rule.state, word(rule.state)),
            (rule.window or DASH, word(rule.window)),
            (moment(rule.expires) if rule.expires else DASH, number(rule.expires)),
            (rule.note or DASH, word(rule.note)),
        )
        for rule in calls.policy().rules
    ]


def _hits(calls: AclCalls) -> Hits:
    """Of all nodes; of the one that is asked, where the scribe does not tell it."""
    try:
        return calls.hits(HitsQuery())
    except (Refused, LinkError):
        return calls.hits(HitsQuery(here=True))


def dns(client: Client, _: MeshState, __: Memory) -> list[Line]:
    """What names say besides those of the nodes."""
    return [
        line(
            f"{each.name} {each.type} {each.value}",
            (each.name, word(each.name)),
            (each.type, word(each.type)),
            (each.value, word(each.value)),
            (str(each.ttl), number(each.ttl)),
        )
        for each in DnsCalls(client).records()
    ]


def routes(client: Client, _: MeshState, __: Memory) -> list[Line]:
    """Ranges beyond the mesh, the exits that lead there, and which of them is in use here."""
    return [
        line(
            f"{each.cidr} {each.id}",
            (each.cidr, word(each.cidr)),
            (each.name, word(each.name)),
            (each.state, word(each.state)),
            (each.by or DASH, word(each.by)),
            (each.behind or DASH, word(each.behind)),
        )
        for each in RouteCalls(client).all()
    ]


def tokens(client: Client, _: MeshState, __: Memory) -> list[Line]:
    """Join tokens, where they are kept."""
    return [
        line(
            each.id,
            (each.id[:SHORT_ID], word(each.id)),
            (each.state, word(each.state)),
            (f"{each.uses}/{each.max_uses or '∞'}", number(each.uses)),
            (moment(each.expires) if each.expires else "never", number(each.expires)),
            (each.name or DASH, word(each.name or "")),
            (" ".join(each.tags) or DASH, word(" ".join(each.tags))),
            (" ".join(each.used_by) or DASH, word(" ".join(each.used_by))),
        )
        for each in TokenCalls(client).list_tokens()
    ]


def events(client: Client, _: MeshState, __: Memory) -> list[Line]:
    """What happened, the newest first."""
    found = client.events(EventsQuery(limit=NEWEST)).events
    return [
        line(
            str(each.seq),
            (moment(each.time), number(each.time)),
            (each.type, word(each.type)),
            (each.name or DASH, word(each.name)),
            (told, word(told)),
        )
        for each in reversed(found)
        for told in [" ".join(f"{name}={value}" for name, value in each.fields.items())]
    ]


def traffic(client: Client, _: MeshState, __: Memory) -> list[Line]:
    """How much each node moved, as the scribe sums it; where that is not told, this node alone."""
    return [
        line(
            each.id,
            (each.name, word(each.name)),
            (size(each.bytes_out), number(each.bytes_out)),
            (speed(each.rate_out), number(each.rate_out)),
            (size(each.bytes_in), number(each.bytes_in)),
            (speed(each.rate_in), number(each.rate_in)),
            (str(each.active_conns), number(each.active_conns)),
        )
        for each in StatsCalls(client).stats().rows
    ]


_RIGHT: Final = {
    "RTT",
    "JITTER",
    "LOSS",
    "SEEN",
    "LEFT",
    "CERT",
    "#",
    "FLOWS",
    "TX/S",
    "RX/S",
    "CONNS",
    "HOPS",
    "MTU",
    "TTL",
}


def _columns(*titles: str, wide: Mapping[str, int] | None = None) -> tuple[Column, ...]:
    """Columns; those in `wide` are shown on screens of so many characters or more."""
    return tuple(Column(title, title in _RIGHT, (wide or {}).get(title, 0)) for title in titles)


TABLES: Final = (
    Table(
        "nodes",
        _columns(
            *("NODE", "ID", "ADDRESS", "LINK", "VIA", "RTT", "LOSS", "TX", "RX", "CONNS", "SEEN", "ROLES", "TAGS"),
            *("VERSION", "CERT"),
            wide={
                "ID": 150,
                "TX": 100,
                "RX": 100,
                "CONNS": 130,
                "ROLES": 115,
                "TAGS": 130,
                "VERSION": 140,
                "CERT": 130,
            },
        ),
        nodes,
        "no other node is known yet. Type next: pulse invite",
        LIVELY,
    ),
    Table(
        "paths",
        _columns(
            *("NODE", "LINK", "HOPS", "RTT", "JITTER", "LOSS", "MTU", "PINNED", "WAY", "ADDRESS"),
            wide={"JITTER": 90, "MTU": 95, "PINNED": 90, "ADDRESS": 120},
        ),
        paths,
        "no other node is known yet. Type next: pulse invite",
        LIVELY,
    ),
    Table(
        "policy",
        _columns(
            *("#", "ID", "FLOWS", "RULE", "STATE", "WINDOW", "UNTIL", "NOTE"),
            wide={"WINDOW": 110, "UNTIL": 100, "NOTE": 120},
        ),
        policy,
        "no rules, so all is allowed. Press a for the first one",
        SLOW,
    ),
    Table(
        "tokens",
        _columns("TOKEN", "STATE", "USES", "UNTIL", "NAME", "TAGS", "USED BY", wide={"TAGS": 90, "USED BY": 110}),
        tokens,
        "no tokens. Press a for one",
        SLOW,
    ),
    Table("dns", _columns("NAME", "TYPE", "VALUE", "TTL"), dns, "no records. Press a for one; nodes need none"),
    Table(
        "routes",
        _columns("RANGE", "NODE", "STATE", "APPROVED BY", "BEHIND IT", wide={"BEHIND IT": 90}),
        routes,
        "no routes. Offer one: pulse start --exit --exit-cidrs 0.0.0.0/0",
        SLOW,
    ),
    Table("certs", _columns("NODE", "ENDS", "LEFT", "OUTLOOK", "REACHED"), certificates, "none is known"),
    Table("events", _columns("TIME", "TYPE", "NODE", "WHAT"), events, "nothing happened yet"),
    Table("traffic", _columns("NODE", "TX", "TX/S", "RX", "RX/S", "CONNS"), traffic, "no node has reported yet", SLOW),
)
"""Every view, in the order of their number keys."""
