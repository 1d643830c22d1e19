"""The tables of `pulse top`: what each asks the node, and what it makes of the answer.

Invariant: nothing is judged here; sentences and states are the node's own words.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pulse.calls.acls import AclCalls
from pulse.calls.stats import StatsCalls
from pulse.calls.tokens import TokenCalls
from pulse.client import Client
from pulse.core.types import SHORT_ID
from pulse.schemas.events import EventsQuery
from pulse.schemas.node import PeerRow
from pulse.tui.model import Column, Line, line, number, sparkline, word
from pulse.tui.rates import Rates
from pulse.wording import DASH, milliseconds, moment, percent, size, span, speed

NEWEST: Final = 200
"""Events shown."""


@dataclass(slots=True)
class Memory:
    """What is kept between two looks."""

    rates_in: Rates
    rates_out: Rates


@dataclass(frozen=True, slots=True)
class Table:
    """A view: its name, its columns, and how it is filled."""

    name: str
    columns: tuple[Column, ...]
    ask: Callable[[Client, Memory], list[Line]]
    empty: str
    """What is said where there is nothing to show."""


def rate(values: Sequence[float]) -> str:
    """Bytes a second as `1.2 MB/s`, behind the last few of them drawn."""
    return f"{sparkline(values)} {speed(values[-1])}" if values else DASH


def nodes(client: Client, memory: Memory) -> list[Line]:
    """The nodes of the mesh, as this one sees them."""
    peers, now = client.status().peers, time.monotonic()
    memory.rates_in.looked({peer.id: peer.bytes_in for peer in peers}, now)
    memory.rates_out.looked({peer.id: peer.bytes_out for peer in peers}, now)
    return [_node(peer, memory) for peer in peers]


def _node(peer: PeerRow, memory: Memory) -> Line:
    linked = peer.link != "-"
    coming, going = memory.rates_in.of(peer.id), memory.rates_out.of(peer.id)
    seen = "now" if peer.seen is not None and peer.seen < 5 else DASH if peer.seen is None else span(peer.seen)
    name = peer.name or peer.id[:SHORT_ID]
    return line(
        peer.id,
        (name, word(name)),
        (peer.v4, number(_place(peer.v4))),
        (f"{peer.link}?" if peer.suspect else peer.link, word(peer.link if linked else "")),
        (peer.via or DASH, word(peer.via)),
        (milliseconds(peer.rtt if linked else None), number(peer.rtt if linked else None)),
        (percent(peer.loss if linked else None), number(peer.loss if linked else None)),
        (rate(going), number(going[-1] if going else None)),
        (rate(coming), number(coming[-1] if coming else None)),
        (seen, number(peer.seen)),
        (" ".join(peer.roles) or DASH, word(" ".join(peer.roles))),
        (" ".join(peer.tags) or DASH, word(" ".join(peer.tags))),
        (peer.version or DASH, word(peer.version)),
    )


def _place(v4: str) -> float | None:
    try:
        return float(int.from_bytes(bytes(map(int, v4.split(".")))))
    except ValueError:
        return None


def certificates(client: Client, _: Memory) -> list[Line]:
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


def policy(client: Client, _: Memory) -> list[Line]:
    """The rules, in the order in which they are asked."""
    return [
        line(
            str(rule.index),
            (str(rule.index), number(rule.index)),
            (rule.id, word(rule.id)),
            (rule.line, word(rule.line)),
            (rule.state, word(rule.state)),
            (rule.window or DASH, word(rule.window)),
            (moment(rule.expires) if rule.expires else DASH, number(rule.expires)),
            (rule.note or DASH, word(rule.note)),
        )
        for rule in AclCalls(client).policy().rules
    ]


def tokens(client: Client, _: Memory) -> list[Line]:
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


def events(client: Client, _: Memory) -> list[Line]:
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


def traffic(client: Client, _: Memory) -> list[Line]:
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


_RIGHT = {"RTT", "LOSS", "SEEN", "LEFT", "#", "TX/S", "RX/S", "CONNS"}


def _columns(*titles: str) -> tuple[Column, ...]:
    return tuple(Column(title, title in _RIGHT) for title in titles)


TABLES: Final = (
    Table(
        "nodes",
        _columns("NODE", "ADDRESS", "LINK", "VIA", "RTT", "LOSS", "TX", "RX", "SEEN", "ROLES", "TAGS", "VERSION"),
        nodes,
        "no other node is known yet. Type next: pulse invite",
    ),
    Table(
        "policy",
        _columns("#", "ID", "RULE", "STATE", "WINDOW", "UNTIL", "NOTE"),
        policy,
        "no rules, so all is allowed. Press a for the first one",
    ),
    Table(
        "tokens",
        _columns("TOKEN", "STATE", "USES", "UNTIL", "NAME", "TAGS", "USED BY"),
        tokens,
        "no tokens. Press a for one",
    ),
    Table("certificates", _columns("NODE", "ENDS", "LEFT", "OUTLOOK", "REACHED"), certificates, "none is known"),
    Table("events", _columns("TIME", "TYPE", "NODE", "WHAT"), events, "nothing happened yet"),
    Table("traffic", _columns("NODE", "TX", "TX/S", "RX", "RX/S", "CONNS"), traffic, "no node has reported yet"),
)
"""Every view, in the order of their number keys."""
