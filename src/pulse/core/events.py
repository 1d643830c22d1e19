"""What a node's journal tells of, and what the mesh was like after it: the one reading of events, new and old.

Invariant: `Past` changes by events alone, so whoever has the journal can tell how the mesh looked at any time.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from pulse.core.types import LinkType

MOST_NODES: Final = 16_384
"""Nodes that are remembered: four times what a member table holds. Those that come later are not told of."""

Fields = Mapping[str, str | int | float | None]


class Kind(StrEnum):
    """The types of events; docs/reference/events.md says what each has."""

    START = "start"
    STOP = "stop"
    JOIN = "join"
    ISSUE = "issue"
    REVOKE = "revoke"
    EDIT = "edit"
    ROLES = "roles"
    REFUSE = "refuse"
    REMOTE = "remote"
    UP = "up"
    PATH = "path"
    DOWN = "down"
    EXIT = "exit"
    CLONE = "clone"
    CLOCK = "clock"
    GAP = "gap"
    DAMAGE = "damage"
    ANCHOR = "anchor"
    KNOWN = "known"


BOUNDED: Final = frozenset({Kind.REFUSE, Kind.UP, Kind.PATH, Kind.DOWN, Kind.EXIT, Kind.CLOCK})
"""Those that others can cause without end: they give way where there is no room. All others never do."""

PATIENT: Final = BOUNDED | {Kind.JOIN}
"""Those that may wait for more of their kind before they are written: who joined is known without the journal, too."""

BOOKKEEPING: Final = frozenset({Kind.ANCHOR, Kind.KNOWN})
"""Those that say again at the beginning of a file what an older one said."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, as this node saw it; `fields["node"]` is whom it happened to."""

    kind: str
    fields: Fields = field(default_factory=dict)


@dataclass(slots=True)
class Known:
    """A node as it was."""

    name: str
    v4: str
    ca: bool = False
    link: str = LinkType.NONE
    via: str = ""
    """Id of the first relay; empty for a direct path."""
    since: float | None = None
    """When the path became this one; None if it was this one before the journal begins."""


@dataclass(slots=True)
class Past:
    """What the mesh was like for one node after the events it was told."""

    nodes: dict[str, Known] = field(default_factory=dict)
    """By id, in the order in which they were met; this node is among them."""
    revoked: dict[str, str] = field(default_factory=dict)
    """Ids of those who are out, and what they were called."""
    running: bool = False
    """This node ran, so it knew who was there."""
    roles: int = 0
    scribe: str = ""
    config: str = ""
    """Number of the network config in force: scribe epoch and generation, with a dot between."""

    def happened(self, event: Event, time: float) -> None:
        """One event more; types of later releases change nothing here."""
        said = event.fields
        match event.kind:
            case Kind.START | Kind.STOP:
                self.running = event.kind == Kind.START
                self._all_lost(time)
            case Kind.KNOWN if "revoked" in said:
                self._revoked(said)
            case Kind.JOIN | Kind.KNOWN if "node" in said:
                self._met(said)
            case Kind.KNOWN:
                self._noted(said)
            case Kind.UP | Kind.PATH | Kind.DOWN:
                self._moved(said, time)
            case Kind.EDIT:
                self.config = _text(said, "version") or self.config
                self._renamed(said)
            case Kind.ROLES:
                self._noted(said)
            case Kind.REVOKE:
                self._revoked(said)

    def name_of(self, node: str) -> str:
        """What a node was called; empty if it was not known."""
        known = self.nodes.get(node)
        return known.name if known else self.revoked.get(node, "")

    def again(self) -> Iterator[Event]:
        """The events that lead from nothing to here."""
        yield Event(
            Kind.KNOWN,
            {"running": int(self.running), "epoch": self.roles, "scribe": self.scribe, "version": self.config},
        )
        for node, each in self.nodes.items():
            who: Fields = {"node": node, "name": each.name, "v4": each.v4, "ca": int(each.ca)}
            way: Fields = {"link": each.link, "via": each.via, "since": each.since}
            yield Event(Kind.KNOWN, {**who, **way})
        for node, name in self.revoked.items():
            yield Event(Kind.KNOWN, {"node": node, "name": name, "revoked": 1})

    # Details

    def _all_lost(self, time: float) -> None:
        for each in self.nodes.values():
            if each.link != LinkType.NONE:
                each.link, each.via, each.since = LinkType.NONE, "", time

    def _met(self, said: Fields) -> None:
        node = _text(said, "node")
        if node not in self.revoked and (node in self.nodes or len(self.nodes) < MOST_NODES):
            since = said.get("since")
            self.nodes[node] = Known(
                _text(said, "name"),
                _text(said, "v4"),
                bool(said.get("ca")),
                _text(said, "link") or LinkType.NONE,
                _text(said, "via"),
                since if isinstance(since, int | float) else None,
            )

    def _noted(self, said: Fields) -> None:
        epoch = said.get("epoch")
        self.roles = epoch if isinstance(epoch, int) else self.roles
        self.scribe = _text(said, "scribe")
        self.config = _text(said, "version") or self.config
        if "running" in said:
            self.running = bool(said["running"])

    def _moved(self, said: Fields, time: float) -> None:
        known = self.nodes.get(_text(said, "node"))
        if known is not None:
            known.name = _text(said, "name") or known.name
            known.link, known.via, known.since = _text(said, "link") or LinkType.NONE, _text(said, "via"), time

    def _renamed(self, said: Fields) -> None:
        known = self.nodes.get(_text(said, "node"))
        if known is not None:
            known.name = _text(said, "name") or known.name

    def _revoked(self, said: Fields) -> None:
        node = _text(said, "node")
        gone = self.nodes.pop(node, None)
        self.revoked[node] = (gone.name if gone else "") or _text(said, "name")


def _text(said: Fields, name: str) -> str:
    value = said.get(name)
    return value if isinstance(value, str) else ""
