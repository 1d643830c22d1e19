"""Probe: the newest figures of every live link, and only of those."""

from pulse.core.effects import INFO, Log
from pulse.core.facts import LinkSample, LinkSuspect
from pulse.core.paths.probe import CALMEST, Probe, Quality
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
    links.sampled((LinkSample(LINK, 0.02, 0.001, 0.0),), 0.0)
    links.sampled((LinkSample(LINK, 0.03, 0.002, 0.1),), 0.0)

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
    links.sampled((LinkSample(LINK, 0.02, 0.001, 0.0),), 0.0)

    assert links.quality(LINK).suspect


def test_figures_and_suspicions_of_a_link_that_is_gone_are_refused() -> None:
    links = probe()
    links.link_closed(LINK)
    links.sampled((LinkSample(LINK, 0.02, 0.001, 0.0),), 0.0)

    assert links.link_suspected(suspect()) == []
    assert links.quality(LINK) == Quality()


def test_a_link_that_closes_twice_harms_nothing() -> None:
    links = probe()

    assert links.link_closed(LINK) == []
    assert links.link_closed(LINK) == []


# How far away


def distances(*rtts: float, every: float = 1.0) -> list[float | None]:
    """How far away a link leads after each of these round trips."""
    links, found = probe(), list[float | None]()
    for turn, rtt in enumerate(rtts):
        links.sampled((LinkSample(LINK, rtt, 0.0, 0.0),), 1000.0 + turn * every)
        found.append(links.distance(LINK))
    return found


def test_a_queue_makes_a_link_slow_and_not_long() -> None:
    assert distances(0.03, 0.02, 0.5, 0.9, 0.02) == [0.03, 0.02, 0.02, 0.02, 0.02]


def test_a_link_that_became_longer_is_known_to_be_after_a_window_or_two() -> None:
    found = distances(0.02, *[0.2] * 100)

    assert found[int(CALMEST)] == 0.02
    assert found[int(2 * CALMEST)] == 0.2
    assert found[-1] == 0.2


def test_a_window_nobody_measured_in_is_not_remembered() -> None:
    assert distances(0.02, 0.2, every=2 * CALMEST) == [0.02, 0.2]


def test_a_link_that_was_not_measured_is_at_no_distance_and_one_that_is_gone_neither() -> None:
    links = probe()
    links.sampled((LinkSample(LINK, None, 0.0, 0.0), LinkSample(LinkId(7), 0.02, 0.0, 0.0)), 0.0)
    assert links.distance(LINK) is None
    assert links.distance(LinkId(7)) is None

    links.sampled((LinkSample(LINK, 0.02, 0.0, 0.0),), 1.0)
    links.link_closed(LINK)
    assert links.distance(LINK) is None
