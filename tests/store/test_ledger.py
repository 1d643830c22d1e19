"""The ledger: one certificate a use, a retry for free, and an audit line for everything."""

import multiprocessing
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from pulse.core.trust.admission import CLOCK_LEAP, HELD_AFTER
from pulse.core.trust.ca import LEAF_LIFETIME
from pulse.core.trust.certificates import parse
from pulse.core.trust.identity import public_bytes
from pulse.core.trust.join import Denied, Floors, Refusal, build_csr, check_grant, parse_answer
from pulse.core.trust.tokens import new_token, print_token
from pulse.errors import Conflict, NotFound, ProtocolError, Refused
from pulse.store.ledger import REFUSALS_BURST, Ledger
from tests.authority import NOW, Ca, key, node, request, secret, token
from tests.store.ledgers import CA, granted, issued_serials, join, make, refusal, reopen, uses

JOINERS = 64
TOKEN = token("t", max_uses=1, tags=("db",))
DAY = 86400.0


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "ca"


def events(ledger: Ledger) -> list[str]:
    return [entry.event for entry in ledger.entries()]


def test_a_join_is_answered_counted_and_journaled(directory: Path) -> None:
    ledger = make(directory, TOKEN)
    admission = join(ledger, "a", TOKEN, host="box", serial=7)
    enrolment = check_grant(granted(admission, "a", TOKEN, "box"), node("a"), NOW, CA.network.ca_hash)
    assert (admission.is_new, admission.node, admission.certificate) == (True, node("a"), enrolment.certificate.der)
    assert (enrolment.certificate.tags, enrolment.certificate.host) == (("db",), "box")
    assert uses(ledger, TOKEN) == 1
    entry = ledger.entries()[-1]
    assert entry.event == "certificate issued"
    assert entry.fields == {
        "node": node("a"),
        "serial": "7",
        "v4": str(enrolment.certificate.addresses.v4),
        "name": None,
        "host": "box",
        "tags": "db",
        "token": TOKEN.token_id[:12],
    }
    assert ledger.verify().broken is None


def test_of_two_machines_on_a_single_use_token_one_joins(directory: Path) -> None:
    ledger = make(directory, TOKEN)
    join(ledger, "a", TOKEN)
    second = join(ledger, "b", TOKEN)
    assert refusal(second) is Refusal.USED_UP
    assert parse_answer(second.answer, request("b", TOKEN), TOKEN.keys) == Denied(Refusal.USED_UP, NOW)
    assert events(ledger)[-1] == "join refused"


@pytest.mark.parametrize("later", [0.0, 2 * 3600.0])
def test_a_retry_gets_the_same_certificate_and_costs_nothing(directory: Path, later: float) -> None:
    single = token("t", ttl=3600, max_uses=1)
    ledger = make(directory, single)
    first = join(ledger, "a", single)
    again = join(ledger, "a", single, now=NOW + later)
    assert again.certificate == first.certificate
    assert not again.is_new
    assert uses(ledger, single) == 1
    assert len(issued_serials(ledger)) == 1


def test_a_retry_after_a_revocation_gets_nothing(directory: Path) -> None:
    ledger = make(directory, TOKEN)
    join(ledger, "a", TOKEN)
    ledger.revoke_token(TOKEN.token_id, NOW)
    assert refusal(join(ledger, "a", TOKEN)) is Refusal.TOKEN_REVOKED
    other = token("o")
    ledger.add_token(other)
    ledger.revoke_node(node("a"), b"signed", NOW)
    assert refusal(join(ledger, "a", other)) is Refusal.NODE_REVOKED
    assert ledger.revocations() == [b"signed"]
    ledger.revoke_node(node("a"), b"signed anew", NOW)
    assert ledger.revocations() == [b"signed anew"]
    assert events(ledger).count("node revoked") == 1


def test_an_unknown_token_is_refused_in_general_words(directory: Path) -> None:
    ledger = make(directory)
    assert refusal(join(ledger, "a", TOKEN)) is Refusal.UNKNOWN_TOKEN
    assert ledger.entries()[-1].fields == {"refusal": "unknown_token", "token": None, "node": None}


def test_bytes_that_are_no_request_leave_no_trace(directory: Path) -> None:
    ledger = make(directory)
    before = events(ledger)
    with pytest.raises(ProtocolError):
        ledger.admit(CA.issuer, b"\x00" * 50, now=NOW, serial=1, floors=Floors())
    assert events(ledger) == before


def test_strangers_cannot_fill_the_journal(directory: Path) -> None:
    ledger = make(directory)
    for number in range(REFUSALS_BURST + 40):
        join(ledger, f"m{number}", TOKEN)
    assert events(ledger).count("join refused") == REFUSALS_BURST
    join(ledger, "later", TOKEN, now=NOW + 60)
    assert ledger.entries()[-1].fields["untold"] == 40


def test_an_address_stays_with_its_node_and_is_free_120_days_after(directory: Path) -> None:
    reusable = token("r")
    ledger = make(directory, reusable)
    first = parse(join(ledger, "a", reusable).certificate or b"")
    held = first.not_after + HELD_AFTER
    back = parse(join(ledger, "a", reusable, now=first.not_after + DAY, vouched=True).certificate or b"")
    assert back.addresses == first.addresses
    assert back.serial != first.serial
    register = ledger._register
    assert register.address_is_held(first.addresses.v4, held - 1)
    assert not register.address_is_held(first.addresses.v4, held + LEAF_LIFETIME + DAY)


def test_two_machines_with_one_host_name_get_two_names(directory: Path) -> None:
    reusable = token("r")
    ledger = make(directory, reusable)
    hosts = [parse(join(ledger, name, reusable, host="box").certificate or b"").host for name in "abc"]
    assert hosts == ["box", "box-2", "box-3"]


def test_a_name_of_a_revoked_node_is_free_again(directory: Path) -> None:
    named = new_token(secret("n"), NOW, max_uses=1, name="db-1")
    ledger = make(directory, named)
    assert parse(join(ledger, "a", named).certificate or b"").name == "db-1"
    again = new_token(secret("m"), NOW, max_uses=1, name="db-1")
    with pytest.raises(Conflict, match="db-1 belongs to a node"):
        ledger.add_token(again)
    ledger.revoke_node(node("a"), b"signed", NOW)
    ledger.add_token(again)
    assert parse(join(ledger, "b", again).certificate or b"").name == "db-1"


def test_the_clock_may_not_leap_unless_somebody_vouches(directory: Path) -> None:
    reusable = token("r")
    ledger = make(directory, reusable)
    leapt = NOW + CLOCK_LEAP + DAY
    assert refusal(join(ledger, "a", reusable, now=leapt)) is Refusal.CA_CLOCK
    assert not ledger.heartbeat(leapt)
    assert ledger.newest_time() == NOW
    assert ledger.heartbeat(NOW + DAY)
    assert ledger.heartbeat(NOW)
    assert ledger.newest_time() == NOW + DAY
    assert join(ledger, "a", reusable, now=leapt).is_new
    assert ledger.newest_time() == leapt
    assert ledger.heartbeat(leapt * 2, vouched=True)


def test_a_clock_that_leapt_moves_no_time_on_by_who_asks_again_while_the_key_is_replaced(directory: Path) -> None:
    reusable = token("r")
    ledger = make(directory, reusable)
    join(ledger, "a", reusable)
    leapt = NOW + 60 * DAY
    following = Ca("the next key").issuer

    again = ledger.admit(following, request("a", reusable), now=leapt, serial=99, floors=Floors())
    assert refusal(again) is Refusal.CA_CLOCK
    assert ledger.newest_time() == NOW
    assert not ledger.heartbeat(leapt)
    assert len(issued_serials(ledger)) == 1


def test_the_cas_own_node_is_enrolled_without_a_token(directory: Path) -> None:
    ledger = make(directory)
    own = parse(ledger.enrol_own(CA.issuer, build_csr(key("own")), "ca-1", now=NOW, serial=5))
    assert (own.is_ca, own.host, own.node_id) == (True, "ca-1", node("own"))
    with pytest.raises(Refused, match="reads as a node id"):
        ledger.enrol_own(CA.issuer, build_csr(key("x")), "cafe", now=NOW, serial=6)
    assert issued_serials(ledger) == ["5"]


def test_the_master_token_is_kept_and_replaced(directory: Path) -> None:
    ledger = make(directory)
    assert ledger.master() is None
    for name in ("one", "one", "two"):
        ledger.set_master(secret(name), NOW)
    assert ledger.master() == secret("two")
    one, two = ledger.tokens()
    assert {one.is_master, two.is_master} == {True}
    assert sorted(each.revoked is None for each in (one, two)) == [False, True]
    with pytest.raises(Refused, match="too short"):
        ledger.set_master("weak", NOW)


def test_the_key_of_a_node_is_that_of_its_certificate(directory: Path) -> None:
    ledger = make(directory, TOKEN)
    join(ledger, "a", TOKEN)

    assert ledger.public_key(node("a")) == public_bytes(key("a"))
    assert ledger.public_key(node("b")) is None


def test_the_first_scribe_joined_with_the_master_token_and_claims_once(directory: Path) -> None:
    ledger = make(directory, TOKEN)
    ledger.set_master(secret("m"), NOW)
    master = next(each for each in ledger.tokens() if each.is_master)
    join(ledger, "a", TOKEN)
    join(ledger, "b", master)
    join(ledger, "c", master)
    assert not ledger.claim_scribe(node("a"), NOW)
    assert ledger.claim_scribe(node("b"), NOW)
    assert not ledger.claim_scribe(node("c"), NOW)
    assert ledger.claim_scribe(node("b"), NOW)
    assert events(ledger).count("first scribe claimed") == 1


def test_a_token_is_revoked_by_prefix_or_as_printed(directory: Path) -> None:
    ledger = make(directory, TOKEN, token("u"))
    assert ledger.revoke_token(TOKEN.token_id[:6], NOW).keys == TOKEN.keys
    assert ledger.revoke_token(print_token(secret("u"), "ab" * 32), NOW).keys == token("u").keys
    ledger.revoke_token(TOKEN.token_id, NOW)
    assert all(each.revoked == NOW for each in ledger.tokens())
    assert events(ledger).count("token revoked") == 2
    for text in ("ffff", "abc", "", "hello world again"):
        with pytest.raises(NotFound, match="pulse token list"):
            ledger.revoke_token(text, NOW)


def test_a_prefix_of_two_tokens_lists_both(directory: Path) -> None:
    ledger = make(directory)
    by_prefix: dict[str, str] = {}
    for number in range(10_000):
        made = token(f"n{number}")
        other = by_prefix.setdefault(made.token_id[:4], f"n{number}")
        if other != f"n{number}":
            break
    ledger.add_token(made)
    ledger.add_token(token(other))
    with pytest.raises(Conflict, match="stands for 2 tokens"):
        ledger.revoke_token(made.token_id[:4], NOW)


def test_a_token_is_made_once(directory: Path) -> None:
    ledger = make(directory, TOKEN)
    with pytest.raises(Conflict, match="exists already"):
        ledger.add_token(TOKEN)


def test_all_is_there_after_a_restart(directory: Path) -> None:
    with make(directory, TOKEN) as ledger:
        first = join(ledger, "a", TOKEN)
    with reopen(directory) as ledger:
        assert join(ledger, "a", TOKEN).certificate == first.certificate
        assert refusal(join(ledger, "b", TOKEN)) is Refusal.USED_UP
        assert ledger.verify().broken is None


def test_a_serial_that_is_taken_issues_nothing(directory: Path) -> None:
    reusable = token("r")
    ledger = make(directory, reusable)
    join(ledger, "a", reusable, serial=7)
    with pytest.raises(Conflict):
        join(ledger, "b", reusable, serial=7)
    assert uses(ledger, reusable) == 1
    assert issued_serials(ledger) == ["7"]


def one_join(directory: Path, number: int) -> bool:
    """One joiner with a connection of its own, as another process would have."""
    with reopen(directory) as ledger:
        return join(ledger, f"machine-{number}", TOKEN, serial=number + 1).certificate is not None


def check_single_winner(directory: Path, results: list[bool]) -> None:
    assert results.count(True) == 1
    with reopen(directory) as ledger:
        assert uses(ledger, TOKEN) == 1
        assert issued_serials(ledger) == [f"{results.index(True) + 1:x}"]
        assert ledger.verify().broken is None


def test_of_64_threads_on_a_single_use_token_one_wins(directory: Path) -> None:
    make(directory, TOKEN).close()
    start = threading.Barrier(JOINERS)

    def run(number: int) -> bool:
        start.wait()
        return one_join(directory, number)

    with ThreadPoolExecutor(JOINERS) as pool:
        check_single_winner(directory, list(pool.map(run, range(JOINERS))))


def test_of_64_joins_in_four_processes_on_a_single_use_token_one_wins(directory: Path) -> None:
    make(directory, TOKEN).close()
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as pool:
        check_single_winner(directory, list(pool.map(one_join, [directory] * JOINERS, range(JOINERS))))


def test_who_joined_while_the_clock_was_ahead_gets_one_that_is_good_once_it_is_right(directory: Path) -> None:
    once = token("once", max_uses=1)
    ledger = make(directory, once)
    join(ledger, "a", once, now=NOW + 5 * 3600)
    again, same = (join(ledger, "a", once, now=NOW) for _ in range(2))
    assert (again.refusal, again.certificate) == (None, same.certificate)
    assert again.certificate is not None
    assert parse(again.certificate).not_before == NOW - 3600
    assert not again.is_new
    assert [each.uses for each in ledger.tokens()] == [1]
