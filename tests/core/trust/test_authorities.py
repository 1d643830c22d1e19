"""Trust in CA keys hangs on the first one's hash, through statements each signed by the key before."""

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.trust.authorities import parse_authority, sign_succession, trusted_authorities, trusted_keys
from pulse.core.trust.ca import make_authority
from pulse.core.trust.identity import key_hash, public_bytes
from pulse.core.types import spaced
from pulse.errors import ProtocolError, Refused
from tests.authority import NOW, Ca, key

CA = Ca()
SECOND = make_authority(key("second"), "mynet", NOW, 2, first_ca=CA.network.ca_hash)
THIRD = make_authority(key("third"), "mynet", NOW, 3, first_ca=CA.network.ca_hash)
TO_SECOND = sign_succession(CA.network, CA.key, public_bytes(key("second")))
TO_THIRD = sign_succession(CA.network, key("second"), public_bytes(key("third")))


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
    assert trusted_keys(CA.network, [TO_SECOND]) == (CA.authority.ca_hash, SECOND.ca_hash)
    assert trusted_keys(CA.network, [TO_SECOND, TO_THIRD]) == (SECOND.ca_hash, THIRD.ca_hash)
    shown = [THIRD.der, SECOND.der, CA.authority.der]
    assert trusted_authorities(CA.network, shown, [TO_SECOND, TO_THIRD]) == (THIRD, SECOND)


def test_a_statement_that_does_not_continue_the_chain_is_refused() -> None:
    with pytest.raises(Refused, match="does not follow"):
        trusted_keys(CA.network, [TO_THIRD])
    forged = TO_SECOND[:2] + key("forger").sign(b"x") + TO_SECOND[66:]
    with pytest.raises(Refused, match="not signed"):
        trusted_keys(CA.network, [forged])


def test_a_chain_without_end_is_refused() -> None:
    with pytest.raises(Refused, match="16 are allowed"):
        trusted_keys(CA.network, [TO_SECOND] * 17)


def test_damaged_statements_are_a_protocol_error() -> None:
    with pytest.raises(ProtocolError):
        trusted_keys(CA.network, [b""])


def test_a_foreign_ca_is_not_trusted() -> None:
    with pytest.raises(Refused, match=spaced(CA.network.ca_hash)):
        trusted_authorities(CA.network, [Ca("other").authority.der], [])
