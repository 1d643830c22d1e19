"""Which config counts: its signer, its numbers, its range."""

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.messages import ObjectKind, pack
from pulse.core.network import ranges
from pulse.core.network.netconfig import (
    Config,
    Settings,
    SignedConfig,
    compare_configs,
    first_config,
    open_config,
    reaches_floor,
    sign_config,
)
from pulse.core.trust.identity import public_bytes
from pulse.core.trust.join import Floors
from pulse.core.trust.roles import Roles
from pulse.core.trust.signed import Comparison, seal
from pulse.errors import ProtocolError, Refused
from tests.authority import Ca, key, node

CA = Ca()
SCRIBE = key("scribe")
ROLES = Roles(1, node("scribe"), 3)


def config(epoch: int, generation: int, cidr: str = "10.100.0.0/16") -> Config:
    return Config(epoch, generation, Settings(cidr))


def reopened(signed: SignedConfig, *, scribe: bool = True) -> SignedConfig:
    return open_config(signed.data, CA.network, [CA.authority], ROLES, public_bytes(SCRIBE) if scribe else None)


def test_the_ca_makes_the_network_with_its_range() -> None:
    first = first_config(CA.network, IPv4Network("10.7.0.0/16"), CA.key)
    assert reopened(first, scribe=False) == first
    assert (first.number, first.mesh_cidr) == ((0, 1), IPv4Network("10.7.0.0/16"))


def test_the_scribe_of_the_roles_in_force_may_sign() -> None:
    signed = sign_config(CA.network, config(3, 8), SCRIBE)
    assert reopened(signed) == signed


@pytest.mark.parametrize(
    "signed",
    [
        sign_config(CA.network, config(2, 8), SCRIBE),
        sign_config(CA.network, config(4, 8), SCRIBE),
        sign_config(CA.network, config(3, 8), CA.key),
        sign_config(CA.network, config(0, 1), SCRIBE),
        sign_config(CA.network, config(0, 2), CA.key),
        sign_config(CA.network, config(3, 8), key("evil")),
        sign_config(Ca("other").network, config(3, 8), SCRIBE),
    ],
)
def test_a_config_by_anybody_else_is_refused(signed: SignedConfig) -> None:
    with pytest.raises(Refused):
        reopened(signed)


def test_without_the_scribes_key_its_config_cannot_be_judged() -> None:
    with pytest.raises(Refused):
        reopened(sign_config(CA.network, config(3, 8), SCRIBE), scribe=False)


@pytest.mark.parametrize("bad", [config(0, 1, "8.8.8.0/24"), config(2**63 - 1, 1), config(0, -1)])
def test_values_out_of_bounds_are_a_protocol_error(bad: Config) -> None:
    sealed = seal(ObjectKind.CONFIG, CA.network, pack(bad), CA.key)
    with pytest.raises(ProtocolError):
        open_config(sealed, CA.network, [CA.authority], ROLES)


@given(st.tuples(st.integers(1, 5), st.integers(1, 5)), st.tuples(st.integers(1, 5), st.integers(1, 5)))
def test_the_higher_number_wins(ours: tuple[int, int], theirs: tuple[int, int]) -> None:
    a, b = (sign_config(CA.network, config(*number), SCRIBE) for number in (ours, theirs))
    expected = Comparison.SAME if ours == theirs else Comparison.NEWER if theirs > ours else Comparison.OLDER
    assert compare_configs(a, b) is expected


def test_two_configs_of_one_number_are_an_alarm_that_all_settle_alike() -> None:
    a = sign_config(CA.network, config(3, 8), SCRIBE)
    b = sign_config(CA.network, config(3, 8, "10.8.0.0/16"), SCRIBE)
    assert compare_configs(a, b).is_alarm
    assert compare_configs(a, b).takes_theirs is not compare_configs(b, a).takes_theirs


def test_a_config_below_the_floor_is_not_enough() -> None:
    first = first_config(CA.network, ranges.DEFAULT, CA.key)
    assert reaches_floor(first, Floors())
    assert not reaches_floor(first, Floors(0, 0, 2))
    assert not reaches_floor(first, Floors(0, 1, 1))
