"""The two messages of a join: their MACs cover every byte, and nothing unproven is believed."""

import base64
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.trust.authorities import sign_retirement, sign_succession
from pulse.core.trust.ca import LEAF_LIFETIME, Issuer, make_authority
from pulse.core.trust.identity import public_bytes
from pulse.core.trust.join import (
    ANYBODYS,
    Denied,
    Floors,
    Granted,
    Refusal,
    build_answer,
    build_csr,
    build_general_refusal,
    build_showing,
    check_grant,
    check_lane,
    key_of_csr,
    parse_answer,
    parse_request,
    refusal_text,
    request_is_from,
)
from pulse.errors import ProtocolError, Refused
from tests.authority import MESH, NONCE, NOW, Ca, key, node, request, secret, token

CA = Ca()
TOKEN = token("t")
REQUEST = request("a", TOKEN, "box")
GRANTED = Granted(CA.leaf("a"), [CA.authority.der], [], Floors(3, 2, 9), NOW)
ANSWER = build_answer(REQUEST, GRANTED, TOKEN.keys)


def test_a_request_comes_back_as_it_was_built() -> None:
    parsed = parse_request(REQUEST)
    assert (parsed.version, parsed.selector, parsed.nonce, parsed.host) == (1, TOKEN.keys.selector, NONCE, "box")
    assert key_of_csr(parsed.csr) == public_bytes(key("a"))


def test_the_token_is_in_no_message() -> None:
    for part in (secret("t").encode(), base64.urlsafe_b64decode(secret("t") + "="), TOKEN.keys.join, TOKEN.keys.answer):
        assert part not in REQUEST
        assert part not in ANSWER


@given(st.integers(0, len(REQUEST) - 1), st.integers(1, 255))
def test_the_mac_covers_every_byte_of_a_request(position: int, flip: int) -> None:
    changed = bytearray(REQUEST)
    changed[position] ^= flip
    assert request_is_from(REQUEST, TOKEN.keys)
    assert not request_is_from(bytes(changed), TOKEN.keys)
    assert not request_is_from(REQUEST, token("other").keys)


@given(st.binary(max_size=300))
def test_random_bytes_are_no_request_answer_or_csr(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_request(data)
    with pytest.raises(ProtocolError):
        parse_answer(data, REQUEST, TOKEN.keys)
    with pytest.raises(ProtocolError):
        key_of_csr(data)


def test_a_csr_must_prove_an_ed25519_key() -> None:
    builder = x509.CertificateSigningRequestBuilder(x509.Name([]))
    other = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.DER)
    unproven = bytearray(build_csr(key("a")))
    unproven[-1] ^= 1
    for csr in (other, bytes(unproven)):
        with pytest.raises(ProtocolError, match="does not prove"):
            key_of_csr(csr)


def test_a_grant_comes_back_as_it_was_built() -> None:
    assert parse_answer(ANSWER, REQUEST, TOKEN.keys) == GRANTED


@given(st.integers(0, len(ANSWER) - 1), st.integers(1, 255))
def test_the_mac_covers_every_byte_of_an_answer(position: int, flip: int) -> None:
    changed = bytearray(ANSWER)
    changed[position] ^= flip
    with pytest.raises(ProtocolError):
        parse_answer(bytes(changed), REQUEST, TOKEN.keys)


def test_an_answer_fits_one_request_and_one_token() -> None:
    with pytest.raises(ProtocolError, match="does not come from"):
        parse_answer(ANSWER, request("b", TOKEN), TOKEN.keys)
    with pytest.raises(ProtocolError, match="does not come from"):
        parse_answer(ANSWER, REQUEST, token("other").keys)


@pytest.mark.parametrize("refusal", Refusal)
def test_only_general_refusals_are_believed_from_anybody(refusal: Refusal) -> None:
    denied = Denied(refusal, NOW)
    assert parse_answer(build_answer(REQUEST, denied, TOKEN.keys), REQUEST, TOKEN.keys) == denied
    general = build_general_refusal(refusal, NOW)
    if refusal in ANYBODYS:
        assert parse_answer(general, REQUEST, TOKEN.keys) == denied
    else:
        with pytest.raises(ProtocolError):
            parse_answer(general, REQUEST, TOKEN.keys)


@pytest.mark.parametrize("refusal", Refusal)
def test_each_refusal_says_what_to_do(refusal: Refusal) -> None:
    what, step = refusal_text(Denied(refusal, NOW)).split("\n")
    assert len(what) > 20
    assert step.endswith((".", "pulse invite", "--max-uses 1)", "--force-time"))


@pytest.mark.parametrize("refusal", [Refusal.UNKNOWN_TOKEN, Refusal.EXPIRED, Refusal.USED_UP, Refusal.TOKEN_REVOKED])
def test_whose_invite_is_no_longer_good_is_told_to_have_a_new_invite_made(refusal: Refusal) -> None:
    assert "on the CA: pulse invite" in refusal_text(Denied(refusal, NOW))


def test_an_expired_token_tells_the_cas_time() -> None:
    assert "expired (the CA's clock says 2026-09-21 " in refusal_text(Denied(Refusal.EXPIRED, NOW))


def test_a_certificate_of_a_later_time_is_told_with_the_cas() -> None:
    assert "than the CA's clock says it is (2026-09-21 " in refusal_text(Denied(Refusal.NOT_YET_VALID, NOW))


def test_a_refusal_of_a_later_release_asks_for_an_upgrade() -> None:
    assert "Upgrade pulse" in refusal_text(Denied(99, NOW))


def test_a_pinned_lane_of_our_ca_is_accepted() -> None:
    showing = build_showing([CA.authority.der])
    assert check_lane(CA.leaf("relay"), showing, CA.network.ca_hash, "mynet").node_id == node("relay")
    ended = CA.leaf("relay", not_before=1.0, not_after=2.0)
    assert check_lane(ended, showing, CA.network.ca_hash).node_id == node("relay")


def test_a_pinned_lane_may_show_a_later_ca() -> None:
    second = make_authority(key("second"), "mynet", NOW, 2, first_ca=CA.network.ca_hash)
    statement = sign_succession(CA.network, CA.key, second)
    leaf = Issuer(key("second"), second, MESH).issue(CA.grant("relay"), 3)
    assert check_lane(leaf, build_showing([second.der], [statement]), CA.network.ca_hash)
    with pytest.raises(Refused):
        check_lane(leaf, build_showing([second.der]), CA.network.ca_hash)


def test_a_pinned_lane_under_a_retired_key_is_refused_as_what_an_old_backup_of_the_ca_is() -> None:
    second = make_authority(key("second"), "mynet", NOW, 2, first_ca=CA.network.ca_hash)
    retired = sign_retirement(CA.network, public_bytes(CA.key), key("second"))
    showing = build_showing([second.der], [sign_succession(CA.network, CA.key, second), retired])
    with pytest.raises(Refused, match="came from a backup older than the network's key"):
        check_lane(CA.leaf("ca node"), showing, CA.network.ca_hash)
    with pytest.raises(Refused, match="the node that answered belongs to"):
        check_lane(Ca("evil").leaf("ca node"), showing, CA.network.ca_hash)


@pytest.mark.parametrize(
    ("check", "complaint"),
    [
        (lambda: check_lane(CA.leaf("r"), build_showing([CA.authority.der]), "cd" * 32), "Nothing was sent"),
        (
            lambda: check_lane(CA.leaf("r"), build_showing([CA.authority.der]), CA.network.ca_hash, "other"),
            "network mynet, not other",
        ),
        (
            lambda: check_lane(CA.leaf("r"), build_showing([Ca("x").authority.der]), CA.network.ca_hash),
            "no CA certificate",
        ),
        (lambda: check_lane(CA.leaf("r"), b"", CA.network.ca_hash), "undecodable"),
        (lambda: check_lane(b"", build_showing([CA.authority.der]), CA.network.ca_hash), "undecodable"),
    ],
)
def test_a_pinned_lane_of_anybody_else_is_refused(check: Callable[[], object], complaint: str) -> None:
    with pytest.raises((ProtocolError, Refused), match=complaint):
        check()


def test_a_false_ca_with_the_pinned_label_in_its_certificates_is_refused() -> None:
    false = make_authority(key("evil"), "mynet", NOW, 2, first_ca=CA.network.ca_hash)
    leaf = Issuer(key("evil"), false, MESH).issue(CA.grant("relay"), 3)
    for shown in ([false.der], [false.der, CA.authority.der]):
        with pytest.raises(Refused):
            check_lane(leaf, build_showing(shown), CA.network.ca_hash)


def test_a_grant_for_our_key_is_taken() -> None:
    enrolment = check_grant(GRANTED, node("a"), NOW, CA.network.ca_hash, "mynet")
    assert enrolment.certificate.node_id == node("a")
    assert enrolment.authorities == (CA.authority.der,)
    assert (enrolment.floors, enrolment.ca_time) == (Floors(3, 2, 9), NOW)
    assert check_grant(GRANTED, node("a"), NOW) == enrolment


@pytest.mark.parametrize(
    ("machine", "ca_hash", "network", "complaint"),
    [
        ("b", None, None, "another key"),
        ("a", "cd" * 32, None, "not of cdcd"),
        ("a", None, "other", "not other"),
    ],
)
def test_a_grant_for_anything_else_is_refused(
    machine: str, ca_hash: str | None, network: str | None, complaint: str
) -> None:
    with pytest.raises(Refused, match=complaint):
        check_grant(GRANTED, node(machine), NOW, ca_hash, network)


@pytest.mark.parametrize("wall", [NOW - 366 * 86400, NOW + LEAF_LIFETIME + 86400, 0.0])
def test_a_clock_that_is_off_is_told_with_both_times(wall: float) -> None:
    with pytest.raises(Refused, match=r"this machine's clock says .* the CA's says 2026-09-21") as caught:
        check_grant(GRANTED, node("a"), wall)
    assert "the token is not used up by it" in str(caught.value)
