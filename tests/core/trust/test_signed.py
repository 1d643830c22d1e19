"""The envelope: no kind, version, network or signer passes as another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.messages import ObjectKind
from pulse.core.trust.identity import public_bytes
from pulse.core.trust.signed import OBJECT_LIMIT, Comparison, Opened, compare, seal, unseal
from pulse.core.types import Network
from pulse.errors import ProtocolError, Refused
from tests.authority import key

NETWORK = Network("mynet", "ab" * 32)
KEYS = [public_bytes(key("other")), public_bytes(key("ca"))]
SEALED = seal(ObjectKind.ROLES, NETWORK, b"payload", key("ca"))


@given(st.binary(min_size=1, max_size=300), st.sampled_from(ObjectKind))
def test_what_was_sealed_comes_out_with_its_signer(payload: bytes, kind: ObjectKind) -> None:
    sealed = seal(kind, NETWORK, payload, key("ca"))
    assert unseal(sealed, kind, NETWORK, KEYS) == Opened(payload, public_bytes(key("ca")))


def test_an_object_passes_for_no_other_kind() -> None:
    with pytest.raises(ProtocolError, match="kind 2"):
        unseal(SEALED, ObjectKind.CONFIG, NETWORK, KEYS)
    with pytest.raises(Refused):
        unseal(bytes([ObjectKind.CONFIG]) + SEALED[1:], ObjectKind.CONFIG, NETWORK, KEYS)


def test_an_object_passes_in_no_other_network() -> None:
    for other in (Network("theirs", NETWORK.ca_hash), Network("mynet", "cd" * 32)):
        with pytest.raises(Refused, match="not signed by anyone entitled"):
            unseal(SEALED, ObjectKind.ROLES, other, KEYS)


def test_a_stranger_signs_nothing() -> None:
    with pytest.raises(Refused):
        unseal(SEALED, ObjectKind.ROLES, NETWORK, KEYS[:1])


def test_a_later_version_asks_for_an_upgrade() -> None:
    with pytest.raises(Refused, match="upgrade pulse"):
        unseal(SEALED[:1] + b"\x02" + SEALED[2:], ObjectKind.ROLES, NETWORK, KEYS)


@given(st.integers(0, len(SEALED) - 1), st.integers(1, 255))
def test_every_flipped_byte_is_noticed(position: int, flip: int) -> None:
    changed = bytearray(SEALED)
    changed[position] ^= flip
    with pytest.raises((ProtocolError, Refused)):
        unseal(bytes(changed), ObjectKind.ROLES, NETWORK, KEYS)


@pytest.mark.parametrize("data", [b"", SEALED[:66], bytes(OBJECT_LIMIT + 1)])
def test_a_length_out_of_bounds_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="bytes"):
        unseal(data, ObjectKind.ROLES, NETWORK, KEYS)


@pytest.mark.parametrize(
    ("ours", "theirs", "comparison"),
    [
        (((1,), b"a"), ((1,), b"a"), Comparison.SAME),
        (((1, 9), b"a"), ((2, 1), b"z"), Comparison.NEWER),
        (((2, 1), b"z"), ((1, 9), b"a"), Comparison.OLDER),
        (((1,), b"b"), ((1,), b"a"), Comparison.CLASH_THEIRS),
        (((1,), b"a"), ((1,), b"b"), Comparison.CLASH_OURS),
    ],
)
def test_higher_numbers_win_and_clashes_keep_the_lower_hash(
    ours: tuple[tuple[int, ...], bytes], theirs: tuple[tuple[int, ...], bytes], comparison: Comparison
) -> None:
    assert compare(ours, theirs) is comparison
    assert comparison.takes_theirs is (comparison in (Comparison.NEWER, Comparison.CLASH_THEIRS))
    assert comparison.is_alarm is comparison.name.startswith("CLASH")
