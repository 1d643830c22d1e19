"""The networks below: who can dial whom, through which NATs, and what a cut cuts."""

from dataclasses import replace

import pytest

from tests.sim.nat import FULL_CONE, PORT_RESTRICTED, SYMMETRIC, Kind
from tests.sim.underlay import Carrier, Machine, Segment, Underlay
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
    assert underlay.leaves(server, laptop.addresses[0], 0.0) is None


def test_machines_at_one_home_see_each_other_where_they_are() -> None:
    laptop, printer = Machine("laptop", 1, (HOME,)), Machine("printer", 2, (HOME,))
    underlay = plugged(laptop, printer)

    assert underlay.answering(laptop, printer.addresses[0]) is printer
    assert underlay.seen(laptop, printer.addresses[0], printer, 0.0) == laptop.addresses[0]
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


# NATs


def home(name: str, kind: Kind, carrier: Carrier | None = None) -> Segment:
    return Segment(name, "192.168", nat=kind, carrier=carrier)


@pytest.mark.parametrize(("kind", "strangers"), [(FULL_CONE, True), (PORT_RESTRICTED, False), (SYMMETRIC, False)])
def test_a_machine_at_home_is_seen_at_its_nat_and_dialled_there_by_whom_that_lets_in(
    kind: Kind, strangers: bool
) -> None:
    server, stranger = Machine("server", 1, (INTERNET,)), Machine("stranger", 2, (INTERNET,))
    laptop = Machine("laptop", 3, (home("home", kind),))
    underlay = plugged(server, stranger, laptop)
    seen = underlay.seen(laptop, server.addresses[0], server, 0.0)

    assert seen.startswith("203.0.113.1:")
    assert underlay.seen(server, seen, laptop, 0.1) == server.addresses[0]
    assert bool(underlay.seen(stranger, seen, laptop, 0.1)) is strangers
    assert underlay.answering(stranger, seen) is None


def test_what_comes_in_by_a_nat_goes_to_who_is_behind_it_not_to_its_namesake_elsewhere() -> None:
    server = Machine("server", 1, (INTERNET,))
    laptop, namesake = (Machine(name, 2, (home(name, FULL_CONE),)) for name in ("laptop", "namesake"))
    underlay = plugged(server, laptop, namesake)
    places = [underlay.seen(each, server.addresses[0], server, 0.0) for each in (laptop, namesake)]

    assert laptop.addresses == namesake.addresses
    flights = [underlay.leaves(server, place, 0.1) for place in places]
    assert [flight.target for flight in flights if flight] == [laptop, namesake]


def test_what_arrives_after_its_mapping_is_over_is_not_let_in() -> None:
    server, laptop = Machine("server", 1, (INTERNET,)), Machine("laptop", 2, (home("home", FULL_CONE),))
    underlay = plugged(server, laptop)
    flight = underlay.leaves(server, underlay.seen(laptop, server.addresses[0], server, 0.0), FULL_CONE.expiry - 0.1)

    assert flight is not None
    assert underlay.enters(flight, FULL_CONE.expiry - 0.05)
    assert not underlay.enters(flight, FULL_CONE.expiry + 0.05)


def test_two_nats_in_a_row_must_both_let_in() -> None:
    server, stranger = Machine("server", 1, (INTERNET,)), Machine("stranger", 2, (INTERNET,))
    carriers = [Carrier("open carrier", FULL_CONE), Carrier("strict carrier", PORT_RESTRICTED)]
    kinds = [FULL_CONE, PORT_RESTRICTED]
    laptops = [
        Machine(f"{at} {beyond.name}", 3, (home(f"{at} {beyond.name}", kind, beyond),))
        for beyond in carriers
        for at, kind in enumerate(kinds)
    ]
    underlay = plugged(server, stranger, *laptops)
    places = [underlay.seen(each, server.addresses[0], server, 0.0) for each in laptops]

    assert all(underlay.seen(server, place, each, 0.1) for place, each in zip(places, laptops, strict=True))
    let_in = [bool(underlay.seen(stranger, place, each, 0.1)) for place, each in zip(places, laptops, strict=True)]
    assert let_in == [True, False, False, False]
    assert len({place.partition(":")[0] for place in places}) == len(carriers)


@pytest.mark.parametrize("hairpin", [True, False])
def test_two_homes_of_one_carrier_meet_at_its_outer_address_if_it_leads_back(hairpin: bool) -> None:
    server = Machine("server", 1, (INTERNET,))
    carrier = Carrier("carrier", replace(FULL_CONE, hairpin=hairpin))
    one, other = (Machine(name, 2, (home(name, FULL_CONE, carrier),)) for name in ("one", "other"))
    underlay = plugged(server, one, other)
    ours, theirs = (underlay.seen(each, server.addresses[0], server, 0.0) for each in (one, other))

    assert underlay.seen(one, theirs, other, 0.1) == (ours if hairpin else "")


def test_a_nat_that_reboots_leaves_nobody_where_they_were() -> None:
    server, laptop = Machine("server", 1, (INTERNET,)), Machine("laptop", 2, (home("home", FULL_CONE),))
    underlay = plugged(server, laptop)
    before = underlay.seen(laptop, server.addresses[0], server, 0.0)
    underlay.reboot("home")

    assert underlay.leaves(server, before, 0.1) is None
    assert underlay.seen(laptop, server.addresses[0], server, 0.1) not in ("", before)
