"""When a new version of our own record is due, and what it says.

A link that went is told at once, one that came nearly so, figures only when they changed much and the less often the
longer they go on changing. Invariant: a version is made only if it says something else than the one before, and
under numbers that no record of ours ever had.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import Final

from pulse.core.effects import WARNING, Log, StoreBoot
from pulse.core.paths.news import Outcome, RecordMade
from pulse.core.paths.noderecord import (
    EXIT,
    HUB,
    MOST_CANDIDATES,
    MOST_EXITS,
    MOST_NEIGHBOURS,
    NUMBER_LIMIT,
    OPEN,
    REACHABLE,
    Adjacency,
    NodeRecord,
    Service,
    TooLong,
    as_measured,
    is_candidate,
    sign_record,
)
from pulse.core.paths.scores import LOSS_FACTOR
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.identity import Signer

AT_ONCE: Final = 0.05
"""Seconds in which changes are gathered into one version: links of one neighbour or machine go together."""

GATHER: Final = 0.02
GATHER_MOST: Final = 1.0
"""Seconds a node of the mesh, and at most, in which new links are gathered: after a mass restart all come at once."""

SPACING: Final = 0.005
"""Seconds a node of the mesh between versions that only bring new links: 5 s at 1,000 nodes (decision 20)."""

FIGURES: Final = 5.0
FIGURES_A_NODE: Final = 0.3
FIGURES_MOST: Final = 300.0
"""Seconds between versions that only bring new figures: at least, per node of the mesh, and while they go on."""

MOST_DENIED: Final = 16
"""Links a hub denies at one time: half of its list, the other half says which it has."""

RELATIVE: Final = 0.2
ABSOLUTE: Final = 0.005
"""A cost, in seconds, that changed by less than either says nothing new."""

REACHABLE_FOR: Final = 24 * 3600.0
"""Seconds for which an accepted inbound link proves that others may come too."""

PEACE: Final = 600.0
CLONE_MOST: Final = 300.0
"""Against a living clone no number is high enough: seconds between two answers double up to this, until there was
peace."""


@dataclass(frozen=True, slots=True)
class _Figures:
    rtt: float | None = None
    """None before it was measured."""
    loss: float = 0.0

    @property
    def cost(self) -> float:
        """What a route pays for the link, in seconds (protocol §7)."""
        return as_measured(self.rtt) * (1 + LOSS_FACTOR * self.loss)

    def differs_much(self, told: "_Figures") -> bool:
        """True if others should know."""
        change = abs(self.cost - told.cost)
        return change >= ABSOLUTE and change >= RELATIVE * told.cost


DENIED: Final = _Figures(None, 1.0)
"""A loss of all: there is no such link, whatever the other end announces."""


@dataclass(frozen=True, slots=True)
class _Content:
    certificate: Certificate
    boot: int
    candidates: tuple[str, ...]
    flags: int
    neighbours: dict[IPv4Address, _Figures]
    chain: int
    exits: tuple[str, ...] = ()

    def says_the_same(self, other: "_Content | None") -> bool:
        """True if it differs from `other` in figures at most."""
        return other is not None and self._shape() == other._shape()

    def _shape(self) -> tuple[object, ...]:
        near = {handle: (figures.rtt is None, figures is DENIED) for handle, figures in self.neighbours.items()}
        return self.certificate.der, self.boot, self.candidates, self.flags, near, self.chain, self.exits


class Announce:
    """What this node says of itself."""

    def __init__(
        self,
        me: Certificate,
        signer: Signer,
        *,
        boot: int,
        version: str,
        chain: int = 0,
        services: Iterable[Service] = (),
    ) -> None:
        self._me, self._signer, self._version, self._chain = me, signer, version, chain
        self._services = tuple(services)
        """As the settings say; they change with a restart, and that makes a new version by itself."""
        self._boot, self._seq = boot, 0
        self._candidates: tuple[str, ...] = ()
        self._exits: tuple[str, ...] = ()
        self._open = False
        self._links: dict[IPv4Address, _Figures] = {}
        self._told: dict[IPv4Address, _Figures] = {}
        """Figures of all links when the last version was made."""
        self._claimed: set[IPv4Address] = set()
        """Who announces a link with us."""
        self._content: _Content | None = None
        self._reachable_until: float | None = None
        self._nodes = 1
        self._due: float | None = None
        self._made_at = -FIGURES_MOST
        self._figures_due: float | None = None
        self._figures_at = -FIGURES_MOST
        self._figures_gap = FIGURES
        self._seen: tuple[int, int] | None = None
        """Highest numbers of a record of our key that we did not make, to be passed."""
        self._raise_due = 0.0
        self._raise_wait = 0.0

    # Facts

    def addresses_changed(self, candidates: Iterable[str], now: float, *, is_open: bool = False) -> list[Outcome]:
        """Where others may reach us, best first; what nobody may dial is left out. `is_open`: no NAT before us."""
        self._open = is_open
        usable = (each for each in dict.fromkeys(candidates) if is_candidate(each, self._me.network))
        self._candidates = tuple(usable)[:MOST_CANDIDATES]
        return self._changed(now, AT_ONCE)

    def neighbour_up(
        self, handle: IPv4Address, now: float, rtt: float | None = None, loss: float = 0.0
    ) -> list[Outcome]:
        """There is a link with that neighbour."""
        if handle in self._links:
            return []
        self._links[handle] = _Figures(rtt, loss)
        return self._changed_slowly(now)

    def neighbour_down(self, handle: IPv4Address, now: float) -> list[Outcome]:
        """The last link with that neighbour went."""
        if self._links.pop(handle, None) is None:
            return []
        return self._changed(now, AT_ONCE)

    def quality_changed(self, handle: IPv4Address, rtt: float | None, loss: float, now: float) -> list[Outcome]:
        """New figures of the link with that neighbour, seconds and 0 to 1."""
        if handle not in self._links:
            return []
        figures = self._links[handle] = _Figures(rtt, loss)
        told = self._told.get(handle)
        if told is None:
            return []
        if told.rtt is None and rtt is not None:
            return self._changed_slowly(now)
        if self._figures_due is None and figures.differs_much(told):
            self._figures_due = max(now, self._figures_at + max(self._figures_gap, self._least_gap()))
        return []

    def link_claimed(self, handle: IPv4Address, claimed: bool, now: float) -> list[Outcome]:
        """That node announces a link with us, or none; of a hub its word alone would do, so a hub must deny it."""
        if claimed == (handle in self._claimed):
            return []
        if claimed:
            self._claimed.add(handle)
        else:
            self._claimed.discard(handle)
        return self._changed_slowly(now) if self._is_hub and handle not in self._links else []

    def inbound_link_accepted(self, now: float) -> list[Outcome]:
        """Somebody reached us without our help."""
        news = self._reachable_until is None
        self._reachable_until = now + REACHABLE_FOR
        return self._changed_slowly(now) if news else []

    def certificate_renewed(self, certificate: Certificate, now: float) -> list[Outcome]:
        """Our certificate is another one; gossip was told of it."""
        self._me = certificate
        return self._changed(now, AT_ONCE)

    def chain_grew(self, number: int, now: float) -> list[Outcome]:
        """So many CA keys after the network's first are believed here."""
        if number == self._chain:
            return []
        self._chain = number
        return self._changed(now, AT_ONCE)

    def exits_offered(self, cidrs: Iterable[str], now: float) -> list[Outcome]:
        """Others may reach these ranges through us, once they are approved."""
        exits = tuple(cidrs)[:MOST_EXITS]
        if exits == self._exits:
            return []
        self._exits = exits
        return self._changed(now, AT_ONCE)

    def mesh_size(self, nodes: int) -> list[Outcome]:
        """So many nodes are in the mesh: the more, the less each may say."""
        self._nodes = nodes
        return []

    def own_record_seen(self, boot: int, seq: int, same_numbers: bool, now: float) -> list[Outcome]:
        """A record of our key that we did not make: our state was lost or copied, so go above it."""
        if (boot, seq) < self.numbers or ((boot, seq) == self.numbers and not same_numbers):
            return []
        if now - self._raise_due > PEACE:
            self._raise_due, self._raise_wait = now, 0.0
        self._seen = max(self._seen or (boot, seq), (boot, seq))
        return self.tick(now)

    # The machine's face

    def deadline(self) -> float | None:
        """When a version may be due."""
        raising = self._raise_due if self._seen else None
        times = (self._due, self._figures_due, self._reachable_until, raising)
        return min((each for each in times if each is not None), default=None)

    def tick(self, now: float) -> list[Outcome]:
        """Time has passed."""
        if self._seen is not None and self._raise_due <= now:
            return self._raise(self._seen, now)
        if self._reachable_until is not None and self._reachable_until <= now:
            self._reachable_until = None
            self._changed_slowly(now)
        if self._figures_due is not None and self._figures_due <= now:
            self._figures_due = None
            if any(figures.differs_much(self._told.get(handle, figures)) for handle, figures in self._links.items()):
                self._count_figures(now)
                return self._make(now, self._content_now())
        if self._due is not None and self._due <= now:
            self._due = None
            content = self._content_now()
            return [] if content.says_the_same(self._content) else self._make(now, content)
        return []

    # Queries

    @property
    def numbers(self) -> tuple[int, int]:
        """Boot count and seq of our newest record; seq 0 before there is one."""
        return self._boot, self._seq

    # Details

    @property
    def _is_hub(self) -> bool:
        """We have more neighbours than a record lists."""
        return len(self._links) > MOST_NEIGHBOURS

    def _changed(self, now: float, wait: float) -> list[Outcome]:
        # Before the first neighbour there is nobody to tell.
        if self._links or self._content is not None:
            self._due = now + wait if self._due is None else min(self._due, now + wait)
        return []

    def _changed_slowly(self, now: float) -> list[Outcome]:
        gather = min(max(AT_ONCE, self._nodes * GATHER), GATHER_MOST)
        return self._changed(now, max(gather, self._made_at + self._nodes * SPACING - now))

    def _count_figures(self, now: float) -> None:
        least = self._least_gap()
        goes_on = now - self._figures_at < 2 * self._figures_gap
        self._figures_gap = min(2 * self._figures_gap, max(FIGURES_MOST, least)) if goes_on else least
        self._figures_at = now

    def _least_gap(self) -> float:
        return max(FIGURES, self._nodes * FIGURES_A_NODE)

    def _raise(self, seen: tuple[int, int], now: float) -> list[Outcome]:
        self._seen = None
        self._raise_wait = min(max(1.0, 2 * self._raise_wait), CLONE_MOST)
        self._raise_due = now + self._raise_wait
        # At the end of all numbers only seq is left to go above.
        self._boot, self._seq = (seen[0] + 1, 0) if seen[0] < NUMBER_LIMIT else seen
        log = Log("clone or lost state", WARNING, {"boot": self._boot})
        return [StoreBoot(self._boot), log, *self._make(now, self._content_now())]

    def _make(self, now: float, content: _Content) -> list[Outcome]:
        if self._seq >= NUMBER_LIMIT:
            return []
        self._seq += 1
        self._content, self._made_at, self._told = content, now, dict(self._links)
        self._due = self._figures_due = None
        return [RecordMade(self._signed(content))]

    def _content_now(self) -> _Content:
        denied = sorted(self._claimed - self._links.keys())[:MOST_DENIED] if self._is_hub else []
        best = sorted(self._links.items(), key=lambda each: (each[1].cost, each[0]))[: MOST_NEIGHBOURS - len(denied)]
        flags = REACHABLE if self._reachable_until is not None else 0
        flags |= HUB if self._is_hub else 0
        flags |= EXIT if self._exits else 0
        flags |= OPEN if self._open else 0
        near = {**dict(sorted(best)), **dict.fromkeys(denied, DENIED)}
        return _Content(self._me, self._boot, self._candidates, flags, near, self._chain, self._exits)

    def _signed(self, content: _Content) -> NodeRecord:
        """The record; of one that would be too long the last candidates are left out, for all else counts whole."""
        while True:
            try:
                return self._written(content)
            except TooLong:
                if not content.candidates:
                    raise
                content = replace(content, candidates=content.candidates[:-1])

    def _written(self, content: _Content) -> NodeRecord:
        near = [Adjacency(who, as_measured(each.rtt), each.loss) for who, each in content.neighbours.items()]
        return sign_record(
            self._signer,
            content.certificate,
            boot=content.boot,
            seq=self._seq,
            candidates=content.candidates,
            flags=content.flags,
            services=self._services,
            exits=content.exits,
            neighbours=near,
            version=self._version,
            chain=content.chain,
        )
