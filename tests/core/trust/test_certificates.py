"""Node certificates: the whole profile or nothing, and the right CA, network and time."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.trust.ca import LEAF_LIFETIME
from pulse.core.trust.certificates import parse, verify
from pulse.core.types import MeshAddresses
from pulse.errors import ProtocolError, Refused
from tests.authority import NOW, Ca, key, node

CA = Ca()
ID = f"pulse://{CA.network.label}/{node('a')}"
V6 = str(CA.grant("a").addresses.v6)
Names = list[x509.GeneralName]


def uri(text: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(text)


def names(*texts: str, v4: tuple[str, ...] = ("10.100.1.2",), v6: tuple[str, ...] = (V6,)) -> Names:
    return [*(uri(text) for text in texts), *(x509.IPAddress(ip_address(each)) for each in (*v4, *v6))]


def usage(*, signs: bool = False, seals: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(True, False, seals, False, False, signs, False, False, False)


def leaf(
    alternative: Names | None = None,
    *,
    subject: str = "",
    basic: x509.BasicConstraints | None = x509.BasicConstraints(ca=False, path_length=None),  # noqa: B008
    key_usage: x509.KeyUsage | None = None,
    extended: list[x509.ObjectIdentifier] | None = None,
    critical_names: bool = True,
    extra: x509.ExtensionType | None = None,
) -> bytes:
    """A certificate of node `a` with one thing different."""
    subject_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)] if subject else [])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject_name)
        .issuer_name(x509.load_der_x509_certificate(CA.authority.der).subject)
        .public_key(key("a").public_key())
        .serial_number(9)
        .not_valid_before(datetime.fromtimestamp(NOW, UTC))
        .not_valid_after(datetime.fromtimestamp(NOW + 1000, UTC))
        .add_extension(key_usage or usage(), critical=True)
        .add_extension(x509.SubjectAlternativeName(names(ID) if alternative is None else alternative), critical_names)
    )
    if basic is not None:
        builder = builder.add_extension(basic, critical=True)
    both = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    if extended != []:
        builder = builder.add_extension(x509.ExtendedKeyUsage(extended or both), critical=False)
    if extra is not None:
        builder = builder.add_extension(extra, critical=True)
    return builder.sign(CA.key, None).public_bytes(Encoding.DER)


def test_a_certificate_says_all_about_its_node() -> None:
    found = CA.certificate("a", name="db", host="box-1", tags=("prod", "db"), is_ca=True)
    assert found.node_id == node("a")
    assert found.network == CA.network
    assert found.addresses == MeshAddresses(IPv4Address("10.100.1.2"), IPv6Address(V6))
    assert (found.name, found.host, found.tags, found.is_ca) == ("db", "box-1", ("prod", "db"), True)
    assert (found.not_before, found.not_after, found.serial) == (NOW - 3600, NOW + LEAF_LIFETIME, 7)
    plain = CA.certificate("a")
    assert (plain.name, plain.host, plain.tags, plain.is_ca) == (None, None, (), False)


def test_a_name_that_was_reserved_since_stays_readable() -> None:
    found = CA.certificate("a", name="wpad", host="localhost")
    assert (found.name, found.host) == ("wpad", "localhost")


def test_what_a_later_release_adds_to_the_names_is_skipped() -> None:
    assert parse(leaf(names(ID, "pulse:colour:blue"))).node_id == node("a")


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: leaf(subject="x"), "subject"),
        (lambda: leaf(basic=x509.BasicConstraints(ca=True, path_length=0)), "cannot be a node's"),
        (lambda: leaf(basic=None), "lacks BasicConstraints"),
        (lambda: leaf(key_usage=usage(signs=True)), "wrong key usage"),
        (lambda: leaf(key_usage=usage(seals=True)), "wrong key usage"),
        (lambda: leaf(extended=[ExtendedKeyUsageOID.CLIENT_AUTH]), "wrong extended"),
        (lambda: leaf(extended=[]), "lacks an extended"),
        (lambda: leaf(critical_names=False), "critical"),
        (lambda: leaf(extra=x509.OCSPNoCheck()), "unknown here"),
        (lambda: leaf(names()), "0 identities"),
        (lambda: leaf(names(ID, ID)), "2 identities"),
        (lambda: leaf(names(ID, v4=())), "0 IPv4"),
        (lambda: leaf(names(ID, v6=(V6, "fd00::1"))), "2 IPv6"),
        (lambda: leaf(names(ID, v6=("fd00::1",))), "outside its network"),
        (lambda: leaf([*names(ID), x509.DNSName("a.example")]), "foreign kind"),
        (lambda: leaf(names(f"pulse://{CA.network.label}/{node('b')}")), "not its key's"),
        (lambda: leaf(names(f"pulse://{CA.network.label}/{node('a')[:60]}")), "malformed identity"),
        (lambda: leaf(names(ID.replace("mynet", "-net"))), "malformed identity"),
        (lambda: leaf(names(ID, "pulse:name:a", "pulse:name:b")), "malformed name"),
        (lambda: leaf(names(ID, "pulse:name:cafe")), "malformed name"),
        (lambda: leaf(names(ID, "pulse:host:A")), "malformed host"),
        (lambda: leaf(names(ID, "pulse:tag:A!")), "malformed tags"),
        (lambda: leaf(names(ID, *(f"pulse:tag:t{n}" for n in range(33)))), "malformed tags"),
        (lambda: CA.authority.der, "subject"),
    ],
)
def test_a_certificate_that_lacks_one_thing_is_refused(make: Callable[[], bytes], complaint: str) -> None:
    with pytest.raises(Refused, match=complaint):
        parse(make())


def test_a_serial_of_zero_or_less_is_refused() -> None:
    der = leaf()
    at = der.index(b"\x02\x01\x09") + 2
    for serial in (b"\x00", b"\x80"):
        with pytest.raises(Refused, match="serial"):
            parse(der[:at] + serial + der[at + 1 :])


def sequence(content: bytes) -> bytes:
    short = len(content) < 128
    return b"\x30" + (bytes((len(content),)) if short else bytes((0x81, len(content)))) + content


def test_an_old_version_is_refused() -> None:
    found = x509.load_der_x509_certificate(leaf())
    tbs = found.tbs_certificate_bytes[4:]
    extensions = tbs.index(b"\xa3\x81")
    old = sequence(sequence(tbs[5:extensions]) + bytes.fromhex("300506032b6570") + b"\x03\x41\x00" + found.signature)
    with pytest.raises(Refused, match="version 3"):
        parse(old)


def test_another_algorithm_is_refused() -> None:
    curve = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    builder = x509.CertificateBuilder(name, name, curve.public_key(), 1)
    times = builder.not_valid_before(datetime(2026, 1, 1, tzinfo=UTC)).not_valid_after(datetime(2027, 1, 1, tzinfo=UTC))
    with pytest.raises(Refused, match="Ed25519"):
        parse(times.sign(curve, hashes.SHA256()).public_bytes(Encoding.DER))


@given(st.binary(max_size=400))
def test_random_bytes_are_a_protocol_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse(data)


@given(st.data())
def test_a_flipped_byte_is_noticed_at_the_latest_by_the_signature(data: st.DataObject) -> None:
    der = bytearray(CA.leaf("a"))
    der[data.draw(st.integers(0, len(der) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises((ProtocolError, Refused)):
        verify(parse(bytes(der)), (CA.authority,), NOW)


def test_a_certificate_too_long_is_not_read() -> None:
    with pytest.raises(ProtocolError, match="8192 are allowed"):
        parse(bytes(8193))


def test_the_ca_that_issued_it_vouches_for_a_certificate() -> None:
    assert verify(CA.certificate("a"), (Ca("other").authority, CA.authority), NOW) == CA.authority


def test_another_network_is_named() -> None:
    with pytest.raises(Refused, match="of another network"):
        verify(CA.certificate("a"), (Ca("other", "theirs").authority,), NOW)
    with pytest.raises(Refused, match="ours is none"):
        verify(CA.certificate("a"), (), NOW)


def test_a_forged_certificate_of_our_network_is_refused() -> None:
    forger = Ca()
    forger.issuer = Ca("forger").issuer.__class__(key("forger"), CA.authority, CA.mesh)
    with pytest.raises(Refused, match="not signed by the CA"):
        verify(forger.certificate("a"), (CA.authority,), NOW)


def test_an_ended_certificate_is_refused() -> None:
    with pytest.raises(Refused, match="ended at"):
        verify(CA.certificate("a"), (CA.authority,), NOW + LEAF_LIFETIME + 1)


def test_a_certificate_of_tomorrow_is_refused() -> None:
    with pytest.raises(Refused, match="not valid before"):
        verify(CA.certificate("a", not_before=NOW + 86400), (CA.authority,), NOW)


def test_a_clock_below_the_floor_judges_no_beginning_and_by_the_floor_the_end() -> None:
    certificate = CA.certificate("a")
    verify(certificate, (CA.authority,), 0.0, floor=NOW)
    with pytest.raises(Refused, match="ended"):
        verify(certificate, (CA.authority,), 0.0, floor=NOW + LEAF_LIFETIME + 1)


def test_without_a_clock_times_are_not_judged() -> None:
    verify(CA.certificate("a", not_before=1.0, not_after=2.0), (CA.authority,), None)


def test_an_ended_ca_vouches_for_nobody() -> None:
    with pytest.raises(Refused, match="of its CA ended"):
        verify(CA.certificate("a"), (replace(CA.authority, not_after=NOW - 1),), NOW)
