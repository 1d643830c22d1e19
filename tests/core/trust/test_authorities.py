"""Trust in CA keys hangs on the first one's hash, through statements each signed by the key before."""

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.trust.authorities import (
    CHAIN_LIMIT,
    SUCCESSIONS_LIMIT,
    Chain,
    chain_of,
    parse_authority,
    sign_retirement,
    sign_succession,
    trusted_authorities,
)
from pulse.core.trust.ca import make_authority
from pulse.core.trust.identity import key_hash, public_bytes
from pulse.core.types import spaced
from pulse.errors import ProtocolError, Refused
from tests.authority import NOW, Ca, key

CA = Ca()
SECOND = make_authority(key("second"), "mynet", NOW, 2, first_ca=CA.network.ca_hash)
THIRD = make_authority(key("third"), "mynet", NOW, 3, first_ca=CA.network.ca_hash)
TO_SECOND = sign_succession(CA.network, CA.key, SECOND)
TO_THIRD = sign_succession(CA.network, key("second"), THIRD)
FIRST_OUT = sign_retirement(CA.network, public_bytes(CA.key), key("second"))
SECOND_OUT = sign_retirement(CA.network, public_bytes(key("second")), key("third"))


def root(
    *, uri: str | None = None, ca: bool = True, length: int | None = 0, signs: bool = True, by: str = "ca"
) -> bytes:
    """A CA certificate with one thing different."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pulse CA")])
    label = f"pulse:ca:{CA.network.label}" if uri is None else uri
    builder = (
        x509.CertificateBuilder(subject, subject, key("ca").public_key(), 1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2030, 1, 1, tzinfo=UTC))
        .add_extension(x509.BasicConstraints(ca, length if ca else None), critical=True)
        .add_extension(x509.KeyUsage(True, False, False, False, False, signs, False, False, False), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(label)]), critical=True)
    )
    return builder.sign(key(by), None).public_bytes(Encoding.DER)


def test_the_first_ca_makes_the_network() -> None:
    authority = parse_authority(CA.authority.der)
    assert authority == CA.authority
    assert authority.ca_hash == authority.network.ca_hash == key_hash(public_bytes(CA.key))
    assert parse_authority(root()).network == CA.network


@pytest.mark.parametrize(
    ("der", "complaint"),
    [
        (root(ca=False), "CA:true"),
        (root(length=1), "path length"),
        (root(length=None), "path length"),
        (root(signs=False), "may not sign"),
        (root(uri="pulse:ca:nothing"), "names no network"),
        (root(uri=f"pulse:ca:-bad.{'ab' * 32}"), "names no network"),
        (root(uri="https://example.com"), "names no network"),
        (root(by="forger"), "own key"),
        (CA.leaf("a"), "CA:true"),
    ],
)
def test_a_ca_certificate_that_lacks_one_thing_is_refused(der: bytes, complaint: str) -> None:
    with pytest.raises(Refused, match=complaint):
        parse_authority(der)


@given(st.binary(max_size=300))
def test_random_bytes_are_no_ca_certificate(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_authority(data)


def test_without_a_succession_only_the_first_key_is_trusted() -> None:
    shown = [SECOND.der, CA.authority.der]
    assert trusted_authorities(CA.network, shown, []) == (CA.authority,)


def test_the_two_newest_keys_of_the_chain_are_trusted() -> None:
    shown = [CA.authority.der]
    assert trusted_authorities(CA.network, shown, [TO_SECOND]) == (SECOND, CA.authority)
    chain = chain_of(CA.network, shown, [TO_SECOND, TO_THIRD])
    assert chain.trusted == (THIRD, SECOND)
    assert [each.number for each in chain.trusted] == [2, 1]
    assert chain.gone == (public_bytes(CA.key),)
    assert chain.number_of(SECOND) == 1
    with pytest.raises(Refused, match="is not one of network mynet"):
        chain.number_of(Ca("other").authority)


def test_a_retired_key_is_trusted_no_more_and_makes_room_for_the_next() -> None:
    chain = chain_of(CA.network, [CA.authority.der], [TO_SECOND, FIRST_OUT])
    assert chain.trusted == (SECOND,)
    assert chain.gone == (public_bytes(CA.key),)
    further = chain.extended(TO_THIRD)
    assert further.trusted == (THIRD, SECOND)
    assert further.statements == (TO_SECOND, TO_THIRD), "what was retired before the last two says nothing any more"
    assert further.extended(SECOND_OUT).trusted == (THIRD,)


def test_what_is_held_already_changes_nothing_and_brings_nothing_back() -> None:
    chain = chain_of(CA.network, [CA.authority.der], [TO_SECOND, TO_THIRD, SECOND_OUT])
    for replayed in (TO_SECOND, TO_THIRD, SECOND_OUT, FIRST_OUT):
        assert chain.extended(replayed) == chain
    assert chain.merged([TO_SECOND, FIRST_OUT]) == chain


@pytest.mark.parametrize(
    ("statements", "complaint"),
    [
        ([TO_THIRD], "does not follow"),
        ([FIRST_OUT], "not known here"),
        ([TO_SECOND[:2] + key("forger").sign(b"x") + TO_SECOND[66:]], "not signed"),
        ([TO_SECOND, FIRST_OUT[:2] + key("forger").sign(b"x") + FIRST_OUT[66:]], "not signed"),
        ([TO_SECOND, sign_succession(CA.network, CA.key, THIRD)], "introduced two keys"),
        ([sign_succession(CA.network, CA.key, make_authority(key("x"), "mynet", NOW, 2))], "another key or network"),
        ([TO_SECOND, sign_succession(CA.network, key("second"), CA.authority)], "brings back"),
        ([TO_SECOND, sign_retirement(CA.network, public_bytes(key("second")), CA.key)], "the one before it only"),
        ([TO_SECOND, sign_retirement(CA.network, public_bytes(key("x")), key("second"))], "the one before it only"),
        ([sign_succession(Ca("other").network, CA.key, SECOND)], "not signed"),
        ([TO_SECOND] * 17, "16 are allowed"),
    ],
)
def test_a_statement_that_does_not_continue_the_chain_is_refused(statements: list[bytes], complaint: str) -> None:
    with pytest.raises(Refused, match=complaint):
        chain_of(CA.network, [CA.authority.der], statements)


def test_a_key_can_be_replaced_so_often_and_no_more_often() -> None:
    chain, before = CA.chain, CA.key
    for turn in range(SUCCESSIONS_LIMIT):
        following = make_authority(key(f"{turn}"), "mynet", NOW, 2, CA.network.ca_hash)
        chain, before = chain.extended(sign_succession(CA.network, before, following)), key(f"{turn}")
    assert len(chain.extended(_out(chain, before)).statements) == CHAIN_LIMIT
    with pytest.raises(Refused, match="can be replaced 15 times"):
        chain.extended(sign_succession(CA.network, before, make_authority(key("z"), "mynet", NOW, 2)))


def _out(chain: Chain, by: Ed25519PrivateKey) -> bytes:
    return sign_retirement(CA.network, chain.past[-1], by)


@pytest.mark.parametrize("data", [b"", bytes((1, 1)) + bytes(80), bytes((11, 1)) + bytes(80), bytes((2,)) + bytes(90)])
def test_damaged_statements_are_a_protocol_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        chain_of(CA.network, [CA.authority.der], [data])


def test_a_foreign_ca_is_not_trusted() -> None:
    with pytest.raises(Refused, match=spaced(CA.network.ca_hash)):
        trusted_authorities(CA.network, [Ca("other").authority.der], [])
