"""Draws a flow as a text sequence diagram: a column a node, an arrow a message, a line for what happened to all.

1002.140   ca              n3              n7
   0.013   ·  Objects[2] ─────────────────▶ ·
   0.054   ·               kill -9
"""

from collections.abc import Sequence
from typing import assert_never

from pulse.core import facts, messages
from pulse.core.effects import (
    CloseLink,
    CloseSession,
    Dial,
    FetchConfig,
    Log,
    PolicyChanged,
    SendMessage,
    StoreBoot,
    StoreChain,
    StoreConfig,
    StorePeers,
    StoreRevocation,
    StoreRoles,
    TablesChanged,
    TrustChanged,
)
from pulse.core.types import SHORT_ID
from pulse.errors import ProtocolError
from tests.sim.flow import Entry, Flow

WIDTH = 14
SHOWN = 160
"""Lines at most: the newest."""

SECONDS = 30.0
"""How far back."""

COLUMNS = 10
"""Nodes at most."""


def draw(flow: Flow, nodes: Sequence[str], now: float) -> str:
    """The newest part of what happened at and between these nodes."""
    shown = list(dict.fromkeys(nodes))[:COLUMNS]
    lines = [line for entry in flow.of(shown, now - SECONDS) if (line := _line(entry, shown))]
    hidden = len(lines) - SHOWN
    head = f"{'':11}" + "".join(f"{name:<{WIDTH}}" for name in shown)
    above = [f"{'':11}({hidden} lines before)"] if hidden > 0 else []
    return "\n".join([head, *above, *lines[-SHOWN:]])


def _line(entry: Entry, shown: Sequence[str]) -> str:
    text = _text(entry.what)
    if not text:
        return ""
    time = f"{entry.when:10.3f} "
    if not entry.node:
        return f"{time}{f' {text} ':═^{WIDTH * len(shown)}}"
    here = shown.index(entry.node)
    if isinstance(entry.what, SendMessage) and entry.other:
        return time + _arrow(here, shown.index(entry.other), len(shown), text)
    return time + _columns(here) + f"│ {text}"


def _columns(count: int) -> str:
    return f"{'│':<{WIDTH}}" * count


def _arrow(here: int, there: int, columns: int, text: str) -> str:
    left, right = min(here, there), max(here, there)
    room = (right - left) * WIDTH - 1
    body = f" {text[: room - 3]} "
    arrow = f"├{body:─<{room}}▶" if here < there else f"◀{body:─>{room}}┤"
    return _columns(left) + f"{arrow:<{(right - left + 1) * WIDTH}}" + _columns(columns - right - 1)


def _text(what: object) -> str:
    match what:
        case str():
            return what
        case SendMessage(_, payload):
            return _message(payload)
        case Dial(attempt, address, _):
            return f"dial {attempt}: {address}"
        case CloseLink(link, reason):
            return f"close link {link}: {reason}"
        case CloseSession(node, reason):
            return f"close session {node[:SHORT_ID]}: {reason}"
        case FetchConfig(node):
            return f"fetch config from {node[:SHORT_ID]}"
        case Log(event, _, fields):
            return f"“{event}” {' '.join(f'{key}={value}' for key, value in fields.items())}"
        case StoreBoot(boot):
            return f"store boot {boot}"
        case StoreChain() | StoreRoles() | StoreConfig() | StoreRevocation():
            return f"store {type(what).__name__.removeprefix('Store').lower()}"
        case TablesChanged(entries, _) | PolicyChanged(entries):
            return f"{type(what).__name__.removesuffix('Changed').lower()}: {len(entries)} entries"
        case TrustChanged() | StorePeers():
            return ""
        case _:
            return _fact(what)


def _fact(what: object) -> str:
    match what:
        case facts.LinkUp(link, dial, node):
            return f"link {link} up with {node[:SHORT_ID]}" + (f" (dial {dial})" if dial else "")
        case facts.LinkDown(link, node, reason):
            return f"link {link} down with {node[:SHORT_ID]}: {reason}"
        case facts.LinkSuspect(link, node, suspect):
            return f"link {link} with {node[:SHORT_ID]} {'suspect' if suspect else 'recovered'}"
        case facts.LinkMoved(link, node, observed):
            return f"link {link}: {node[:SHORT_ID]} is at {observed}"
        case facts.DialFailed(dial, code, _):
            return f"dial {dial} failed: {code}"
        case facts.AddressesChanged(candidates):
            return f"addresses: {' '.join(candidates)}"
        case facts.PathSuspected(node, link, suspect):
            return f"path to {node[:SHORT_ID]} by {link} {'suspect' if suspect else 'recovered'}"
        case facts.PinsChanged(vias):
            return f"{len(vias)} pins"
        case facts.ConfigFetched(node, data):
            return f"config of {node[:SHORT_ID]}: {'no answer' if data is None else f'{len(data)} bytes'}"
        case facts.PeerWanted(node) | facts.NoRoute(node):
            return f"traffic for {node[:SHORT_ID]}"
        case facts.FlowDenied(node, rule):
            return f"flow to {node[:SHORT_ID]} denied by {rule or 'no rule'}"
        case _:
            return ""


def _message(payload: bytes) -> str:
    try:
        message = messages.decode(payload)
    except ProtocolError as error:
        return f"? {error}"
    match message:
        case messages.NodeRecords(records):
            return f"Records[{len(records)}]"
        case messages.Have(ids, buckets):
            return f"Have[{len(ids) // 12}]" + (f" of {len(buckets)} buckets" if buckets else "")
        case messages.Objects(items):
            return "Objects " + " ".join(str(item.kind) for item in items[:8])
        case messages.Want(ids, certificates):
            return f"Want[{len(ids) // 12}+{len(certificates) // 32}]"
        case messages.Observed(host, port):
            return f"Observed {host}:{port}"
        case messages.Hello() | messages.Prune() | messages.Digest() | messages.Leaving() | messages.Unknown():
            return type(message).__name__
        case _:
            assert_never(message)
