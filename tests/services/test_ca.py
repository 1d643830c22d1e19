"""CA service: every request gets the answer its ledger stands by, or none at all."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pulse import clock
from pulse.core.trust.admission import CLOCK_LEAP
from pulse.core.trust.ca import DAY
from pulse.core.trust.certificates import parse
from pulse.core.trust.invites import decode_invite
from pulse.core.trust.join import Denied, Enrolment, Floors, Granted, Refusal, parse_answer
from pulse.core.trust.renew import build_renewal
from pulse.core.trust.renew import parse_answer as parse_renewed
from pulse.core.trust.revocation import sign_revocation
from pulse.core.trust.tokens import TokenRecord, parse_token
from pulse.errors import NotFound, Refused, SystemRefused
from pulse.net.links import JoinOffer
from pulse.schemas.tokens import TokenRequest
from pulse.services import ca as module
from pulse.services.ca import CaService
from pulse.store.authority import HeldCa
from pulse.store.files import open_data_dir
from pulse.store.ledger import Ledger
from tests.authority import NONCE, NOW, Ca, key, node, request, secret, token
from tests.fakes import FakeLinks

CA = Ca()
TOKEN = token("invite", max_uses=1)
FLOORS = Floors(3, 1, 9)
HERE = ("192.0.2.1:443",)


class World:
    """What time it is, and whether neighbours vouch for it."""

    def __init__(self) -> None:
        self.now = NOW
        self.vouched = False
        self.addresses: tuple[str, ...] = HERE


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(clock, "wall", lambda: world.now)
    return world


@pytest.fixture
def ca(tmp_path: Path, world: World) -> Iterator[CaService]:
    with Ledger.create(open_data_dir(tmp_path / "ca") / "ledger.sqlite", CA.network, NOW) as ledger:
        ledger.add_token(TOKEN)
        yield CaService(
            FakeLinks(), HeldCa(CA.issuer, ledger), lambda: FLOORS, lambda: world.vouched, lambda: world.addresses
        )


@asynccontextmanager
async def running(ca: CaService) -> AsyncIterator[FakeLinks]:
    task = asyncio.ensure_future(ca.run())
    links = ca.links
    assert isinstance(links, FakeLinks)
    yield links
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def offered(links: FakeLinks, data: bytes) -> bytes:
    """A stranger's request on our own join lane; its answer."""
    number = 1 + len(links.join_answers)
    links.offers(JoinOffer(number, "203.0.113.7:5000", data))
    async with asyncio.timeout(10):
        while number not in links.join_answers:
            await asyncio.sleep(0)
    return links.join_answers[number]


async def passed_on(ca: CaService, machine: str, by: TokenRecord = TOKEN, host: str = "") -> Granted | Denied:
    """What a machine reads that asked by way of another node."""
    asked = request(machine, by, host)
    return parse_answer(await ca.join(node("relay"), asked), asked, by.keys)


def events(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno == level]


# Joins


async def test_a_machine_with_a_token_is_granted_a_certificate_and_the_floors_of_now(ca: CaService) -> None:
    asked = request("newcomer", TOKEN, "box")
    async with running(ca) as links:
        answer = parse_answer(await offered(links, asked), asked, TOKEN.keys)

    assert isinstance(answer, Granted)
    certificate = parse(answer.certificate)
    assert (certificate.node_id, certificate.host) == (node("newcomer"), "box")
    assert certificate.addresses.v4 in CA.mesh
    assert (answer.floors, answer.time) == (FLOORS, NOW)


async def test_who_keeps_the_journal_of_the_node_is_told_of_each_first_certificate_and_each_refusal(
    ca: CaService,
) -> None:
    told: list[object] = []
    ca.issued, ca.refused = (lambda certificate: told.append(certificate.node_id)), told.append
    stranger = token("nobody made it")
    for machine, by in (("newcomer", TOKEN), ("newcomer", TOKEN), ("other", stranger)):
        await passed_on(ca, machine, by)

    assert told == [node("newcomer"), "join refused; unknown_token"]


async def test_a_member_gets_its_next_certificate_over_a_session_and_over_the_lane(
    ca: CaService, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first = await passed_on(ca, "newcomer")
    assert isinstance(first, Granted)
    shown = parse(first.certificate)
    world.now = NOW + CLOCK_LEAP - 1
    while world.now < shown.not_after - 30 * DAY:
        ca.held.ledger.heartbeat(world.now)
        world.now += CLOCK_LEAP - 1
    asked = build_renewal(shown, NONCE, key("newcomer"))
    renewed = parse_renewed(await ca.renew(node("newcomer"), asked), asked, shown, CA.chain)
    assert isinstance(renewed, Enrolment)
    assert renewed.certificate.not_after > shown.not_after
    assert renewed.floors == FLOORS
    assert "certificate of a node renewed" in caplog.messages
    again = build_renewal(shown, bytes(range(16)), key("newcomer"))
    async with running(ca) as links:
        reminded = parse_renewed(await offered(links, again), again, shown, CA.chain)
    assert isinstance(reminded, Enrolment)
    assert reminded.certificate == renewed.certificate
    replayed = parse_renewed(await ca.join(node("relay"), asked), asked, shown, CA.chain)
    assert isinstance(replayed, Denied)
    assert replayed.refusal == Refusal.REPLAYED


async def test_a_ca_from_a_backup_waits_with_all_but_its_own_nodes_certificate(ca: CaService) -> None:
    ca.waits = lambda: True
    refused = await passed_on(ca, "newcomer")
    assert isinstance(refused, Denied)
    assert refused.refusal == Refusal.CA_RECOVERING
    for is_ca in (False, True):
        shown = CA.certificate("a", is_ca=is_ca, not_before=NOW - 89 * DAY, not_after=NOW + DAY)
        asked = build_renewal(shown, NONCE, key("a"))
        answer = parse_renewed(await ca.renew(node("a"), asked), asked, shown, CA.chain)
        assert isinstance(answer, Enrolment if is_ca else Denied)
    assert await ca.renew(node("a"), asked[:-1]) != b"", "even nonsense is told to wait"


async def test_a_ca_whose_key_the_network_replaced_says_so_to_who_asks(ca: CaService) -> None:
    def refuse() -> None:
        raise Refused("put back a newer backup")

    ca.check_current, ca.waits = refuse, lambda: True
    refused = await passed_on(ca, "newcomer")
    assert isinstance(refused, Denied)
    assert refused.refusal == Refusal.CA_OUTDATED


async def test_a_forged_renewal_is_hung_up_on(ca: CaService, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert await ca.renew(node("a"), build_renewal(CA.certificate("a"), NONCE, key("thief"))) == b""
    assert events(caplog, logging.INFO) == ["renewal request forged"]


async def test_the_answer_by_way_of_another_node_is_the_same(ca: CaService) -> None:
    first = await passed_on(ca, "newcomer")
    again = await passed_on(ca, "newcomer")

    assert isinstance(first, Granted)
    assert isinstance(again, Granted)
    assert again.certificate == first.certificate


async def test_the_ledger_is_brought_up_to_date_before_anything_is_signed(ca: CaService) -> None:
    data = sign_revocation(CA.network, node("newcomer"), CA.key, time=NOW).data
    ca.before_signing = lambda: ca.held.ledger.revoke_node(node("newcomer"), data, NOW)

    assert await passed_on(ca, "newcomer") == Denied(Refusal.NODE_REVOKED, NOW)


async def test_a_ledger_that_cannot_be_brought_up_to_date_signs_nothing(
    ca: CaService, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise SystemRefused("cannot use ledger.sqlite: disk full")

    ca.before_signing = broken

    assert await passed_on(ca, "newcomer") == Denied(Refusal.CA_BROKEN, NOW)
    assert events(caplog, logging.ERROR) == ["ledger refused a join"]


async def test_a_used_up_token_is_refused_under_its_own_key(ca: CaService, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pulse")
    await passed_on(ca, "newcomer")

    assert await passed_on(ca, "another") == Denied(Refusal.USED_UP, NOW)
    assert events(caplog, logging.INFO) == ["node joined", "join refused"]


async def test_a_token_nobody_made_is_refused_without_a_word_of_proof(ca: CaService) -> None:
    assert await passed_on(ca, "newcomer", token("guessed")) == Denied(Refusal.UNKNOWN_TOKEN, NOW)


@pytest.mark.parametrize("data", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\xc1" * 200, bytes(64 * 1024)])
async def test_whoever_speaks_another_language_is_hung_up_on(ca: CaService, data: bytes) -> None:
    async with running(ca) as links:
        assert await offered(links, data) == b""
        asked = request("newcomer", TOKEN)
        assert isinstance(parse_answer(await offered(links, asked), asked, TOKEN.keys), Granted)


async def test_a_ledger_that_cannot_be_written_is_a_refusal_anybody_may_give_and_an_error_in_the_log(
    ca: CaService, caplog: pytest.LogCaptureFixture
) -> None:
    break_ledger(ca)

    assert await passed_on(ca, "newcomer") == Denied(Refusal.CA_BROKEN, NOW)
    assert events(caplog, logging.ERROR) == ["ledger refused a join"]


async def test_a_request_that_breaks_the_ca_hangs_up_on_who_made_it_and_ends_nothing(
    ca: CaService, caplog: pytest.LogCaptureFixture
) -> None:
    def unforeseen() -> None:
        raise KeyError("nobody foresaw this")

    async with running(ca) as links:
        ca.before_signing = unforeseen
        assert await offered(links, request("newcomer", TOKEN)) == b""
        ca.before_signing = lambda: None
        asked = request("newcomer", TOKEN)
        assert isinstance(parse_answer(await offered(links, asked), asked, TOKEN.keys), Granted)
    assert events(caplog, logging.ERROR) == ["request broke the CA"]


def break_ledger(ca: CaService) -> None:
    """From now on its disk takes nothing."""
    ca.held.ledger._database.connection.execute("PRAGMA query_only = ON")


# The clock


async def test_a_ca_whose_clock_leapt_signs_nothing_until_somebody_vouches(
    ca: CaService, world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEARTBEAT", 0.0)
    world.now = NOW + CLOCK_LEAP + 1
    async with running(ca):
        await turns()
        assert await passed_on(ca, "newcomer") == Denied(Refusal.CA_CLOCK, world.now)
        assert len(events(caplog, logging.WARNING)) == 1
        assert "the clock leapt by more than 7 days" in events(caplog, logging.WARNING)[0]

        world.vouched = True
        await turns()
        assert isinstance(await passed_on(ca, "newcomer"), Granted)
        assert ca.held.ledger.newest_time() == world.now


async def test_a_ca_that_runs_never_looks_as_if_its_clock_leapt(
    ca: CaService, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEARTBEAT", 0.0)
    async with running(ca):
        for _ in range(3):
            world.now += CLOCK_LEAP - 1
            await turns()

    assert isinstance(await passed_on(ca, "newcomer"), Granted)


async def test_a_clock_that_cannot_be_read_into_the_ledger_ends_neither_the_ca_nor_its_node(
    ca: CaService, caplog: pytest.LogCaptureFixture
) -> None:
    break_ledger(ca)
    async with running(ca) as links:
        asked = request("newcomer", TOKEN)
        answer = parse_answer(await offered(links, asked), asked, TOKEN.keys)

    assert answer == Denied(Refusal.CA_BROKEN, NOW)
    assert set(events(caplog, logging.ERROR)) == {
        "ledger refused a join",
        "ledger refused the hourly reading of the clock",
    }


async def turns() -> None:
    """Let the service take its turn."""
    for _ in range(20):
        await asyncio.sleep(0)


# Tokens and invites


async def test_a_made_token_opens_the_door_on_its_terms(ca: CaService) -> None:
    text, record = ca.create_token(TokenRequest(ttl=60.0, max_uses=1, tags=["db"], name="db-1"))
    made = parse_token(text)
    assert made.ca_hash == CA.network.ca_hash
    answer = await passed_on(ca, "newcomer", replace(record, keys=made.keys))

    assert isinstance(answer, Granted)
    certificate = parse(answer.certificate)
    assert (certificate.name, certificate.tags) == ("db-1", ("db",))
    assert sorted(each.uses for each in ca.tokens()) == [0, 1]


async def test_an_expired_token_is_refused_by_the_cas_clock(ca: CaService, world: World) -> None:
    _, record = ca.create_token(TokenRequest(ttl=60.0))
    world.now += 61

    assert await passed_on(ca, "newcomer", record) == Denied(Refusal.EXPIRED, world.now)


async def test_after_a_clock_that_was_ahead_a_short_token_is_good_for_all_its_time(ca: CaService, world: World) -> None:
    world.now += 3600
    assert ca.held.ledger.heartbeat(world.now)
    world.now -= 3600
    _, record = ca.create_token(TokenRequest(ttl=60.0))

    assert isinstance(await passed_on(ca, "newcomer", record), Granted)
    world.now += 3661
    assert await passed_on(ca, "late", record) == Denied(Refusal.EXPIRED, world.now)


async def test_a_revoked_token_is_refused_and_found_by_its_first_digits(ca: CaService) -> None:
    _, record = ca.create_token(TokenRequest())
    assert ca.revoke_token(record.token_id[:8]).token_id == record.token_id

    assert await passed_on(ca, "newcomer", record) == Denied(Refusal.TOKEN_REVOKED, NOW)
    with pytest.raises(NotFound):
        ca.revoke_token("ffffffff")


async def test_terms_that_cannot_be_kept_make_no_token(ca: CaService) -> None:
    with pytest.raises(Refused):
        ca.create_token(TokenRequest(ttl=-1.0))
    with pytest.raises(Refused):
        ca.invite(TokenRequest(name="no name", max_uses=1))

    assert len(ca.tokens()) == 1


def test_an_invite_holds_where_what_and_a_token_of_the_ledger(ca: CaService) -> None:
    text, record = ca.invite(TokenRequest(ttl=60.0, max_uses=1))
    held = decode_invite(text)

    assert (held.addresses, held.network, held.token.keys) == (HERE, CA.network, record.keys)
    assert record in ca.tokens()


def test_an_invite_without_an_address_is_refused_and_makes_no_token(ca: CaService, world: World) -> None:
    world.addresses = ()
    with pytest.raises(Refused, match="--addr host:port"):
        ca.invite(TokenRequest())

    assert len(ca.tokens()) == 1


def test_the_master_token_is_shown_as_printed_if_there_is_one(ca: CaService) -> None:
    assert ca.master_token() is None
    ca.held.ledger.set_master(secret("master"), NOW)

    assert ca.master_token() == f"{secret('master')}.{CA.network.ca_hash}"


# Journal


async def test_the_journal_tells_what_was_done_and_its_chain_holds(ca: CaService) -> None:
    await passed_on(ca, "newcomer")
    told = [each.event for each in ca.entries(0, 10)]

    assert told == ["ledger made", "token made", "certificate issued"]
    assert [each.event for each in ca.entries(1, 1)] == ["token made"]
    assert (ca.verify().entries, ca.verify().broken) == (3, None)


async def test_an_entry_somebody_changed_breaks_the_chain(ca: CaService) -> None:
    await passed_on(ca, "newcomer")
    with ca.held.ledger._database.connection as connection:
        connection.execute("UPDATE journal SET entry = replace(entry, 'token', 'tokem') WHERE seq = 2")

    assert ca.verify().broken == 2
