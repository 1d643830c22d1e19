"""Statements: only what CA or scribe signed counts, the higher number stays, everything travels as signed."""

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.effects import (
    ERROR,
    WARNING,
    Effect,
    Log,
    Store,
    StoreConfig,
    StoreRevocation,
    StoreRoles,
    TrustChanged,
)
from pulse.core.messages import MESSAGE_LIMIT, Item, ObjectKind, encode, pack
from pulse.core.network import statements as module
from pulse.core.network.netconfig import Config, Settings, SignedConfig, first_config, named, read_offer, sign_config
from pulse.core.network.statements import NO_FLOORS, Statements, packed
from pulse.core.trust.identity import public_bytes
from pulse.core.trust.join import Floors
from pulse.core.trust.members import Naming
from pulse.core.trust.revocation import Revocation, sign_revocation
from pulse.core.trust.roles import Roles, SignedRoles, sign_roles
from pulse.core.trust.signed import Forged
from pulse.core.types import NodeId
from pulse.errors import ProtocolError, Refused
from tests.authority import MESH, NOW, Ca, key, node

CA, FOREIGN = Ca(), Ca("other ca")
SCRIBE, CA_NODE, VICTIM = node("scribe"), node("ca node"), node("victim")
FIRST = first_config(CA.network, MESH, CA.key)


def statements(floors: Floors = NO_FLOORS) -> Statements:
    """A node that knows the scribe's certificate and nothing else, but what it was told at join."""
    keys = {SCRIBE: public_bytes(key("scribe"))}
    return Statements(CA.chain, lambda: frozenset({CA_NODE}), keys.get, floors)


def roles(epoch: int, *, scribe_epoch: int = 1, scribe: NodeId | None = SCRIBE, by: Ca = CA) -> SignedRoles:
    return sign_roles(by.network, Roles(epoch, scribe, scribe_epoch if scribe else 0), by.key)


def config(scribe_epoch: int, generation: int, *, by: str = "scribe", cidr: str = str(MESH)) -> SignedConfig:
    return sign_config(CA.network, Config(scribe_epoch, generation, Settings(cidr)), key(by))


def revocation(who: NodeId = VICTIM, *, by: Ca = CA) -> Revocation:
    return sign_revocation(by.network, who, by.key, time=NOW)


def scribes_revocation(who: NodeId = VICTIM, scribe_epoch: int = 1, by: str = "scribe") -> Revocation:
    return sign_revocation(CA.network, who, key(by), scribe_epoch=scribe_epoch, time=NOW)


def tell(held: Statements, *objects: SignedRoles | SignedConfig | Revocation) -> list[Effect]:
    """Tell the objects one after the other; what the last one caused."""
    effects: list[Effect] = []
    for each in objects:
        effects = held.object_received(each.data[0], each.data)
    return effects


def kinds(effects: list[Effect]) -> list[type[Effect]]:
    return [type(effect) for effect in effects]


def alarms(effects: list[Effect]) -> list[str]:
    return [effect.event for effect in effects if isinstance(effect, Log) and effect.level == ERROR]


# Roles


def test_before_anything_came_nobody_has_a_role_and_nobody_is_out() -> None:
    held = statements()

    assert held.roles == Roles()
    assert held.config is None
    assert held.revoked() == frozenset()
    assert held.held() == []


def test_roles_of_the_ca_come_into_force_and_are_kept_as_signed() -> None:
    held, signed = statements(), roles(1)
    effects = tell(held, signed)

    assert held.roles == signed.roles
    assert effects[0] == StoreRoles(1, signed.data)
    assert kinds(effects) == [StoreRoles, TrustChanged, Log]


@pytest.mark.parametrize("epoch", [1, 2])
def test_roles_of_the_same_or_an_older_epoch_change_nothing(epoch: int) -> None:
    held = statements()

    assert tell(held, roles(2), roles(epoch)) == []
    assert held.roles.epoch == 2


def test_two_roles_under_one_epoch_are_an_alarm_and_all_nodes_keep_the_same() -> None:
    one, other = roles(3), roles(3, scribe=None)
    ours, theirs = statements(), statements()

    assert alarms(tell(ours, one, other))
    assert alarms(tell(theirs, other, one))
    assert ours.roles == theirs.roles


def test_roles_of_a_foreign_ca_are_refused() -> None:
    held = statements()
    with pytest.raises(Refused, match="not signed by anyone entitled"):
        held.object_received(ObjectKind.ROLES, roles(1, by=FOREIGN).data)
    assert held.roles == Roles()


def test_roles_cannot_pass_as_a_revocation() -> None:
    with pytest.raises(ProtocolError, match="kind"):
        statements().object_received(ObjectKind.REVOCATION, roles(1).data)


@pytest.mark.parametrize("kind", [ObjectKind.CERTIFICATE, 77])
def test_objects_of_kinds_not_handled_here_are_skipped(kind: int) -> None:
    assert kinds(statements().object_received(kind, b"whatever")) == [Log]


def test_roles_older_than_those_at_join_are_refused() -> None:
    held = statements(Floors(roles_epoch=3))
    with pytest.raises(Refused, match="at join"):
        tell(held, roles(2))
    assert held.roles == Roles()

    tell(held, roles(3))
    assert held.roles.epoch == 3


# Config


def test_no_config_is_in_force_before_one_came() -> None:
    held = statements()
    assert not held.in_force

    tell(held, FIRST)
    assert held.in_force


def test_a_config_older_than_the_one_at_join_is_not_in_force() -> None:
    held = statements(Floors(roles_epoch=1, scribe_epoch=1, generation=2))
    tell(held, roles(1), FIRST)
    assert not held.in_force

    tell(held, config(1, 1))
    assert not held.in_force

    tell(held, config(1, 2))
    assert held.in_force


def test_the_first_config_is_the_cas() -> None:
    held = statements()

    effects = tell(held, FIRST)

    assert effects[0] == StoreConfig(0, 1, FIRST.data)
    assert kinds(effects) == [StoreConfig, Log]
    assert held.config == FIRST


def test_the_scribes_config_replaces_the_cas_and_a_newer_one_that() -> None:
    held, newest = statements(), config(1, 2)
    tell(held, roles(1), FIRST, config(1, 1), newest)

    assert held.config == newest
    assert tell(held, config(1, 1)) == []
    assert held.config == newest


def test_a_config_by_somebody_else_than_the_scribe_is_refused() -> None:
    held = statements()
    tell(held, roles(1))
    with pytest.raises(Refused):
        tell(held, config(1, 1, by="mallory"))
    assert held.config is None


def test_a_config_of_a_scribe_whose_certificate_is_unknown_is_refused() -> None:
    held = statements()
    tell(held, roles(1, scribe=node("unknown")))
    with pytest.raises(Refused):
        tell(held, config(1, 1, by="unknown"))


def test_a_config_of_a_replaced_scribe_is_refused() -> None:
    held = statements()
    tell(held, roles(1), roles(2, scribe_epoch=2))
    with pytest.raises(Refused, match="epoch 2"):
        tell(held, config(1, 5))


def test_two_configs_under_one_number_are_an_alarm_and_all_nodes_keep_the_same() -> None:
    one, other = config(1, 1), config(1, 1, cidr="10.101.0.0/16")
    ours, theirs = statements(), statements()

    assert alarms(tell(ours, roles(1), one, other))
    assert alarms(tell(theirs, roles(1), other, one))
    assert ours.config == theirs.config


# Revocations


def test_a_node_the_ca_revoked_is_out() -> None:
    held = statements()

    effects = tell(held, revocation())

    assert effects[0] == StoreRevocation(VICTIM, revocation().data)
    assert kinds(effects) == [StoreRevocation, TrustChanged, Log]
    assert held.revoked() == {VICTIM}
    assert tell(held, revocation()) == []


def test_a_revocation_by_a_foreign_ca_is_refused() -> None:
    held = statements()
    with pytest.raises(Refused):
        tell(held, revocation(by=FOREIGN))
    assert held.revoked() == frozenset()


def test_a_scribe_revokes_while_the_roles_name_it() -> None:
    held = statements()
    tell(held, roles(1), scribes_revocation())
    assert held.revoked() == {VICTIM}

    effects = tell(held, roles(2, scribe_epoch=2))
    assert held.revoked() == frozenset()
    assert StoreRevocation(VICTIM, None) in effects


def test_what_a_stolen_scribe_signed_ahead_comes_to_nothing_when_it_is_replaced() -> None:
    held = statements()
    tell(held, roles(1))
    for epoch in (2, 2**53 - 1):
        with pytest.raises(Refused, match=f"of scribe epoch {epoch}, not of 1"):
            tell(held, scribes_revocation(scribe_epoch=epoch))

    tell(held, roles(2, scribe_epoch=2))
    assert held.revoked() == frozenset()
    tell(held, scribes_revocation(scribe_epoch=2))
    assert held.revoked() == {VICTIM}


def test_a_scribe_cannot_revoke_the_cas_own_node() -> None:
    held = statements()
    with pytest.raises(Refused, match="cannot revoke the CA's node"):
        tell(held, roles(1), scribes_revocation(CA_NODE))
    assert held.revoked() == frozenset()


# Disk


@pytest.mark.parametrize("signed", [roles(1), FIRST, revocation()], ids=["roles", "config", "revocation"])
def test_what_was_on_disk_counts_but_is_not_written_again(signed: SignedRoles | SignedConfig | Revocation) -> None:
    held = statements()
    effects = held.restored(ObjectKind(signed.data[0]), signed.data)

    assert effects
    assert not any(isinstance(effect, Store) for effect in effects)
    assert len(held.held()) == 1


def test_what_counts_no_more_is_left_out_with_a_warning() -> None:
    (log,) = statements().restored(ObjectKind.ROLES, roles(1, by=FOREIGN).data)

    assert isinstance(log, Log)
    assert (log.event, log.level, log.fields["kind"]) == ("stored object left out", WARNING, "roles")


def test_a_damaged_object_on_disk_is_left_out() -> None:
    data = revocation().data

    assert kinds(statements().restored(ObjectKind.REVOCATION, data[:40])) == [Log]


# Telling others


def test_a_newcomer_that_is_told_all_and_fetches_the_config_holds_the_same() -> None:
    held, newcomer = statements(), statements()
    tell(held, roles(4), FIRST, config(1, 7), revocation(), scribes_revocation(node("second")))

    *told, offer = held.held()
    for item in told:
        newcomer.object_received(item.kind, item.data)
    assert read_offer(offer.data) == config(1, 7).offer
    tell(newcomer, config(1, 7))

    assert newcomer.held() == held.held()


def test_a_revocation_that_counts_no_more_is_not_told() -> None:
    held = statements()
    tell(held, roles(1), scribes_revocation(), roles(2, scribe_epoch=2))

    assert [item.kind for item in held.held()] == [ObjectKind.ROLES]


@given(count=st.integers(0, 40), room=st.integers(200, 2000))
def test_however_much_there_is_each_message_is_of_bounded_size_and_nothing_is_lost(count: int, room: int) -> None:
    items = [Item(ObjectKind.REVOCATION, revocation(node(str(number))).data) for number in range(count)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BATCH", room)
        messages = packed(items)

    assert [item for message in messages for item in message.items] == items
    assert all(len(encode(message)) <= room + 16 for message in messages)


def test_a_thousand_revocations_fit_into_messages() -> None:
    messages = packed([Item(ObjectKind.REVOCATION, revocation().data)] * 1000)

    assert sum(len(message.items) for message in messages) == 1000
    assert all(len(encode(message)) <= MESSAGE_LIMIT for message in messages)


def test_a_neighbour_is_told_exact_bytes_rights_before_their_use_and_the_config_only_by_its_number() -> None:
    held = statements()
    tell(held, roles(1), config(1, 1), scribes_revocation())

    offer = pack(config(1, 1).offer)
    assert [item.data for item in held.held()] == [roles(1).data, scribes_revocation().data, offer]
    assert held.revocations() == (scribes_revocation(),)


def test_exact_bytes_that_are_held_need_no_second_look() -> None:
    held, given = statements(), (roles(1), config(1, 1), revocation())
    assert not any(held.holds(each.data[0], each.data) for each in given)

    tell(held, *given)
    assert all(held.holds(each.data[0], each.data) for each in given)
    assert not held.holds(ObjectKind.CERTIFICATE, b"der")


def test_the_scribes_key_in_the_roles_goes_before_its_certificate() -> None:
    held = Statements(CA.chain, frozenset, lambda _: None)
    keyed = Roles(1, SCRIBE, 1, scribe_key=public_bytes(key("scribe")))
    tell(held, sign_roles(CA.network, keyed, CA.key), config(1, 1), scribes_revocation())

    assert held.config == config(1, 1)
    assert held.revoked() == {VICTIM}


@pytest.mark.parametrize("signed", [config(1, 1, by="mallory"), revocation(by=FOREIGN)], ids=["config", "revocation"])
def test_what_nobody_honest_passes_on_is_told_from_what_does_not_count(signed: SignedConfig | Revocation) -> None:
    held = statements()
    tell(held, roles(1))
    with pytest.raises(Forged):
        tell(held, signed)


@pytest.mark.parametrize("signed", [config(2, 1, by="next"), scribes_revocation(by="next", scribe_epoch=2)])
def test_the_word_of_a_scribe_whose_roles_we_do_not_hold_is_only_refused(signed: SignedConfig | Revocation) -> None:
    held = statements()
    tell(held, roles(1))
    with pytest.raises(Refused, match="scribe epoch 2 cannot be judged") as refused:
        tell(held, signed)
    assert not isinstance(refused.value, Forged)


def test_the_config_in_force_names_the_nodes() -> None:
    held = statements()
    assert held.naming() == Naming()

    wanted = named(Config(1, 1, Settings(str(MESH))), Naming({VICTIM: "web"}))
    tell(held, roles(1), sign_config(CA.network, wanted, key("scribe")))
    assert held.naming() == Naming({VICTIM: "web"})


def test_the_mesh_range_is_that_of_the_config() -> None:
    held = statements()
    assert held.mesh_cidr() is None

    tell(held, roles(1), FIRST, config(1, 1, cidr="10.101.0.0/16"))
    assert held.mesh_cidr() == IPv4Network("10.101.0.0/16")


def test_who_joins_now_is_told_the_newest_numbers() -> None:
    held = statements()
    assert held.newest() == NO_FLOORS

    tell(held, roles(3), config(1, 9))
    assert held.newest() == Floors(roles_epoch=3, scribe_epoch=1, generation=9)
