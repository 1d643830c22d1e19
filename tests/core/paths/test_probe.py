"""Probe: the newest figures of every live link, and only of those."""

from pulse.core.effects import INFO, Log
from pulse.core.facts import LinkSample, LinkSuspect
from pulse.core.paths.probe import Probe, Quality
from pulse.core.types import LinkId
from tests.authority import node

ALICE = node("alice")
LINK = LinkId(1)


def probe() -> Probe:
    """A probe that knows one link."""
    fresh = Probe()
    fresh.link_opened(LINK)
    return fresh


def suspect(link: LinkId = LINK, *, so: bool = True) -> LinkSuspect:
    return LinkSuspect(link, ALICE, so)


def test_nothing_is_known_of_a_new_link() -> None:
    assert probe().quality(LINK) == Quality(rtt=None, jitter=0.0, loss=0.0, suspect=False)


def test_the_newest_figures_stay() -> None:
    links = probe()
    links.sampled((LinkSample(LINK, 0.02, 0.001, 0.0),))
    links.sampled((LinkSample(LINK, 0.03, 0.002, 0.1),))

    assert links.quality(LINK) == Quality(rtt=0.03, jitter=0.002, loss=0.1)


def test_a_link_becomes_suspect_once_and_recovers_once() -> None:
    links = probe()

    assert links.link_suspected(suspect()) == [Log("link suspect", INFO, {"node": ALICE[:12]})]
    assert links.link_suspected(suspect()) == []
    assert links.quality(LINK).suspect
    assert links.link_suspected(suspect(so=False)) == [Log("link recovered", INFO, {"node": ALICE[:12]})]
    assert not links.quality(LINK).suspect


def test_figures_do_not_clear_a_suspicion() -> None:
    links = probe()
    links.link_suspected(suspect())
    links.sampled((LinkSample(LINK, 0.02, 0.001, 0.0),))

    assert links.quality(LINK).suspect


def test_figures_and_suspicions_of_a_link_that_is_gone_are_refused() -> None:
    links = probe()
    links.link_closed(LINK)
    links.sampled((LinkSample(LINK, 0.02, 0.001, 0.0),))

    assert links.link_suspected(suspect()) == []
    assert links.quality(LINK) == Quality()


def test_a_link_that_closes_twice_harms_nothing() -> None:
    links = probe()

    assert links.link_closed(LINK) == []
    assert links.link_closed(LINK) == []
