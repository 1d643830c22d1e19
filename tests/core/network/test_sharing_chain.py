"""Sharing: statements about CA keys go from neighbour to neighbour, and those that fit nowhere cost nobody a link."""

from pulse.core.messages import Item, ObjectKind
from pulse.core.trust.authorities import sign_retirement, sign_succession
from pulse.core.trust.ca import make_authority
from pulse.core.trust.roles import Roles, sign_roles
from tests.authority import NOW, key
from tests.core.network.sharers import ALICE, CA, CAROL, TO_ALICE, TO_BOB, TO_CAROL, Here, here, item

__all__ = ["here"]

SECOND, THIRD = (make_authority(key(name), "mynet", NOW, 2, CA.network.ca_hash) for name in ("second", "third"))
FIRST_STEP = Item(ObjectKind.SUCCESSION, sign_succession(CA.network, CA.key, SECOND))
NEXT_STEP = Item(ObjectKind.SUCCESSION, sign_succession(CA.network, key("second"), THIRD))
LAST_STEP = Item(ObjectKind.RETIREMENT, sign_retirement(CA.network, SECOND.public_key, key("third")))
ODD = Item(ObjectKind.SUCCESSION, sign_succession(CA.network, CA.key, THIRD))
FALSE = Item(ObjectKind.RETIREMENT, LAST_STEP.data[:2] + bytes(64) + LAST_STEP.data[66:])
BY_THIRD = item(sign_roles(CA.network, Roles(3), key("third")))


def test_several_in_a_row_are_taken_in_and_passed_on_and_told_whoever_comes(here: Here) -> None:
    here.hears(TO_ALICE, FIRST_STEP, NEXT_STEP, LAST_STEP, BY_THIRD)
    assert here.closed() == []
    assert here.statements.authorities == (THIRD,)
    assert here.told() == {TO_BOB: [FIRST_STEP, NEXT_STEP, LAST_STEP, BY_THIRD]}
    here.links(TO_CAROL, CAROL)
    assert here.told()[TO_CAROL] == [FIRST_STEP, NEXT_STEP, LAST_STEP, BY_THIRD]


def test_one_that_fits_nowhere_is_logged_once_a_link_and_the_next_one_is_judged_all_the_same(here: Here) -> None:
    here.hears(TO_ALICE, NEXT_STEP)
    assert (here.closed(), here.logged()) == ([], ["signed object refused"])
    here.hears(TO_ALICE, FIRST_STEP, ODD, NEXT_STEP)
    assert here.closed() == []
    assert here.statements.authorities == (THIRD, SECOND)


def test_a_false_one_costs_its_teller_the_link(here: Here) -> None:
    here.hears(TO_ALICE, FIRST_STEP, NEXT_STEP, FALSE)
    assert here.closed() == [TO_ALICE]
    assert here.statements.authorities == (THIRD, SECOND)


def test_what_comes_otherwise_than_over_a_link_is_passed_on_and_what_does_not_fit_left_out(here: Here) -> None:
    here.did = here.sharing.chain_shown([b"", b"\x63odd", NEXT_STEP.data, FIRST_STEP.data], here.now)
    assert here.logged() == ["statement about CA keys left out", "CA key introduced"]
    assert here.told() == {TO_ALICE: [FIRST_STEP], TO_BOB: [FIRST_STEP]}
    here.links(TO_ALICE, ALICE)
    here.did = here.sharing.chain_shown([FIRST_STEP.data], here.now)
    assert here.did == []
