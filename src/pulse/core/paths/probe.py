"""How good each link is, and since when it cannot be trusted.

The data plane sends the probes and measures; this machine keeps the last figures and says when a link's
state changes. Invariant: a link is known here exactly as long as it is up.
"""

from dataclasses import dataclass, field, replace

from pulse.core.effects import INFO, Effect, Log
from pulse.core.facts import LinkSample, LinkSuspect
from pulse.core.types import SHORT_ID, LinkId


@dataclass(frozen=True, slots=True)
class Quality:
    """Figures of one link; times in seconds, loss from 0 to 1, `rtt` None before the first echo."""

    rtt: float | None = None
    jitter: float = 0.0
    loss: float = 0.0
    suspect: bool = False


@dataclass(slots=True)
class Probe:
    """The newest figures of every live link."""

    _quality: dict[LinkId, Quality] = field(default_factory=dict)

    def link_opened(self, link: LinkId) -> list[Effect]:
        """A link is up: nothing is known of it yet."""
        self._quality[link] = Quality()
        return []

    def link_closed(self, link: LinkId) -> list[Effect]:
        """A link is gone, its figures with it."""
        self._quality.pop(link, None)
        return []

    def link_suspected(self, fact: LinkSuspect) -> list[Effect]:
        """Echoes went missing, or are back."""
        quality = self._quality.get(fact.link)
        if quality is None or quality.suspect == fact.suspect:
            return []
        self._quality[fact.link] = replace(quality, suspect=fact.suspect)
        return [Log("link suspect" if fact.suspect else "link recovered", INFO, {"node": fact.node[:SHORT_ID]})]

    def sampled(self, samples: tuple[LinkSample, ...]) -> list[Effect]:
        """New figures were read."""
        for sample in samples:
            quality = self._quality.get(sample.link)
            if quality is not None:
                self._quality[sample.link] = replace(quality, rtt=sample.rtt, jitter=sample.jitter, loss=sample.loss)
        return []

    def quality(self, link: LinkId) -> Quality:
        """The newest figures of `link`."""
        return self._quality.get(link, Quality())
