"""Sharing: what is false reaches nobody, and whoever told it loses the link; what is merely of no use does not."""

import pytest

from pulse.core.messages import Item, ObjectKind
from pulse.core.network import sharing as module
from pulse.core.network.netconfig import first_config
from pulse.core.trust.revocation import sign_revocation
from pulse.core.trust.roles import Roles, sign_roles
from pulse.core.types import LinkId
from tests.authority import MESH, NOW, key
from tests.core.network.sharers import (
    ALICE,
    BOB,
    CA,
    CAROL,
    FOREIGN,
    ROLES,
    SCRIBE,
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

HUGE = b"\xcf" + (2**63 - 1).to_bytes(8)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


FORGED = {
    "roles of another CA": item(sign_roles(FOREIGN.network, ROLES.roles, FOREIGN.key)),
    "roles with a flipped bit": Item(ObjectKind.ROLES, flipped(ROLES.data, 80)),
    "roles cut short": Item(ObjectKind.ROLES, ROLES.data[:50]),
    "a revocation in the CA's name": item(sign_revocation(CA.network, BOB, key("mallory"), time=NOW)),
    "a revocation in the scribe's name": item(scribes_out("bob", by="mallory")),
    "a revocation by the scribe in the CA's name": item(sign_revocation(CA.network, BOB, key("scribe"), time=NOW)),
    "a revocation of another network": item(out("bob", FOREIGN)),
    "a config with a flipped bit": Item(ObjectKind.CONFIG, flipped(config(6).data, 100)),
    "an offer that is none": Item(ObjectKind.CONFIG_OFFER, b"\x93\x01\x02\x03"),
    "an offer out of range": Item(ObjectKind.CONFIG_OFFER, b"\x93\x01" + HUGE + b"\xc4\x20" + bytes(32)),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_whoever_tells_what_nobody_honest_passes_on_loses_the_link_and_changes_nothing(ruled: Here, name: str) -> None:
    before = ruled.statements.held()
    ruled.hears(TO_ALICE, FORGED[name], item(out("never read")))

    assert ruled.closed() == [TO_ALICE]
    assert ruled.logged() == ["neighbour broke the protocol"]
    assert ruled.told() == {}
    assert ruled.statements.held() == before

    ruled.hears(TO_ALICE, item(out("mallory")))
    assert ruled.did == []


def test_what_came_before_a_forged_object_is_passed_on_still(here: Here) -> None:
    here.hears(TO_ALICE, item(out("mallory")), FORGED["roles cut short"])

    assert here.told() == {TO_BOB: [item(out("mallory"))]}
    assert here.closed() == [TO_ALICE]


CONFIGS = {
    "replayed": (config(4).data, False),
    "of another network": (first_config(FOREIGN.network, MESH, FOREIGN.key).data, True),
    "of another scribe": (config(6, by="mallory").data, True),
    "cut short": (config(6).data[:70], True),
    "with a flipped bit": (flipped(config(6).data, 70), True),
    "of a scribe before": (config(9, epoch=2).data, False),
    "of a generation out of range": (
        config(6).data.replace(b"\x01\x06", b"\x01" + HUGE, 1),
        True,
    ),
    "nothing at all": (b"", True),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_fetched_config_that_does_not_count_changes_nothing_and_the_next_node_is_asked(
    ruled: Here, name: str
) -> None:
    data, forged = CONFIGS[name]
    ruled.hears(TO_ALICE, offer(config(7)))
    ruled.hears(TO_BOB, offer(config(7)))
    ruled.fetched(ALICE, data)

    assert ruled.statements.config == config(5)
    assert ruled.closed() == ([TO_ALICE] if forged else [])
    assert ruled.asked() == [BOB]


def test_the_word_of_a_scribe_we_do_not_know_of_is_refused_but_is_nobodys_fault(ruled: Here) -> None:
    ruled.hears(TO_ALICE, item(scribes_out("bob", epoch=2, by="next scribe")))
    assert (ruled.closed(), ruled.logged()) == ([], ["signed object refused"])
    assert ruled.statements.revoked() == frozenset()

    ruled.hears(TO_ALICE, item(scribes_out("carol", epoch=2, by="next scribe")))
    assert ruled.did == []


def test_a_scribe_without_a_known_key_cannot_be_judged(here: Here) -> None:
    here.hears(TO_ALICE, item(sign_roles(CA.network, Roles(1, SCRIBE, 1), CA.key)), item(scribes_out("bob")))

    assert (here.closed(), here.statements.revoked()) == ([], frozenset())


def test_a_flood_of_objects_closes_the_link(ruled: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "USELESS_BURST", 10)
    ruled.links(TO_CAROL, CAROL)
    for _ in range(2048 // 64):
        ruled.hears(TO_CAROL, *[item(ROLES)] * 64)
        if ruled.closed():
            break

    assert ruled.closed() == [TO_CAROL]


def test_who_dials_anew_goes_on_with_what_is_left(ruled: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each object of a scribe we do not know costs a look at its signature."""
    monkeypatch.setattr(module, "USELESS_BURST", 10)
    unknown = [item(scribes_out(str(number), epoch=2, by="next scribe")) for number in range(6)]
    ruled.links(TO_CAROL, CAROL)
    ruled.hears(TO_CAROL, *unknown)
    assert ruled.closed() == []

    ruled.parts(TO_CAROL)
    ruled.links(TO_CAROL, CAROL)
    ruled.hears(TO_CAROL, *unknown)
    assert ruled.closed() == []
    for _ in range(3):
        ruled.parts(TO_CAROL)
        ruled.links(TO_CAROL, CAROL)
        ruled.hears(TO_CAROL, *unknown)
    assert ruled.closed() == [TO_CAROL]


def test_an_honest_link_that_flaps_is_no_flood(ruled: Here) -> None:
    revoked = [item(out(str(number))) for number in range(500)]
    ruled.hears(TO_ALICE, *revoked)
    for link in range(100, 160):
        ruled.links(LinkId(link), CAROL)
        ruled.hears(LinkId(link), item(ROLES), *revoked, offer(config(5)))
        assert not ruled.closed()
        ruled.parts(LinkId(link))


def test_news_is_no_flood(here: Here) -> None:
    for number in range(2100):
        here.hears(TO_ALICE, item(out(str(number))))
        assert not here.closed()


def test_who_repeats_itself_slowly_keeps_its_link(ruled: Here) -> None:
    for _ in range(5000):
        ruled.now += 0.1
        ruled.hears(TO_ALICE, item(ROLES), offer(config(5)))
        assert not ruled.closed()
