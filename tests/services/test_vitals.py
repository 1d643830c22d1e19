"""Vitals service: who is missing, whose certificate is late, and what else keeps a node from being well."""

import pytest

from pulse import clock
from pulse.core.facts import DialFailed
from pulse.core.symptoms import Missing, Running
from pulse.core.trust.ca import DAY, LEAF_LIFETIME
from pulse.services import vitals as module
from pulse.services.vitals import VitalsService
from tests.authority import NOW
from tests.mint import member
from tests.services.shown import ALICE, CA, HOME, KEEPER, LINK, ME, Device, Node, Office, Ways


@pytest.fixture(autouse=True)
def looks(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the network is there, once a look; what is left are looks that were not needed."""
    answers = [True, True, True, True]
    monkeypatch.setattr(clock, "wall", lambda: NOW)
    monkeypatch.setattr(module, "has_network", answers.pop)
    return answers


def vitals(node: Node) -> Running:
    return VitalsService(node.mesh, node.tun, node.scribe, node.used, node.rotation).vitals()


async def test_a_well_node_lacks_nothing_and_its_machine_is_not_looked_at(looks: list[bool]) -> None:
    told = vitals(Node(tun=Device()))

    assert told == Running(certificate_left=LEAF_LIFETIME, certificate_life=ME.not_after - ME.not_before, late=[],
        missing=[], ranges_refused=[], bypasses=())  # fmt: skip
    assert len(looks) == 4


async def test_what_others_say_of_themselves_is_told_as_they_say_it() -> None:
    node = Node(tun=Device(problem="no range yet"), scribe=Office("another is"))
    node.rotation = Office("it is not replaced further")
    node.used = Ways("not root.\nsudo", "undo is damaged", ("128.0.0.0/1 via 192.0.2.1",), ["::/0"])
    told = vitals(node)

    assert (told.tun_problem, told.scribe_problem) == ("no range yet", "another is")
    assert told.rotation_problem == "it is not replaced further"
    assert (told.resolver_problem, told.exits_problem, told.exit_problem) == ("not root.\nsudo",) * 3
    assert (told.left, told.bypasses, told.ranges_refused) == ("undo is damaged", node.used.bypasses, ["::/0"])
    assert vitals(Node(tun=None)).tun_problem == "", "nobody wants a device"


async def test_who_was_named_and_is_not_met_is_missing_and_without_a_network_the_machine_is_to_blame(
    looks: list[bool],
) -> None:
    node = Node()
    node.mesh.peer_configured(HOME, node.when)
    node.happened(DialFailed(1, "timeout", "no answer"))

    told = vitals(node)
    assert (told.missing, told.cut_off) == ([Missing(HOME, "", "no answer")], False)
    looks[:] = [False]
    assert vitals(node).cut_off


async def test_of_several_places_of_one_node_one_is_missing() -> None:
    node = Node()
    for place in (HOME, "192.0.2.10:443", "192.0.2.8:443"):
        node.mesh.peer_configured(place, node.when)
    for place in (HOME, "192.0.2.10:443"):
        node.mesh.neighbours.peer_learnt(ALICE.node_id, place, node.when)
    node.knows(ALICE)

    assert [(each.address, each.name) for each in vitals(node).missing] == [
        ("192.0.2.10:443", "alice"),
        ("192.0.2.8:443", ""),
    ]


async def test_who_is_reached_another_way_is_not_missing() -> None:
    node = Node()
    node.mesh.peer_configured(HOME, node.when)
    node.mesh.neighbours.peer_learnt(ALICE.node_id, HOME, node.when)
    node.meets(KEEPER)
    node.hears((KEEPER, ALICE))

    assert vitals(node).missing == []


async def test_certificates_of_others_are_late_where_somebody_can_see_to_them() -> None:
    node = Node()
    node.knows(member(CA, "box", 9, host="box", not_before=NOW - 89 * DAY, not_after=NOW + DAY))
    assert vitals(node).late == [], "it is away, and not this node's to see to"

    node.meets(member(CA, "shelf", 8, host="shelf", not_before=NOW - 89 * DAY, not_after=NOW + DAY), LINK)
    assert vitals(node).late == [("shelf", DAY)]
