"""Sharing: what is new goes to everybody else at once, and a config is fetched by whoever holds less."""

import pytest

from pulse.core.effects import SendMessage, StoreConfig, StoreRevocation
from pulse.core.messages import Item, ObjectKind, Objects, decode, pack
from pulse.core.network.netconfig import Offer
from pulse.core.network.sharing import FETCHES, GIVE_UP, HEDGE, SETTLE, LinkSettled
from pulse.core.trust.revocation import digest_of
from pulse.core.types import LinkId
from tests.authority import node
from tests.core.network.sharers import (
    ALICE,
    BOB,
    CAROL,
    ROLES,
    TO_ALICE,
    TO_BOB,
    TO_CAROL,
    Here,
    config,
    here,
    item,
    offer,
    out,
    ruled,
    scribes_out,
)

__all__ = ["here", "ruled"]

# Link-up


def test_a_neighbour_is_told_all_we_hold_rights_first_and_the_config_only_by_its_number(ruled: Here) -> None:
    revoked = scribes_out("mallory")
    ruled.hears(TO_BOB, item(revoked))
    ruled.links(TO_CAROL, CAROL)

    assert ruled.told() == {TO_CAROL: [item(ROLES), item(revoked), offer(config(5))]}


def test_the_last_message_says_that_it_is_all(here: Here) -> None:
    for number in range(600):
        here.sharing.object_made(ObjectKind.REVOCATION, out(str(number)).data, here.now)
    here.links(TO_CAROL, CAROL)
    messages = [decode(effect.payload) for effect in here.did if isinstance(effect, SendMessage)]
    complete = [message.complete for message in messages if isinstance(message, Objects)]

    assert complete == [False] * (len(messages) - 1) + [True]
    assert len(messages) > 1


def test_who_holds_nothing_says_so(here: Here) -> None:
    here.links(TO_CAROL, CAROL)

    assert [decode(each.payload) for each in here.did if isinstance(each, SendMessage)] == [Objects([], complete=True)]


# Settling


def test_a_link_between_nodes_that_hold_the_same_is_settled_at_once(here: Here) -> None:
    assert here.sharing.is_settled(TO_ALICE)
    assert not here.sharing.is_settled(TO_CAROL)


def test_a_link_is_settled_when_the_neighbour_has_told_all(here: Here) -> None:
    here.links(TO_CAROL, CAROL, digest_of((BOB, ALICE)))
    here.hears(TO_CAROL, item(out("mallory")))
    assert not here.sharing.is_settled(TO_CAROL)

    here.hears(TO_CAROL, complete=True)
    assert LinkSettled(TO_CAROL) in here.did
    assert here.sharing.is_settled(TO_CAROL)

    here.hears(TO_CAROL, complete=True)
    assert here.did == []


def test_a_neighbour_that_never_tells_all_is_waited_for_two_seconds(here: Here) -> None:
    here.links(TO_CAROL, CAROL, bytes(32))
    assert here.sharing.deadline() == here.now + SETTLE

    here.waits(SETTLE - 0.1)
    assert here.did == []

    here.waits(0.1)
    assert LinkSettled(TO_CAROL) in here.did
    assert here.logged() == ["neighbour did not tell all its revocations"]
    assert here.sharing.deadline() is None


def test_a_link_that_goes_is_waited_for_no_more(here: Here) -> None:
    here.links(TO_CAROL, CAROL, bytes(32))
    here.sharing.link_closed(TO_CAROL, here.now)

    assert here.sharing.deadline() is None
    here.hears(TO_CAROL, item(out("mallory")), complete=True)
    assert here.did == []


# Passing on


def test_what_is_new_goes_to_all_others_at_once_and_never_back(here: Here) -> None:
    here.links(TO_CAROL, CAROL)
    here.hears(TO_ALICE, item(ROLES), item(scribes_out("mallory")))

    assert here.told() == {link: [item(ROLES), item(scribes_out("mallory"))] for link in (TO_BOB, TO_CAROL)}
    assert here.statements.revoked() == {node("mallory")}


def test_what_we_hold_already_is_not_told_again(here: Here) -> None:
    here.hears(TO_ALICE, item(ROLES), item(out("mallory")))
    here.hears(TO_BOB, item(ROLES), item(out("mallory")))

    assert here.did == []


def test_what_this_node_signed_goes_to_everybody(here: Here) -> None:
    here.did = here.sharing.object_made(ObjectKind.ROLES, ROLES.data, here.now)
    assert here.told() == {link: [item(ROLES)] for link in (TO_ALICE, TO_BOB)}

    here.did = here.sharing.object_made(ObjectKind.CONFIG, config(5).data, here.now)
    assert StoreConfig(1, 5, config(5).data) in here.did
    assert here.told() == {link: [offer(config(5))] for link in (TO_ALICE, TO_BOB)}

    here.did = here.sharing.object_made(ObjectKind.CONFIG, config(5).data, here.now)
    assert here.did == []


def test_a_config_an_older_release_sends_whole_is_taken_and_offered_on(here: Here) -> None:
    here.hears(TO_ALICE, item(ROLES), item(config(5)))

    assert here.statements.config == config(5)
    assert here.told() == {TO_BOB: [item(ROLES), offer(config(5))]}


def test_certificates_and_node_records_are_for_others_to_read(here: Here) -> None:
    here.hears(TO_ALICE, Item(ObjectKind.CERTIFICATE, b"der"), Item(ObjectKind.RECORD, b"record"))

    assert here.did == []


def test_a_kind_of_a_later_release_is_skipped_and_logged_once(here: Here) -> None:
    here.hears(TO_ALICE, Item(77, b"one"), Item(77, b"two"))
    assert here.logged() == ["object of an unknown kind skipped"]

    here.hears(TO_ALICE, Item(77, b"three"))
    assert here.did == []


# Fetching


def test_a_higher_config_is_fetched_from_who_offered_it_and_offered_on(ruled: Here) -> None:
    ruled.links(TO_CAROL, CAROL)
    ruled.hears(TO_ALICE, offer(config(6)))
    assert ruled.asked() == [ALICE]

    ruled.fetched(ALICE, config(6).data)
    assert ruled.statements.config == config(6)
    assert ruled.told() == {link: [offer(config(6))] for link in (TO_BOB, TO_CAROL)}


@pytest.mark.parametrize("generation", [4, 5])
def test_a_config_that_is_not_higher_is_not_fetched(ruled: Here, generation: int) -> None:
    ruled.hears(TO_ALICE, offer(config(generation)))

    assert ruled.did == []


def test_who_holds_as_good_a_config_is_not_offered_it(ruled: Here) -> None:
    ruled.hears(TO_BOB, offer(config(6)))
    ruled.hears(TO_ALICE, offer(config(6)))
    ruled.fetched(BOB, config(6).data)

    assert ruled.told() == {}


def test_one_number_is_asked_of_one_node_and_of_the_next_if_it_fails(ruled: Here) -> None:
    ruled.hears(TO_ALICE, offer(config(6)))
    ruled.hears(TO_BOB, offer(config(6)))
    assert ruled.asked() == []

    ruled.fetched(ALICE, None)
    assert ruled.asked() == [BOB]
    assert ruled.logged() == ["network config not fetched"]


def test_a_node_that_does_not_answer_soon_is_not_waited_for(ruled: Here) -> None:
    ruled.hears(TO_ALICE, offer(config(6)))
    ruled.hears(TO_BOB, offer(config(6)))
    assert ruled.sharing.deadline() == ruled.now + HEDGE

    ruled.waits(HEDGE)
    assert ruled.asked() == [BOB]

    ruled.fetched(BOB, config(6).data)
    ruled.fetched(ALICE, config(6).data)
    assert ruled.did == []


def test_a_node_that_never_gives_what_it_offers_is_asked_ever_more_rarely(ruled: Here) -> None:
    ruled.hears(TO_ALICE, offer(config(6)))
    pauses = []
    for _ in range(9):
        ruled.fetched(ALICE, None)
        due = ruled.sharing.deadline()
        assert due is not None
        pauses.append(due - ruled.now)
        ruled.waits(due - ruled.now)
        assert ruled.asked() == [ALICE]

    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]


def test_a_fetch_nobody_tells_the_end_of_is_given_up(ruled: Here) -> None:
    ruled.hears(TO_ALICE, offer(config(6)))
    ruled.waits(GIVE_UP)
    assert ruled.logged() == ["network config not fetched"]

    ruled.waits(1.0)
    assert ruled.asked() == [ALICE]


def test_what_a_lost_neighbour_offered_is_had_from_another(ruled: Here) -> None:
    ruled.hears(TO_ALICE, offer(config(6)))
    ruled.hears(TO_BOB, offer(config(6)))
    ruled.sharing.link_closed(TO_ALICE, ruled.now)
    ruled.waits(HEDGE)

    assert ruled.asked() == [BOB]


def test_an_offer_waits_for_the_roles_that_give_it_its_right(here: Here) -> None:
    here.hears(TO_ALICE, offer(config(5)))
    assert here.asked() == []

    here.hears(TO_BOB, item(ROLES))
    assert here.asked() == [ALICE]


def test_a_liar_who_offers_the_highest_number_delays_nobody_elses(ruled: Here) -> None:
    ruled.hears(TO_ALICE, Item(ObjectKind.CONFIG_OFFER, pack(Offer(1, 2**53 - 1, bytes(32)))))
    ruled.hears(TO_BOB, offer(config(6)))
    assert ruled.asked() == [BOB]


def test_so_many_nodes_are_asked_in_one_second(ruled: Here) -> None:
    for number in range(FETCHES + 1):
        link = LinkId(10 + number)
        ruled.links(link, node(f"n{number}"))
        ruled.hears(link, offer(config(10 + number)))
        assert len(ruled.asked()) == (number < FETCHES)

    ruled.waits(HEDGE)
    assert ruled.asked() == [node(f"n{FETCHES}")]


def test_a_revocation_is_stored_as_it_was_signed(here: Here) -> None:
    here.hears(TO_ALICE, item(out("mallory")))

    assert StoreRevocation(node("mallory"), out("mallory").data) in here.did
