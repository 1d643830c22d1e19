"""Which CA keys count: each is introduced by the one before, and what a retired one signed is no word of the CA's."""

import pytest

from pulse.core.effects import StoreChain
from pulse.core.messages import ObjectKind
from pulse.core.network.netconfig import first_config
from pulse.core.network.statements import Statements
from pulse.core.trust.authorities import sign_retirement, sign_succession
from pulse.core.trust.ca import Issuer, make_authority
from pulse.core.trust.certificates import parse
from pulse.core.trust.renewal import Overdue
from pulse.core.trust.revocation import sign_revocation
from pulse.core.trust.roles import Roles, sign_roles
from pulse.core.trust.signed import Forged
from pulse.errors import Refused
from tests.authority import MESH, NOW, Ca, key, node

CA = Ca()
VICTIM = node("victim")
REVOCATION = sign_revocation(CA.network, VICTIM, CA.key, time=NOW)
SECOND = make_authority(key("second"), "mynet", NOW, 2, CA.network.ca_hash)
INTRODUCED = sign_succession(CA.network, CA.key, SECOND)
RETIRED = sign_retirement(CA.network, CA.authority.public_key, key("second"))


def told() -> Statements:
    """A node that knows the first CA key alone."""
    return Statements(CA.chain, frozenset, lambda _: None)


def test_a_later_ca_key_speaks_too_and_the_old_one_no_more_once_it_is_retired() -> None:
    held = told()
    held.object_received(ObjectKind.ROLES, sign_roles(CA.network, Roles(1), CA.key).data)
    assert StoreChain((INTRODUCED,)) in held.object_received(ObjectKind.SUCCESSION, INTRODUCED)
    assert held.object_received(ObjectKind.SUCCESSION, INTRODUCED) == []
    by_second = sign_roles(CA.network, Roles(2), key("second"))
    held.object_received(ObjectKind.ROLES, by_second.data)
    assert StoreChain((INTRODUCED, RETIRED)) in held.object_received(ObjectKind.RETIREMENT, RETIRED)
    assert held.holds(ObjectKind.RETIREMENT, RETIRED)
    assert [item.data for item in held.held()][:3] == [INTRODUCED, RETIRED, by_second.data]
    for kind, data in (
        (ObjectKind.ROLES, sign_roles(CA.network, Roles(3), CA.key).data),
        (ObjectKind.REVOCATION, REVOCATION.data),
        (ObjectKind.CONFIG, first_config(CA.network, MESH, CA.key).data),
    ):
        with pytest.raises(Refused, match="is retired") as refused:
            held.object_received(kind, data)
        assert not isinstance(refused.value, Forged), "who was away passes it on, and is to blame for nothing"
    with pytest.raises(Forged):
        held.object_received(ObjectKind.ROLES, sign_roles(CA.network, Roles(9), key("forger")).data)


@pytest.mark.parametrize("data", [sign_succession(CA.network, key("forger"), SECOND), RETIRED])
def test_a_ca_key_that_none_of_ours_introduced_is_refused(data: bytes) -> None:
    held = told()
    with pytest.raises(Refused):
        held.object_received(data[0], data)
    assert held.authorities == (CA.authority,)


def test_a_revocation_under_the_newest_key_takes_the_place_of_the_old_one_whatever_the_order() -> None:
    newer = sign_revocation(CA.network, VICTIM, key("second"), time=NOW)
    for order in ([REVOCATION.data, newer.data], [newer.data, REVOCATION.data]):
        held = told()
        held.object_received(ObjectKind.SUCCESSION, INTRODUCED)
        for data in order:
            held.object_received(ObjectKind.REVOCATION, data)
        assert [each.data for each in held.revocations()] == [newer.data]


def test_a_certificate_is_overdue_once_the_ca_speaks_with_a_later_key_and_an_outcast_once_its_own_is_retired() -> None:
    held, mine = told(), CA.certificate("me")
    held.object_received(ObjectKind.ROLES, sign_roles(CA.network, Roles(1), CA.key).data)
    held.object_received(ObjectKind.SUCCESSION, INTRODUCED)
    assert held.overdue(mine) is Overdue.NOT
    held.object_received(ObjectKind.ROLES, sign_roles(CA.network, Roles(2), key("second")).data)
    assert held.overdue(mine) is Overdue.SUPERSEDED
    assert held.overdue(parse(Issuer(key("second"), SECOND, MESH).issue(CA.grant("me"), 7))) is Overdue.NOT
    held.object_received(ObjectKind.RETIREMENT, RETIRED)
    assert held.overdue(mine) is Overdue.OUTCAST
