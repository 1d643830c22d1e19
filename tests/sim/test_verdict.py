"""The reference says of each pair of NATs what the literature says, and what two in a row and hairpinning do to it."""

from dataclasses import replace

import pytest

from tests.sim.nat import ADDRESS_RESTRICTED, FULL_CONE, PORT_RESTRICTED, SYMMETRIC, Depends, Kind
from tests.sim.underlay import Carrier, Machine, Segment
from tests.sim.verdict import Direct, between
from tests.sim.world import INTERNET

MUST, MAY, CANNOT = Direct.MUST, Direct.MAY, Direct.CANNOT
LOOSE = Kind(Depends.PORT, Depends.NOTHING)
BY_ADDRESS = Kind(Depends.ADDRESS, Depends.PORT)
ISLAND = Segment("island", "172.16", outlet=False)


def at(*segments: Segment) -> Machine:
    return Machine(segments[0].name, 1, segments)


def home(name: str, kind: Kind, carrier: Carrier | None = None) -> Machine:
    return at(Segment(name, "192.168", nat=kind, carrier=carrier))


@pytest.mark.parametrize(
    ("ours", "theirs", "direct"),
    [
        (FULL_CONE, FULL_CONE, MUST),
        (FULL_CONE, SYMMETRIC, MUST),
        (ADDRESS_RESTRICTED, PORT_RESTRICTED, MUST),
        (ADDRESS_RESTRICTED, SYMMETRIC, MUST),
        (PORT_RESTRICTED, PORT_RESTRICTED, MUST),
        (PORT_RESTRICTED, SYMMETRIC, CANNOT),
        (PORT_RESTRICTED, BY_ADDRESS, CANNOT),
        (PORT_RESTRICTED, LOOSE, CANNOT),
        (SYMMETRIC, SYMMETRIC, CANNOT),
        (SYMMETRIC, BY_ADDRESS, CANNOT),
        (SYMMETRIC, LOOSE, MAY),
        (LOOSE, LOOSE, MAY),
    ],
)
def test_two_homes_meet_as_their_nats_allow(ours: Kind, theirs: Kind, direct: Direct) -> None:
    one, other = home("one", ours), home("other", theirs)

    assert between(one, other) is between(other, one) is direct


@pytest.mark.parametrize("kind", [FULL_CONE, PORT_RESTRICTED, SYMMETRIC, LOOSE])
def test_whoever_is_in_public_or_beside_it_a_machine_at_home_meets(kind: Kind) -> None:
    segment = Segment("home", "192.168", nat=kind)

    assert between(at(segment), at(INTERNET)) is MUST
    assert between(at(segment), at(segment)) is MUST


def test_an_island_meets_only_who_has_a_foot_on_it() -> None:
    assert between(at(ISLAND), at(INTERNET)) is CANNOT
    assert between(at(ISLAND), at(INTERNET, ISLAND)) is MUST


@pytest.mark.parametrize(
    ("own", "carrier", "direct"),
    [
        (FULL_CONE, FULL_CONE, MUST),
        (FULL_CONE, ADDRESS_RESTRICTED, MUST),
        (PORT_RESTRICTED, FULL_CONE, CANNOT),
        (FULL_CONE, PORT_RESTRICTED, CANNOT),
        (SYMMETRIC, FULL_CONE, CANNOT),
        (FULL_CONE, SYMMETRIC, CANNOT),
        # The carrier maps anew for each, but who is let in there is let in at home, which maps once for all.
        (ADDRESS_RESTRICTED, LOOSE, MAY),
        (LOOSE, ADDRESS_RESTRICTED, CANNOT),
    ],
)
def test_of_two_nats_in_a_row_the_stricter_counts(own: Kind, carrier: Kind, direct: Direct) -> None:
    assert between(home("one", own, Carrier("carrier", carrier)), home("other", SYMMETRIC)) is direct


@pytest.mark.parametrize(("hairpin", "direct"), [(True, MUST), (False, CANNOT)])
def test_two_customers_of_one_carrier_meet_if_it_leads_back(hairpin: bool, direct: Direct) -> None:
    carrier = Carrier("carrier", replace(FULL_CONE, hairpin=hairpin))
    one, other = home("one", PORT_RESTRICTED, carrier), home("other", PORT_RESTRICTED, carrier)

    assert between(one, other) is direct


def test_who_shares_an_address_with_others_may_learn_from_them_where_one_comes_from() -> None:
    customer = home("one", PORT_RESTRICTED, Carrier("carrier", FULL_CONE))

    assert between(customer, home("other", BY_ADDRESS)) is MAY
    assert between(customer, home("other", SYMMETRIC)) is CANNOT
