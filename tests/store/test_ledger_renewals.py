"""The ledger and renewals: durable, journaled, once for each request, and the node stays who it was."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pulse.core.trust.authorities import sign_retirement, sign_succession
from pulse.core.trust.ca import Issuer, make_authority
from pulse.core.trust.certificates import Certificate, parse
from pulse.core.trust.join import Denied, Enrolment, Floors, Granted, Refusal
from pulse.core.trust.join import parse_answer as parse_joined
from pulse.core.trust.renew import build_renewal, parse_answer
from pulse.core.trust.revocation import sign_revocation
from pulse.errors import ProtocolError
from pulse.store.ledger import Admission, Ledger
from tests.authority import MESH, NONCE, NOW, Ca, key, node, request, token
from tests.store.ledgers import CA, granted, issued_serials, join, make, reopen, uses

DAY = 86400.0
DUE = NOW + 65 * DAY
TOKEN = token("t", tags=("db",), max_uses=3)


def joined(ledger: Ledger) -> Certificate:
    return parse(granted(join(ledger, "a", TOKEN, host="box"), "a", TOKEN, "box").certificate)


def renew(
    ledger: Ledger, shown: Certificate, nonce: bytes = NONCE, now: float = DUE, *, signer: str = "a"
) -> tuple[Admission, Enrolment | Denied]:
    request = build_renewal(shown, nonce, key(signer))
    admission = ledger.renew(CA.issuer, request, now=now, floors=Floors(2, 1, 4), vouched=True)
    return admission, parse_answer(admission.answer, request, shown, CA.chain)


def renewed(ledger: Ledger, shown: Certificate, nonce: bytes = NONCE, now: float = DUE) -> Certificate:
    _, outcome = renew(ledger, shown, nonce, now)
    assert isinstance(outcome, Enrolment)
    return outcome.certificate


def refused(ledger: Ledger, shown: Certificate, nonce: bytes = NONCE, now: float = DUE) -> Refusal:
    admission, outcome = renew(ledger, shown, nonce, now)
    assert isinstance(outcome, Denied)
    assert admission.refusal == outcome.refusal
    return Refusal(outcome.refusal)


def told(ledger: Ledger) -> list[str]:
    return [entry.event for entry in ledger.entries()]


def test_a_renewal_costs_no_use_keeps_who_the_node_is_and_is_journaled(tmp_path: Path) -> None:
    ledger = make(tmp_path / "ca", TOKEN)
    first = joined(ledger)
    admission, outcome = renew(ledger, first)
    assert isinstance(outcome, Enrolment)
    assert admission.is_new
    following = outcome.certificate
    assert (following.addresses, following.host, following.tags) == (first.addresses, "box", ("db",))
    assert following.not_after > first.not_after
    assert outcome.floors == Floors(2, 1, 4)
    assert uses(ledger, TOKEN) == 1
    last = reopen(tmp_path / "ca").entries()[-1]
    assert (last.event, last.fields["node"]) == ("certificate renewed", node("a"))
    assert last.fields["serial"] == f"{following.serial:x}"
    assert ledger.verify().broken is None
    # A join with the token it came by gets the newest certificate, as ever, and costs nothing.
    assert parse(granted(join(ledger, "a", TOKEN, now=DUE), "a", TOKEN).certificate) == following


def test_the_same_request_again_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    ledger = make(tmp_path / "ca", TOKEN)
    first = joined(ledger)
    renewed(ledger, first)
    assert refused(reopen(tmp_path / "ca"), first) is Refusal.REPLAYED
    assert told(ledger).count("certificate renewed") == 1


def test_an_answer_that_was_lost_is_given_again_to_a_new_request(tmp_path: Path) -> None:
    ledger = make(tmp_path / "ca", TOKEN)
    first = joined(ledger)
    following = renewed(ledger, first)
    assert renewed(ledger, first, bytes(range(16)), DUE + 60) == following
    assert renewed(ledger, following, bytes(range(1, 17)), DUE + 60) == following
    assert told(ledger).count("certificate renewed") == 1


def test_a_revoked_node_is_refused_and_that_is_journaled(tmp_path: Path) -> None:
    ledger = make(tmp_path / "ca", TOKEN)
    first = joined(ledger)
    signed = sign_revocation(CA.network, node("a"), CA.key, time=NOW)
    ledger.revoke_node(node("a"), signed.data, NOW)
    assert refused(ledger, first) is Refusal.NODE_REVOKED
    assert told(ledger)[-1] == "renewal refused"
    assert len(issued_serials(ledger)) == 1


def test_thirty_days_after_its_end_a_certificate_is_gone(tmp_path: Path) -> None:
    ledger = make(tmp_path / "ca", TOKEN)
    first = joined(ledger)
    assert refused(ledger, first, now=first.not_after + 30 * DAY + 1) is Refusal.TOO_LATE
    assert renewed(ledger, first, bytes(range(16)), first.not_after + 30 * DAY).addresses == first.addresses


@pytest.mark.parametrize("forged", ["another key", "foreign CA", "other network"])
def test_who_proves_nothing_is_not_even_journaled(tmp_path: Path, forged: str) -> None:
    ledger = make(tmp_path / "ca", TOKEN)
    shown, signer = joined(ledger), "a"
    before = told(ledger)
    if forged == "another key":
        signer = "b"
    else:
        other = Ca("other ca") if forged == "foreign CA" else Ca(network_name="other")
        shown = other.certificate("a")
    with pytest.raises(ProtocolError):
        renew(ledger, shown, signer=signer)
    assert told(ledger) == before


def test_under_another_key_everybody_gets_another_certificate_once(tmp_path: Path) -> None:
    ledger = make(tmp_path / "ca", TOKEN)
    first, later = joined(ledger), NOW + 2 * DAY
    second = make_authority(key("second"), CA.network.name, NOW, 2, CA.network.ca_hash)
    introduced = sign_succession(CA.network, CA.key, second)
    retired = sign_retirement(CA.network, CA.authority.public_key, key("second"))
    chain = CA.chain.merged([introduced])
    for issuer in (
        Issuer(key("second"), second, MESH, (CA.authority.der,), (introduced,)),
        Issuer(key("second"), second, MESH, (), (introduced, retired)),
    ):
        nonces = iter(bytes([len(issuer.older), turn]) * 8 for turn in range(9))

        def asked(shown: Certificate, who: Issuer = issuer, nonces: Iterator[bytes] = nonces) -> Certificate:
            request = build_renewal(shown, next(nonces), key("a"))
            said = ledger.renew(who, request, now=later, floors=Floors(), vouched=True)
            outcome = parse_answer(said.answer, request, shown, chain)
            assert isinstance(outcome, Enrolment)
            return outcome.certificate

        following = asked(first)
        assert issuer.signed(following)
        assert following.addresses == first.addresses
        assert asked(following) == following, "in the first half of its life there is no other"
        assert asked(first) == following, "an answer that was lost comes again"
    assert told(ledger).count("certificate renewed") == 1
    rejoined = parse(granted_by(ledger, issuer, later).certificate)
    assert issuer.signed(rejoined)
    assert uses(ledger, TOKEN) == 1
    stranger = CA.certificate("b", addresses=first.addresses, is_ca=False)
    with pytest.raises(ProtocolError, match="stranger"):
        ledger.renew(issuer, build_renewal(stranger, NONCE, key("b")), now=later, floors=Floors())


def granted_by(ledger: Ledger, issuer: Issuer, now: float) -> Granted:
    """What the CA gives who joins once more with the key it has."""
    asked = request("a", TOKEN, "box")
    said = ledger.admit(issuer, asked, now=now, serial=99, floors=Floors(), vouched=True)
    answer = parse_joined(said.answer, asked, TOKEN.keys)
    assert isinstance(answer, Granted)
    return answer


def test_certificates_that_still_count_are_parsed_once_however_often_they_are_asked_for(tmp_path: Path) -> None:
    ledger = make(tmp_path / "ca", TOKEN)
    first = joined(ledger)
    (one,) = ledger.unexpired(NOW)
    following = renewed(ledger, first)
    again = ledger.unexpired(DUE)

    assert (one, {each.serial for each in again}) == (first, {first.serial, following.serial})
    assert any(each is one for each in again), "not parsed again"
    assert [each.serial for each in ledger.unexpired(first.not_after + 1)] == [following.serial]
    ledger.revoke_node(first.node_id, sign_revocation(CA.network, first.node_id, CA.key, time=DUE).data, DUE)
    assert ledger.unexpired(DUE) == []
