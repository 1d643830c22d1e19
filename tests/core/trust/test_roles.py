"""Roles: the CA's word only, and a higher epoch replaces the object whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.messages import ObjectKind, Wire, pack
from pulse.core.trust.identity import public_bytes
from pulse.core.trust.roles import Role, Roles, compare_roles, open_roles, sign_roles
from pulse.core.trust.signed import Comparison, seal
from pulse.core.types import NodeId
from pulse.errors import NotFound, ProtocolError, Refused
from tests.authority import Ca, key, node

CA = Ca()
ids = st.binary(min_size=32, max_size=32).map(lambda data: NodeId(data.hex()))
all_roles = st.builds(
    Roles,
    epoch=st.integers(0, 2**53 - 1),
    scribe=ids,
    scribe_epoch=st.integers(1, 2**53 - 1),
    base=st.none() | st.tuples(st.integers(0, 9), st.integers(0, 9), st.binary(min_size=32, max_size=32)),
    operators=st.frozensets(ids, max_size=5),
)


class Payload(Wire, frozen=True):
    """A roles object's payload with any values in it."""

    epoch: int
    scribe: bytes | None
    scribe_epoch: int
    operators: list[bytes]


class KeyedPayload(Payload, frozen=True):
    """The same with a key."""

    scribe_key: bytes


@given(all_roles)
def test_roles_come_back_as_they_were_signed(roles: Roles) -> None:
    signed = sign_roles(CA.network, roles, CA.key)
    assert open_roles(signed.data, CA.network, [CA.authority]) == signed


def test_nobody_has_a_role_at_first() -> None:
    signed = sign_roles(CA.network, Roles(), CA.key)
    assert open_roles(signed.data, CA.network, [CA.authority]).roles == Roles()


def test_roles_carry_the_scribes_key() -> None:
    signed = sign_roles(CA.network, Roles(2, node("a"), 1, scribe_key=public_bytes(key("a"))), CA.key)
    assert open_roles(signed.data, CA.network, [CA.authority]) == signed


def test_roles_of_a_release_without_the_key_are_read() -> None:
    payload = pack(Payload(1, bytes(32), 1, []))
    signed = open_roles(seal(ObjectKind.ROLES, CA.network, payload, CA.key), CA.network, [CA.authority])
    assert signed.roles == Roles(1, NodeId("0" * 64), 1)


@pytest.mark.parametrize("scribe", ["b", None])
def test_a_key_that_is_not_the_scribes_is_neither_signed_nor_read(scribe: str | None) -> None:
    named = None if scribe is None else node(scribe)
    with pytest.raises(Refused, match="not its scribe's"):
        sign_roles(CA.network, Roles(1, named, 1 if named else 0, scribe_key=public_bytes(key("a"))), CA.key)
    payload = KeyedPayload(1, bytes.fromhex(named) if named else None, 1 if named else 0, [], public_bytes(key("a")))
    with pytest.raises(Refused, match="not its scribe's"):
        open_roles(seal(ObjectKind.ROLES, CA.network, pack(payload), CA.key), CA.network, [CA.authority])


def test_only_the_ca_gives_roles() -> None:
    forged = sign_roles(CA.network, Roles(5, node("evil"), 1), key("evil"))
    with pytest.raises(Refused, match="not signed by anyone entitled"):
        open_roles(forged.data, CA.network, [CA.authority])


@pytest.mark.parametrize(
    "payload",
    [
        Payload(1, None, 1, []),
        Payload(1, bytes(32), 0, []),
    ],
)
def test_a_scribe_and_its_epoch_come_together(payload: Payload) -> None:
    with pytest.raises(Refused, match="epoch"):
        open_roles(seal(ObjectKind.ROLES, CA.network, pack(payload), CA.key), CA.network, [CA.authority])


@pytest.mark.parametrize(
    "payload",
    [
        Payload(2**63 - 1, None, 0, []),
        Payload(-1, None, 0, []),
        Payload(1, bytes(31), 1, []),
        Payload(1, None, 0, [bytes(32)] * 257),
    ],
)
def test_numbers_and_lists_out_of_bounds_are_a_protocol_error(payload: Payload) -> None:
    with pytest.raises(ProtocolError):
        open_roles(seal(ObjectKind.ROLES, CA.network, pack(payload), CA.key), CA.network, [CA.authority])


def test_too_many_operators_are_not_signed() -> None:
    with pytest.raises(Refused, match="256 are allowed"):
        sign_roles(CA.network, Roles(1, operators=frozenset(node(f"n{number}") for number in range(257))), CA.key)


def test_the_higher_epoch_wins_and_equal_epochs_are_an_alarm() -> None:
    first, second, other = (
        sign_roles(CA.network, roles, CA.key) for roles in (Roles(1), Roles(2), Roles(2, node("a"), 1))
    )
    assert compare_roles(first, second) is Comparison.NEWER
    assert compare_roles(second, first) is Comparison.OLDER
    assert compare_roles(second, second) is Comparison.SAME
    assert compare_roles(second, other).is_alarm
    assert compare_roles(second, other).takes_theirs is not compare_roles(other, second).takes_theirs


# Giving and taking


def test_an_operator_is_added_and_taken_and_the_scribe_stays() -> None:
    before = Roles(2, node("a"), 1, scribe_key=public_bytes(key("a")))
    given = before.granted(node("b"), Role.OPERATOR, public_bytes(key("b")))

    assert given == Roles(3, node("a"), 1, frozenset({node("b")}), public_bytes(key("a")))
    assert given.granted(node("b"), Role.OPERATOR, public_bytes(key("b"))) is given
    assert given.ungranted(node("b"), Role.OPERATOR) == Roles(4, node("a"), 1, scribe_key=public_bytes(key("a")))


def test_a_new_scribe_takes_the_place_of_the_old_one_under_an_epoch_of_its_own() -> None:
    before = Roles(2, node("a"), 1, frozenset({node("c")}), public_bytes(key("a")))
    after = before.granted(node("b"), Role.SCRIBE, public_bytes(key("b")), (1, 7, b"c" * 32))

    assert after == Roles(3, node("b"), 2, frozenset({node("c")}), public_bytes(key("b")), (1, 7, b"c" * 32))
    assert after.granted(node("b"), Role.SCRIBE, public_bytes(key("b"))) is after


def test_the_scribe_is_replaced_and_never_taken_away() -> None:
    roles = Roles(2, node("a"), 1, scribe_key=public_bytes(key("a")))
    with pytest.raises(Refused, match="pulse ca grant <node> scribe"):
        roles.ungranted(node("a"), Role.SCRIBE)


@pytest.mark.parametrize("role", Role)
def test_a_role_that_is_not_there_cannot_be_taken(role: Role) -> None:
    with pytest.raises(NotFound, match=f"has not got the role of {role}"):
        Roles().ungranted(node("a"), role)


def test_the_scribe_operators_and_the_ca_edit_and_nobody_else() -> None:
    roles = Roles(2, node("a"), 1, frozenset({node("b")}), public_bytes(key("a")))
    able = [name for name in "abcd" if roles.may_edit(node(name), {node("c")})]
    assert able == ["a", "b", "c"]


def test_who_is_neither_scribe_nor_operator_nor_ca_is_told_who_makes_it_one() -> None:
    roles = Roles(1, node("scribe"), 1, frozenset({node("operator")}))
    for each in ("scribe", "operator", "ca"):
        roles.check_editor(node(each), {node("ca")}, each, "so it is told nothing.")
    told = rf"^cam is no operator, so it is told nothing\.\nMake it one, on the CA: pulse ca grant {node('cam')[:12]}"
    with pytest.raises(Refused, match=told):
        roles.check_editor(node("cam"), {node("ca")}, "cam", "so it is told nothing.")
