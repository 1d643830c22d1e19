"""What the CA signs is what the strict readers accept."""

from dataclasses import replace

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.trust.authorities import parse_authority
from pulse.core.trust.ca import CA_LIFETIME, Issuer, make_authority
from pulse.core.trust.certificates import parse, verify
from pulse.core.trust.identity import is_tag, requested_name
from pulse.errors import ConfigError
from tests.authority import MESH, NOW, Ca, key
from tests.core.trust.test_identity import Remote

CA = Ca()
tags = st.from_regex(r"[a-z0-9_.-]{1,20}", fullmatch=True).filter(is_tag)
hosts = st.text(min_size=1, max_size=30).map(requested_name).map(lambda name: name or None)


def test_a_ca_lives_ten_years_and_signs_nodes_only() -> None:
    assert CA.authority.not_after - NOW == CA_LIFETIME
    root = x509.load_der_x509_certificate(CA.authority.der)
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    assert parse_authority(CA.authority.der) == CA.authority


@pytest.mark.parametrize("name", ["", "My-Net", "-a", "a.b", "a" * 64, "a\x1b"])
def test_a_name_that_cannot_name_a_network_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="--network"):
        make_authority(key("ca"), name, NOW, 1)


@given(st.none() | hosts, hosts, st.lists(tags, max_size=5, unique=True), st.booleans(), st.integers(1, 2**159 - 1))
def test_every_certificate_issued_is_read_back_as_granted(
    name: str | None, host: str | None, tags: list[str], is_ca: bool, serial: int
) -> None:
    grant = replace(CA.grant("a"), name=name, host=host, tags=tuple(tags), is_ca=is_ca)
    found = parse(CA.issuer.issue(grant, serial))
    assert (found.name, found.host, found.tags, found.is_ca) == (name, host, tuple(tags), is_ca)
    assert (found.public_key, found.addresses, found.serial) == (grant.public_key, grant.addresses, serial)
    assert verify(found, [CA.authority], NOW) == CA.authority


def test_a_certificate_never_outlives_its_ca() -> None:
    assert CA.certificate("a", not_after=CA.authority.not_after * 2).not_after == CA.authority.not_after


def test_a_ca_key_elsewhere_signs_as_well() -> None:
    authority = make_authority(Remote(), "mynet", NOW, 1)
    issuer = Issuer(Remote(), authority, MESH, older=(CA.authority.der,))
    assert issuer.authorities == (authority.der, CA.authority.der)
    assert issuer.network == authority.network
    grant = replace(CA.grant("a"), addresses=CA.grant("a").addresses)
    leaf = x509.load_der_x509_certificate(issuer.issue(grant, 3))
    leaf.verify_directly_issued_by(x509.load_der_x509_certificate(authority.der))
