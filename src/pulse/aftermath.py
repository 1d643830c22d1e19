"""What a node that is gone left on this machine: put back without a node.

Invariant: nothing is touched while a node runs in that data directory, nor what a node in another one set; a list that
another user wrote, as that of a service, has root change nothing that a node does not.
"""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pulse.errors import Refused
from pulse.net import sysctl
from pulse.net.policyrules import TABLE
from pulse.net.sysctl import FORWARDING, ROUTER_ADVERTISEMENTS
from pulse.services import exitnode, exits, resolver
from pulse.store import undo
from pulse.store.files import as_owner, lock
from pulse.store.undo import Kind, Undo

_INTERFACE: Final = r"[^/\s-][^/\s]{0,14}"
_PLACES: Final[dict[str, str]] = {
    Kind.SYSCTL: "|".join((*FORWARDING.values(), ROUTER_ADVERTISEMENTS.format(_INTERFACE))),
    Kind.FIREWALL: "pulse",
    Kind.ROUTES: str(TABLE),
}
"""What a node sets, by kind; resolvers, which go by their own names, have settings of an interface."""

_WORDS: Final[dict[str, str]] = {
    Kind.SYSCTL: "the setting {}",
    Kind.FIREWALL: "the firewall inet {}",
    Kind.ROUTES: "routing table {}, and its rules",
}


def put_back(data_dir: Path) -> tuple[str, ...]:
    """Routes, rules, firewall, forwarding and resolver as they were: what of these; empty if nothing was left.

    Raises Conflict while a node runs there, SystemRefused for who may not, Refused for a list that no node wrote.
    """
    with as_owner(data_dir):
        entries, warning = undo.load(data_dir)
        if not entries and not warning:
            return ()
        held = lock(data_dir)
    with held:
        if warning:
            _put_back([exits.OURS, exitnode.OURS])
            return (f"routes, rules and firewall; of the rest nobody knows: {warning}",)
        _check(data_dir, entries)
        done = _put_back(entries)
        with as_owner(data_dir):
            undo.remove(data_dir, *done)
    return tuple(map(_told, done))


def _told(entry: Undo) -> str:
    words = _WORDS.get(entry.kind, f"{entry.kind}, for {{}}").format(entry.place)
    stays = entry.kind == Kind.SYSCTL and sysctl.read(entry.place) == entry.ours
    return f"not {words}, for others forward by now" if stays else words


def _put_back(entries: Sequence[Undo]) -> list[Undo]:
    """Have these as they were: which of them are, in their order."""
    if exits.OURS in entries:
        exits.put_back()
    done = [exits.OURS, *exitnode.put_back(entries), *asyncio.run(resolver.put_back(entries))]
    return [each for each in entries if each in done]


def _check(data_dir: Path, entries: Sequence[Undo]) -> None:
    for each in entries:
        if not re.fullmatch(_PLACES.get(each.kind, _INTERFACE), each.place):
            raise Refused(
                f"{data_dir / 'undo'} has {each.kind} {each.place}, which no node sets: nothing is put back.\n"
                "Look who wrote it, and see ip rule, nft list tables, sysctl net.ipv4.ip_forward; then remove it"
            )
