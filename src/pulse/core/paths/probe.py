"""How good each link is, and since when it cannot be trusted.

The data plane sends the probes and measures; this machine keeps the last figures and says when a link's
state changes. Invariant: a link is known here exactly as long as it is up.
"""

from dataclasses import dataclass, field, replace
from typing import Final

from pulse.core.effects import INFO, Effect, Log
from pulse.core.facts import LinkSample, LinkSuspect
from pulse.core.types import SHORT_ID, LinkId

CALMEST: Final = 30.0
"""Seconds; the least round trip of the last one to two of these is how far away a neighbour is."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Figures of one link; times in seconds, loss from 0 to 1, `rtt` None before the first echo."""

    rtt: float | None = None
    jitter: float = 0.0
    loss: float = 0.0
    suspect: bool = False


@dataclass(slots=True)
class _Floor:
    """The least round trip of the time since then, and of as long a time before it."""

    since: float
    least: float
    before: float = float("inf")

    def seen(self, rtt: float, now: float) -> None:
        if now >= self.since + CALMEST:
            self.before = self.least if now < self.since + 2 * CALMEST else float("inf")
            self.since, self.least = now, rtt
        self.least = min(self.least, rtt)


@dataclass(slots=True)
class Probe:
    """The newest figures of every live link."""

    _quality: dict[LinkId, Quality] = field(default_factory=dict)
    _floors: dict[LinkId, _Floor] = field(default_factory=dict)

    def link_opened(self, link: LinkId) -> list[Effect]:
        """A link is up: nothing is known of it yet."""
        self._quality[link] = Quality()
        return []

    def link_closed(self, link: LinkId) -> list[Effect]:
        """A link is gone, its figures with it."""
        self._quality.pop(link, None)
        self._floors.pop(link, None)
        return []

    def link_suspected(self, fact: LinkSuspect) -> list[Effect]:
        """Echoes went missing, or are back."""
        quality = self._quality.get(fact.link)
        if quality is None or quality.suspect == fact.suspect:
            return []
        self._quality[fact.link] = replace(quality, suspect=fact.suspect)
        return [Log("link suspect" if fact.suspect else "link recovered", INFO, {"node": fact.node[:SHORT_ID]})]

    def sampled(self, samples: tuple[LinkSample, ...], now: float) -> list[Effect]:
        """New figures were read."""
        for sample in samples:
            quality = self._quality.get(sample.link)
            if quality is None:
                continue
            self._quality[sample.link] = replace(quality, rtt=sample.rtt, jitter=sample.jitter, loss=sample.loss)
            if sample.rtt is not None:
                self._floors.setdefault(sample.link, _Floor(now, sample.rtt)).seen(sample.rtt, now)
        return []

    def quality(self, link: LinkId) -> Quality:
        """The newest figures of `link`."""
        return self._quality.get(link, Quality())

    def distance(self, link: LinkId) -> float | None:
        """Round trip over `link` while nothing queues, which is what ranks paths; None before the first echo.

        A path that carries much is slow because of what it carries: by its newest figures flows would flee from it, and
        come back as soon as it is empty (the least of a window, as BBR takes it for the same reason).
        """
        floor = self._floors.get(link)
        return min(floor.least, floor.before) if floor else None
