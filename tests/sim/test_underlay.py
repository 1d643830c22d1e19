"""The networks below: who can dial whom, and what a cut cuts."""

import pytest

from tests.sim.underlay import Machine, Segment, Underlay
from tests.sim.world import INTERNET

HOME, OTHER_HOME = Segment("home", "192.168"), Segment("other home", "192.168")
ISLAND = Segment("island", "172.16", outlet=False)


def plugged(*machines: Machine) -> Underlay:
    underlay = Underlay()
    for machine in machines:
        underlay.add(machine)
    return underlay


def test_a_machine_at_home_dials_out_and_cannot_be_dialled() -> None:
    server, laptop = Machine("server", 1, (INTERNET,)), Machine("laptop", 2, (HOME,))
    underlay = plugged(server, laptop)

    assert underlay.answering(laptop, server.addresses[0]) is server
    assert underlay.answering(server, laptop.addresses[0]) is None
    assert underlay.answering(server, underlay.observed(laptop, server)) is None


def test_machines_at_one_home_see_each_other_where_they_are() -> None:
    laptop, printer = Machine("laptop", 1, (HOME,)), Machine("printer", 2, (HOME,))
    underlay = plugged(laptop, printer)

    assert underlay.answering(laptop, printer.addresses[0]) is printer
    assert underlay.observed(laptop, printer) == laptop.addresses[0]
    assert underlay.delay(laptop, printer) < underlay.delay(laptop, Machine("far", 3, (INTERNET,)))


def test_one_address_leads_to_another_machine_in_another_home() -> None:
    laptop, stranger = Machine("laptop", 1, (HOME,)), Machine("stranger", 1, (OTHER_HOME,))
    desk = Machine("desk", 2, (OTHER_HOME,))
    underlay = plugged(laptop, stranger, desk)

    assert laptop.addresses == stranger.addresses
    assert underlay.answering(desk, laptop.addresses[0]) is stranger


def test_an_island_reaches_the_rest_only_by_a_machine_with_a_foot_in_both() -> None:
    server, bridge = Machine("server", 1, (INTERNET,)), Machine("bridge", 2, (INTERNET, ISLAND))
    settler = Machine("settler", 3, (ISLAND,))
    underlay = plugged(server, bridge, settler)

    assert underlay.answering(settler, server.addresses[0]) is None
    assert underlay.answering(settler, bridge.addresses[1]) is bridge
    assert underlay.answering(bridge, server.addresses[0]) is server


def test_a_machine_that_moves_is_found_at_its_new_address_only() -> None:
    server, laptop = Machine("server", 1, (INTERNET,)), Machine("laptop", 2, (INTERNET,))
    underlay = plugged(server, laptop)
    (before,) = laptop.addresses
    laptop.move((INTERNET,))
    underlay.renumbered()

    assert underlay.answering(server, before) is None
    assert underlay.answering(server, laptop.addresses[0]) is laptop


def test_a_partition_cuts_both_ways_and_a_cut_one() -> None:
    one, other, third = (Machine(name, number, (INTERNET,)) for number, name in enumerate("abc"))
    underlay = plugged(one, other, third)
    underlay.part([[one]])
    underlay.cut(other, third)

    carried = [(a.name, b.name) for a in (one, other, third) for b in (one, other, third) if underlay.carries(a, b)]
    assert carried == [("a", "a"), ("b", "b"), ("c", "b"), ("c", "c")]
    underlay.heal()
    assert underlay.carries(one, other)
    assert underlay.carries(other, third)


@pytest.mark.parametrize(("ours", "theirs", "both"), [(0.0, 0.0, 0.0), (0.1, 0.0, 0.1), (0.5, 0.5, 0.75)])
def test_losses_at_both_ends_add_up(ours: float, theirs: float, both: float) -> None:
    one, other = Machine("a", 1, (INTERNET,), loss=ours), Machine("b", 2, (INTERNET,), loss=theirs)

    assert Underlay.loss(one, other) == pytest.approx(both)
