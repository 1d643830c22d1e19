"""Renewal messages: proof of the old certificate's key one way, the CA's own word the other."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pulse.core.messages import ObjectKind, pack
from pulse.core.trust.authorities import sign_succession
from pulse.core.trust.ca import SERIAL_BITS, Issuer, make_authority
from pulse.core.trust.join import (
    Denied,
    Enrolment,
    Floors,
    Granted,
    Refusal,
    build_general_refusal,
)
from pulse.core.trust.renew import (
    VERSION,
    Renewal,
    build_answer,
    build_renewal,
    is_renewal,
    parse_answer,
    read_renewal,
    serial_of,
)
from pulse.core.trust.signed import seal
from pulse.errors import ProtocolError, Refused
from tests.authority import MESH, NONCE, NOW, Ca, key, request, token

CA, FOREIGN = Ca(), Ca("foreign")
KNOWN = (CA.authority,)
MINE = CA.certificate("a")
REQUEST = build_renewal(MINE, NONCE, key("a"))
VECTORS = Path(__file__).parents[2] / "vectors" / "renewal.json"


def granted(der: bytes = b"", **changes: object) -> Granted:
    grant = Granted(der or CA.leaf("a", not_before=NOW + 60), [CA.authority.der], [], Floors(2, 1, 4), NOW)
    return replace_wire(grant, **changes)


def replace_wire(grant: Granted, **changes: object) -> Granted:
    fields = {name: getattr(grant, name) for name in grant.__struct_fields__}
    return Granted(**{**fields, **changes})


def answer(outcome: Granted | Denied, by: Ca = CA, to: bytes = REQUEST) -> bytes:
    return build_answer(to, outcome, CA.network, by.key)


def test_a_request_proves_its_certificate_and_no_join_looks_like_one() -> None:
    assert read_renewal(REQUEST, KNOWN) == MINE
    assert is_renewal(REQUEST)
    assert not is_renewal(request("a", token("t")))
    assert not is_renewal(b"")


@pytest.mark.parametrize(
    "forged",
    [
        build_renewal(MINE, NONCE, key("b")),
        build_renewal(FOREIGN.certificate("a"), NONCE, key("a")),
        build_renewal(Ca(network_name="other").certificate("a"), NONCE, key("a")),
        seal(ObjectKind.ROLES, CA.network, pack(Renewal(VERSION, MINE.der, NONCE)), key("a")),
        seal(ObjectKind.RENEWAL, FOREIGN.network, pack(Renewal(VERSION, MINE.der, NONCE)), key("a")),
        REQUEST[:-1] + bytes((REQUEST[-1] ^ 1,)),
        REQUEST[:40],
        bytes((ObjectKind.RENEWAL,)) + b"\xff" * 200,
    ],
    ids=["another key", "foreign CA", "other network", "other kind", "signed elsewhere", "a bit off", "short", "noise"],
)
def test_a_forged_request_is_none(forged: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_renewal(forged, KNOWN)


def test_a_serial_comes_from_the_nonce_and_fits_x509() -> None:
    serials = {serial_of(build_renewal(MINE, bytes((number,)) * 16, key("a"))) for number in range(64)}
    assert len(serials) == 64
    assert all(0 < serial < 2**SERIAL_BITS for serial in serials)
    assert serial_of(REQUEST) == serial_of(build_renewal(MINE, NONCE, key("a")))


def test_the_cas_answer_is_taken_whole() -> None:
    enrolment = parse_answer(answer(granted()), REQUEST, MINE, CA.chain)
    assert isinstance(enrolment, Enrolment)
    assert enrolment.certificate.not_before == NOW + 60
    assert (enrolment.authorities, enrolment.floors, enrolment.ca_time) == ((CA.authority.der,), Floors(2, 1, 4), NOW)
    denied = Denied(Refusal.NODE_REVOKED, NOW)
    assert parse_answer(answer(denied), REQUEST, MINE, CA.chain) == denied


@pytest.mark.parametrize(
    "false",
    [
        answer(granted(), by=FOREIGN),
        answer(granted(CA.leaf("b"))),
        answer(granted(FOREIGN.leaf("a"))),
        answer(granted(), to=build_renewal(MINE, bytes(range(16)), key("a"))),
        answer(Denied(Refusal.NODE_REVOKED, NOW), by=FOREIGN),
        build_general_refusal(Refusal.NODE_REVOKED, NOW),
        b"",
        b"\x0a" * 90,
    ],
    ids=[
        *("another's answer", "another's certificate", "foreign certificate", "other request"),
        *("another's refusal", "a refusal only the CA may give", "nothing", "noise"),
    ],
)
def test_what_the_ca_did_not_say_to_this_request_does_not_count(false: bytes) -> None:
    with pytest.raises((ProtocolError, Refused)):
        parse_answer(false, REQUEST, MINE, CA.chain)


def test_a_relay_may_say_that_the_ca_is_away() -> None:
    away = Denied(Refusal.CA_UNREACHABLE, NOW)
    assert parse_answer(build_general_refusal(Refusal.CA_UNREACHABLE, NOW), REQUEST, MINE, CA.chain) == away


def test_a_later_ca_key_counts_if_the_one_before_introduces_it() -> None:
    second = make_authority(key("second"), "mynet", NOW, 2, CA.network.ca_hash)
    issuer = Issuer(key("second"), second, MESH)
    introduced = sign_succession(CA.network, CA.key, second)
    leaf = issuer.issue(replace(CA.grant("a"), not_before=NOW), 5)
    told = granted(leaf, authorities=[second.der, CA.authority.der], successions=[introduced])
    enrolment = parse_answer(build_answer(REQUEST, told, CA.network, key("second")), REQUEST, MINE, CA.chain)
    assert isinstance(enrolment, Enrolment)
    assert enrolment.successions == (introduced,)
    unintroduced = granted(leaf, authorities=[second.der])
    with pytest.raises(Refused):
        parse_answer(build_answer(REQUEST, unintroduced, CA.network, key("second")), REQUEST, MINE, CA.chain)


def test_the_bytes_stay_as_they_are() -> None:
    vectors = json.loads(VECTORS.read_text(encoding="utf-8"))
    assert REQUEST.hex() == vectors["request"]
    assert f"{serial_of(REQUEST):x}" == vectors["serial"]
    assert answer(Denied(Refusal.TOO_LATE, NOW)).hex() == vectors["denied"]
