"""What of all that happens goes into the node's journal: whatever is other than the journal told last.

It compares the mesh with what the journal tells, so a change is told though the moment of it was missed, a crash
before it was written included. Invariant: what others can cause without end is told at a bounded rate, and in the
end truly: a path that flaps is held back, and then told as it is.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Final, Protocol

from pulse.core.bucket import Bucket
from pulse.core.effects import (
    Effect,
    Log,
    RangeUse,
    StoreConfig,
    StorePeers,
    StoreRevocation,
    StoreRoles,
    TablesChanged,
    TrustChanged,
)
from pulse.core.events import MOST_NODES, Event, Fields, Kind, Past
from pulse.core.messages import printable
from pulse.core.network.netconfig import SignedConfig
from pulse.core.network.statements import Statements
from pulse.core.paths.sight import CLOCK_TOLERANCE
from pulse.core.trust.members import Members
from pulse.core.types import SHORT_ID, LinkType, NodeId

PACE: Final = 1.0
"""Seconds between two looks at the paths."""

A_LOOK: Final = 50
"""Changes of paths, and of exits, told at one look; the others wait for the next."""

MOST_RENAMED: Final = 50
"""Nodes told to be called otherwise after one edit: whoever may edit could rename all of them again and again."""

AT_ONCE: Final = 4
HOLD: Final = 30.0
"""So many changes of one node's path, or one range's exit, are told as they come, then one in so many seconds."""

A_DAY: Final = 5_000
"""Changes of paths and exits told in a day: a quarter of what the journal keeps."""

REFUSALS_A_DAY: Final = 1_000
REFUSALS_AT_ONCE: Final = 100

REPEAT: Final = 600.0
"""Seconds for which the same refusal or alarm is not told again."""

MOST_REPEATED: Final = 256
"""Refusals that are remembered for that."""

LONGEST: Final = 200
"""Characters of a text that others may have chosen."""

_DAY: Final = 86_400.0

_LOGGED: Final = {
    "neighbour turned away": Kind.REFUSE,
    "neighbour broke the protocol": Kind.REFUSE,
    "neighbour sends too much": Kind.REFUSE,
    "signed object refused": Kind.REFUSE,
    "clone or lost state": Kind.CLONE,
    "two records under one number": Kind.CLONE,
    "two nodes under one address": Kind.CLONE,
    "one signer signed two objects under one number": Kind.CLONE,
}
"""Log events that are told, and as what."""

Way = tuple[str, NodeId]
"""Type of the first link, and the first relay, which is nobody for a direct path."""


class View(Protocol):
    """What is asked of the mesh."""

    members: Members
    statements: Statements


class Chronicle:
    """Decides what is told; whoever calls it writes that down in this order."""

    def __init__(
        self,
        me: NodeId,
        past: Past,
        mesh: View,
        way_to: Callable[[NodeId], Way],
        clock_offset: Callable[[], float],
        now: float,
    ) -> None:
        """`past` is what the journal tells so far; it belongs to this machine from now on."""
        self.past = past
        self._me, self._mesh, self._way_to, self._clock_offset = me, mesh, way_to, clock_offset
        self._config: SignedConfig | None = None
        self._objects_stale = self._paths_stale = True
        self._looked = now - PACE
        self._restless: dict[str, Bucket] = {}
        """Nodes whose path was told lately, and ranges whose exit was."""
        self._ranges: tuple[RangeUse, ...] = ()
        self._exits: dict[str, str] = {}
        """What was told in this run: the exit of each range, nothing for none."""
        self._waits: float | None = None
        """When a change of a path that was held back may be told."""
        self._paths = Bucket(A_DAY / _DAY, A_DAY, now)
        self._refusals = Bucket(REFUSALS_A_DAY / _DAY, REFUSALS_AT_ONCE, now)
        self._refused: dict[tuple[str, str], float] = {}
        self._unsaid = 0
        """Refusals that were not told since the last one that was."""
        self._clock_is_off = False
        self._asked: NodeId | None = None

    # Facts

    def performed(self, effects: Iterable[Effect], now: float) -> list[Event]:
        """The core asked for these."""
        told = []
        for effect in effects:
            match effect:
                case Log(event, _, fields) if event in _LOGGED:
                    told += self._logged(event, fields, now)
                case StoreRoles() | StoreConfig() | StoreRevocation():
                    # At once: two edits in a row are two events.
                    told += self._look_at_objects(now)
                case StorePeers() | TrustChanged():
                    self._objects_stale = True
                case TablesChanged(ranges=ranges):
                    self._paths_stale, self._ranges = True, ranges
                case _:
                    pass
        return told

    def refused(self, why: str, now: float, node: str = "") -> list[Event]:
        """Somebody was refused something; `why` may have their words in it."""
        return self._bounded(Kind.REFUSE, node, why, now)

    def happened(self, event: Event, now: float) -> list[Event]:
        """Another service tells of this."""
        self.past.happened(event, now)
        return [event]

    def journal_lacks(self, past: Past) -> None:
        """Not all that was told is in the journal, only what led to `past`: look again at everything."""
        self.past = past
        self._objects_stale = self._paths_stale = True
        self._config, self._exits = None, {}

    def edit_asked(self, by: NodeId) -> None:
        """This node, the scribe, is about to make an edit that `by` asks for."""
        self._asked = by

    # The machine's face

    def deadline(self) -> float | None:
        """When to look at the mesh again."""
        if self._objects_stale:
            return self._looked
        wakes = [self._looked + PACE] if self._paths_stale else []
        return min([*wakes, *([self._waits] if self._waits is not None else [])], default=None)

    def tick(self, now: float) -> list[Event]:
        """Look at what may have changed."""
        told: list[Event] = []
        if self._objects_stale:
            told += self._look_at_objects(now)
        due = self._paths_stale and now >= self._looked + PACE
        if due or (self._waits is not None and now >= self._waits):
            self._paths_stale, self._waits, self._looked = False, None, now
            self._restless = {what: each for what, each in self._restless.items() if each.level(now) < AT_ONCE}
            told += self._noted(self._moved(now), now)
            told += self._led(now)
            told += self._clock()
        return told

    # Looks

    def _look_at_objects(self, now: float) -> list[Event]:
        self._objects_stale = False
        looks = (self._members, self._roles, self._configured, self._revoked)
        return [event for look in looks for event in self._noted(look(), now)]

    def _noted(self, events: Iterator[Event], now: float) -> list[Event]:
        """The events, which `past` has taken in; times in it are for readers of the journal, not for us."""
        told = []
        for event in events:
            self.past.happened(event, now)
            told.append(event)
        return told

    def _members(self) -> Iterator[Event]:
        members = self._mesh.members
        revoked = self._mesh.statements.revoked()
        for each in list(members.all()):
            node = each.node_id
            full = len(self.past.nodes) >= MOST_NODES
            if node not in self.past.nodes and node not in revoked and not full:
                who = {"node": node, "name": members.label(each), "v4": str(each.addresses.v4)}
                yield Event(Kind.JOIN, who | ({"ca": 1} if each.is_ca else {}))

    def _roles(self) -> Iterator[Event]:
        roles = self._mesh.statements.roles
        if roles.epoch != self.past.roles:
            operators = ",".join(sorted(each[:SHORT_ID] for each in roles.operators))[: 4 * LONGEST]
            yield Event(Kind.ROLES, {"epoch": roles.epoch, "scribe": roles.scribe or "", "operators": operators})

    def _configured(self) -> Iterator[Event]:
        config, before = self._mesh.statements.config, self._config
        if config is None or config is before:
            return
        self._config = config
        version = config.version
        if version == self.past.config:
            return
        by = self._mesh.statements.roles.scribe if config.config.scribe_epoch else "ca"
        said = {"version": version, "by": by or "", "changed": _changed(before, config)}
        if self._asked is not None:
            said["asked"], self._asked = self._asked, None
        yield Event(Kind.EDIT, said)
        yield from islice(self._renamed(version), MOST_RENAMED)

    def _renamed(self, version: str) -> Iterator[Event]:
        """Nodes that are called otherwise than was told; those that are too many are told with the next edit."""
        for each in list(self._mesh.members.all()):
            name = self._mesh.members.label(each)
            known = self.past.nodes.get(each.node_id)
            if known is not None and known.name != name:
                yield Event(Kind.EDIT, {"node": each.node_id, "name": name, "was": known.name, "version": version})

    def _revoked(self) -> Iterator[Event]:
        for node in sorted(self._mesh.statements.revoked() - self.past.revoked.keys()):
            yield Event(Kind.REVOKE, {"node": node, "name": self.past.name_of(node)})

    def _moved(self, now: float) -> Iterator[Event]:
        """Paths that are others than was told, as far as they may be told now."""
        for node, known, way in list(islice(self._astray(now), A_LOOK)):
            if not self._spend(node, now):
                return
            kind = Kind.DOWN if way[0] == LinkType.NONE else Kind.UP if known == LinkType.NONE else Kind.PATH
            over: Fields = {} if kind is Kind.DOWN else {"link": way[0]} | ({"via": way[1]} if way[1] else {})
            yield Event(kind, {**self._who(node), **over})

    def _astray(self, now: float) -> Iterator[tuple[str, str, Way]]:
        """Nodes on another path than was told, the link type that was, and the way now; who is held back waits."""
        found = 0
        for node, known in list(self.past.nodes.items()):
            way = self._way_to(NodeId(node))
            if node == self._me or (known.link, known.via) == way:
                continue
            if self._is_held(node, now):
                continue
            found += 1
            if found == A_LOOK:
                self._wait_until(now + PACE)
            yield node, known.link, way

    def _led(self, now: float) -> Iterator[Event]:
        """Ranges that lead elsewhere than was told, as far as that may be told now."""
        exits = {each.prefix: each.node or "" for each in self._ranges}
        others = [each for each in {**self._exits, **exits} if self._exits.get(each) != exits.get(each)]
        astray = [each for each in others if not self._is_held(each, now)]
        if len(astray) > A_LOOK:
            self._wait_until(now + PACE)
        for prefix in astray[:A_LOOK]:
            if not self._spend(prefix, now):
                return
            node = exits.get(prefix)
            if node is None:
                del self._exits[prefix]
            else:
                self._exits[prefix] = node
            state = "unused" if node is None else "in use" if node else "refused"
            yield Event(Kind.EXIT, {"range": prefix, "state": state} | (self._who(node) if node else {}))

    def _is_held(self, what: str, now: float) -> bool:
        """True while changes of it are held back; it is looked at again when they need not be."""
        bucket = self._restless.get(what)
        if bucket is None or bucket.level(now) >= 1:
            return False
        self._wait_until(max(bucket.ready_at(1, now), now + PACE))
        return True

    def _spend(self, what: str, now: float) -> bool:
        """Have one change of it told; False if the day has no more."""
        if self._paths.level(now) < 1:
            self._wait_until(max(self._paths.ready_at(1, now), now + PACE))
            return False
        self._paths.spend(1, now)
        self._restless.setdefault(what, Bucket(1 / HOLD, AT_ONCE, now)).spend(1, now)
        return True

    def _clock(self) -> list[Event]:
        offset = self._clock_offset()
        is_off = abs(offset) > CLOCK_TOLERANCE
        if is_off is self._clock_is_off:
            return []
        self._clock_is_off = is_off
        return [Event(Kind.CLOCK, {"ahead": round(offset, 1)})]

    # Details

    def _wait_until(self, at: float) -> None:
        self._waits = at if self._waits is None else min(self._waits, at)

    def _logged(self, event: str, fields: Mapping[str, object], now: float) -> list[Event]:
        node = self._whole(str(fields.get("node", "")))
        why = "; ".join([event, *(str(fields[name]) for name in ("error", "object") if name in fields)])
        return self._bounded(_LOGGED[event], node, why, now)

    def _bounded(self, kind: Kind, node: str, why: str, now: float) -> list[Event]:
        same = (node, why[:LONGEST])
        repeated = now < self._refused.get(same, float("-inf")) + REPEAT
        if repeated or self._refusals.level(now) < 1:
            self._unsaid += 1
            return []
        self._refusals.spend(1, now)
        self._refused.pop(same, None)
        self._refused[same] = now
        if len(self._refused) > MOST_REPEATED:
            del self._refused[next(iter(self._refused))]
        said: dict[str, str | int] = {**self._who(node)} if node else {}
        said["why"] = printable(why.replace("\n", " "))[:LONGEST]
        if self._unsaid:
            said["unsaid"], self._unsaid = self._unsaid, 0
        return [Event(kind, said)]

    def _who(self, node: str) -> dict[str, str]:
        return {"node": node, "name": self._mesh.members.label_of(NodeId(node))}

    def _whole(self, short: str) -> str:
        """The id that begins so, of a node we know; else what there is of it."""
        found = [each.node_id for each in self._mesh.members.all() if each.node_id.startswith(short)] if short else []
        return found[0] if len(found) == 1 else short


def _changed(before: SignedConfig | None, after: SignedConfig) -> str:
    """Which parts of a config are others, in words; nothing if it cannot be known."""
    if before is None:
        return ""
    parts = [part for part in after.config.__struct_fields__ if part not in ("scribe_epoch", "generation")]
    return " ".join(part for part in parts if getattr(before.config, part) != getattr(after.config, part))
