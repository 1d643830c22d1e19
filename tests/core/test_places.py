"""Places: whoever is elsewhere is dialled anew; the stories of each fact are in test_mesh.py and test_news.py."""

import pytest

from pulse.core import facts
from pulse.core.effects import Log
from pulse.core.places import places_changed
from pulse.core.types import LinkId
from tests.core.meshing import ALICE, HOME, Node


@pytest.mark.parametrize(
    ("fact", "event"),
    [
        (facts.SourcesChanged((LinkId(1),)), "this machine moved"),
        (facts.Woke(90.0), "woke up"),
        (facts.LinkMoved(LinkId(1), ALICE.node_id, HOME), "neighbour moved"),
    ],
)
def test_a_move_is_a_line_of_the_log(fact: facts.SourcesChanged | facts.Woke | facts.LinkMoved, event: str) -> None:
    here = Node()
    here.linked(ALICE)

    logged = [each.event for each in places_changed(here.mesh, fact, here.now) if isinstance(each, Log)]
    assert event in logged


def test_a_mapped_port_is_told_like_any_place() -> None:
    here = Node()
    list(places_changed(here.mesh, facts.PortMapped("203.0.113.7:443"), here.now))

    assert here.mesh.sight.candidates() == ("203.0.113.7:443",)
