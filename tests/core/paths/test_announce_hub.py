"""Announce of a hub: more neighbours than a record lists, and those it has not."""

from ipaddress import IPv4Address

from pulse.core.paths.announce import MOST_DENIED
from pulse.core.paths.noderecord import HUB, NodeRecord
from tests.core.paths.records import handle
from tests.core.paths.speaker import Speaker, listed
from tests.core.paths.test_announce import speaker

__all__ = ["speaker"]


def test_a_hub_lists_its_best_neighbours_and_says_so(speaker: Speaker) -> None:
    for place in range(3, 43):
        speaker.up(place, rtt=1 / place)
    (made,) = speaker.run(1.0)
    assert made.flags == HUB
    assert listed(made) == [handle(2), *(handle(place) for place in range(12, 43))]
    speaker.down(3)
    assert speaker.run(5.0) == []
    speaker.down(42)
    (made,) = speaker.run(1.0)
    assert listed(made) == [handle(2), *(handle(place) for place in range(11, 42))]


def denied(record: NodeRecord) -> list[IPv4Address]:
    return [each.handle for each in record.adjacencies() if each.loss == 1.0]


def test_a_hub_denies_the_links_it_has_not_and_nobody_else_does(speaker: Speaker) -> None:
    speaker.take(speaker.announce.link_claimed(handle(50), True, speaker.now))
    speaker.run(5.0)
    assert not any(denied(made) for made in speaker.made)

    speaker.up(*range(3, 43), rtt=0.01)
    speaker.run(5.0)
    assert denied(speaker.newest()) == [handle(50)]
    assert len(listed(speaker.newest())) == 32

    speaker.take(speaker.announce.link_claimed(handle(50), False, speaker.now))
    speaker.run(5.0)
    assert denied(speaker.newest()) == []


def test_a_neighbour_of_a_hub_that_dies_unmeasured_is_denied_too(speaker: Speaker) -> None:
    speaker.up(*range(3, 43), rtt=None)
    speaker.take(speaker.announce.link_claimed(handle(5), True, speaker.now))
    speaker.run(5.0)
    assert denied(speaker.newest()) == []

    speaker.down(5)
    speaker.run(5.0)
    assert denied(speaker.newest()) == [handle(5)]


def test_a_hub_denies_sixteen_at_most_and_still_lists_as_many_it_has(speaker: Speaker) -> None:
    speaker.up(*range(3, 43), rtt=0.01)
    for place in range(100, 130):
        speaker.take(speaker.announce.link_claimed(handle(place), True, speaker.now))
    speaker.run(5.0)

    assert len(denied(speaker.newest())) == MOST_DENIED
    assert len(listed(speaker.newest())) == 32
