"""The CA's decision about a member's next certificate, against a register in memory."""

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

import pytest

from pulse.core.trust.admission import CLOCK_LEAP, HELD_AFTER, Issued
from pulse.core.trust.ca import DAY, LEAF_LIFETIME
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.join import Refusal
from pulse.core.trust.readmission import GRACE, Decision, Dismiss, Readmit, Remind, decide_renewal
from pulse.core.types import NodeId
from tests.authority import NOW, Ca, node, token
from tests.core.trust.test_admission import Memory as Admissions

CA = Ca()
SERIAL = 77
SELECTOR = token("t").keys.selector
MINE = CA.certificate("a", host="box", name="db", tags=("prod",))
V4 = MINE.addresses.v4
LATE = NOW + 0.7 * LEAF_LIFETIME
"""When its node asks."""


@dataclass
class Memory(Admissions):
    """A register in memory that knows serials too."""

    serials: set[int] = field(default_factory=set)

    def is_issued(self, serial: int) -> bool:
        return serial in self.serials


def known(certificate: Certificate = MINE) -> Memory:
    """A register with that certificate, its clock read just before."""
    register = Memory(newest=LATE)
    register.issued[certificate.node_id] = Issued(certificate.der, SELECTOR, certificate.not_after)
    register.addresses[V4] = (certificate.node_id, certificate.not_after + HELD_AFTER)
    return register


def ask(register: Memory, shown: Certificate = MINE, now: float = LATE, *, vouched: bool = False) -> Decision:
    return decide_renewal(shown, SERIAL, register, CA.issuer, now, vouched=vouched)


def readmitted(decision: Decision) -> Readmit:
    assert isinstance(decision, Readmit)
    return decision


def test_the_next_certificate_keeps_address_name_host_and_tags() -> None:
    readmit = readmitted(ask(known()))
    grant = readmit.grant
    assert (readmit.node, readmit.token) == (node("a"), SELECTOR)
    assert (grant.addresses, grant.name, grant.host, grant.tags) == (MINE.addresses, "db", "box", ("prod",))
    assert (grant.not_before, grant.not_after, grant.is_ca) == (LATE - 3600, LATE + LEAF_LIFETIME, False)


def test_a_host_name_that_was_reserved_since_is_kept() -> None:
    old = CA.certificate("a", host="localhost")
    assert readmitted(ask(known(old), old)).grant.host == "localhost"


def test_a_short_life_is_backdated_by_a_tenth() -> None:
    issuer = replace(CA.issuer, life=20.0)
    brief = CA.certificate("a", not_before=NOW - 2, not_after=NOW + 20)
    grant = readmitted(decide_renewal(brief, SERIAL, Memory(), issuer, NOW + 15)).grant
    assert (grant.not_before, grant.not_after) == (NOW + 13, NOW + 35)


def test_who_asks_too_early_or_again_gets_the_newest_it_has() -> None:
    assert ask(Memory(), now=NOW + 1) == Remind(node("a"), MINE.der)
    newer = CA.certificate("a", not_before=LATE - 3600, not_after=LATE + LEAF_LIFETIME)
    assert ask(known(newer)) == Remind(node("a"), newer.der)


@pytest.mark.parametrize(
    ("late", "refused"), [(GRACE - DAY, None), (GRACE, None), (GRACE + 1, Refusal.TOO_LATE), (9e7, Refusal.TOO_LATE)]
)
def test_an_ended_certificate_is_renewed_for_thirty_days(late: float, refused: Refusal | None) -> None:
    now = MINE.not_after + late
    register = known()
    register.newest = now
    decision = ask(register, now=now)
    assert (decision.refusal if isinstance(decision, Dismiss) else None) == refused


def test_the_cas_own_node_comes_back_whenever() -> None:
    own = CA.certificate("a", is_ca=True)
    register = known(own)
    register.newest = now = own.not_after + 10 * GRACE
    assert readmitted(ask(register, own, now)).grant.is_ca


def test_a_certificate_of_a_time_that_never_was_is_renewed_by_no_ca_but_for_its_own_node() -> None:
    times = {"not_before": LATE + DAY, "not_after": LATE + 2 * DAY}
    assert ask(Memory(newest=LATE), CA.certificate("a", **times)) == Dismiss(node("a"), Refusal.NOT_YET_VALID)
    own = CA.certificate("a", is_ca=True, **times)
    assert ask(Memory(newest=LATE), own) == Remind(node("a"), own.der)
    # A clock that was ahead and is right again has seen that time.
    assert ask(Memory(newest=LATE + DAY), early := CA.certificate("a", **times)) == Remind(node("a"), early.der)


def test_a_revoked_node_gets_none_even_if_it_would_be_the_same_again() -> None:
    for now in (NOW + 1, LATE):
        register = known()
        register.revoked.add(node("a"))
        assert ask(register, now=now) == Dismiss(node("a"), Refusal.NODE_REVOKED)


def test_a_request_that_comes_again_is_not_carried_out_again() -> None:
    register = known()
    register.serials.add(SERIAL)
    assert ask(register) == Dismiss(node("a"), Refusal.REPLAYED)


def test_a_ca_whose_clock_leapt_renews_nothing_unless_somebody_vouches() -> None:
    register = known()
    register.newest = LATE - CLOCK_LEAP - 1
    assert ask(register) == Dismiss(node("a"), Refusal.CA_CLOCK)
    readmitted(ask(register, vouched=True))


def test_a_clock_set_back_makes_no_ended_certificate_good() -> None:
    register = known()
    register.newest = MINE.not_after + GRACE + 1
    assert ask(register, now=NOW) == Dismiss(node("a"), Refusal.TOO_LATE)


def test_a_ledger_put_back_from_a_backup_knows_neither_certificate_nor_address() -> None:
    readmit = readmitted(ask(Memory(newest=LATE)))
    assert (readmit.grant.addresses, readmit.token) == (MINE.addresses, None)


def test_an_address_that_is_anothers_by_now_is_not_given_twice() -> None:
    register = Memory(newest=LATE)
    register.addresses[V4] = (node("b"), LATE + HELD_AFTER)
    assert ask(register) == Dismiss(node("a"), Refusal.ADDRESS_TAKEN)
    register.addresses = {IPv4Address("10.100.9.9"): (node("a"), LATE), V4: (node("b"), LATE - 1)}
    readmitted(ask(register))


def test_names_that_are_anothers_by_now_are_not_given_twice() -> None:
    register = known()
    register.names = {"db": node("b"), "box": NodeId(node("b"))}
    grant = readmitted(ask(register)).grant
    assert (grant.name, grant.host) == (None, "box-2")


def test_tags_of_a_join_before_the_last_do_not_come_back() -> None:
    newest = CA.certificate("a", tags=(), not_before=NOW)
    assert readmitted(ask(known(newest))).grant.tags == ()


def test_after_a_moment_ahead_the_clock_that_is_right_again_makes_certificates_good_at_once() -> None:
    register = known()
    register.newest = LATE + 5 * 3600
    grant = readmitted(ask(register)).grant
    assert (grant.not_before, grant.not_after) == (LATE - 3600, LATE + 5 * 3600 + LEAF_LIFETIME)
