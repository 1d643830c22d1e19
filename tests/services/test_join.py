"""Join service: the whole conversation of a joiner with lanes that answer, refuse, lie or stay silent."""

import asyncio

import pytest

from pulse import clock
from pulse.core.trust import joiner
from pulse.core.trust.join import (
    Enrolment,
    Floors,
    Granted,
    Refusal,
    build_answer,
    build_general_refusal,
    build_showing,
    parse_request,
    request_is_from,
)
from pulse.core.trust.tokens import Token
from pulse.errors import LinkError, Refused
from pulse.net import lanes
from pulse.services.join import JoinService
from tests.authority import NOW, Ca, key, secret
from tests.fakes import FakeLane, FakeLinks

CA, FOREIGN = Ca(), Ca("other ca")
TOKEN = Token(secret("invite"), CA.authority.ca_hash)
BARE = Token(secret("invite"), None)
HERE, THERE = "192.0.2.1:443", "192.0.2.2:443"


class CaLane(FakeLane):
    """A lane that leads to the CA: it grants whoever knows the token."""

    def __init__(self, ca: Ca = CA, machine: str = "newcomer") -> None:
        super().__init__(leaf=ca.leaf("relay"), objects=build_showing([ca.authority.der]))
        self.ca, self.machine = ca, machine

    async def send(self, request: bytes) -> bytes:
        """A certificate, under the token's key."""
        self.requests.append(request)
        assert request_is_from(request, TOKEN.keys)
        granted = Granted(self.ca.leaf(self.machine), [self.ca.authority.der], [], Floors(), NOW)
        return build_answer(request, granted, TOKEN.keys)


class SilentLane(FakeLane):
    """A lane that never answers."""

    async def send(self, request: bytes) -> bytes:
        """Wait for ever."""
        self.requests.append(request)
        await asyncio.Event().wait()
        return b""


@pytest.fixture(autouse=True)
def fixed_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificates of these tests are good now."""
    monkeypatch.setattr(clock, "wall", lambda: NOW)


async def joined(
    links: FakeLinks,
    *addresses: str,
    token: Token = TOKEN,
    network: str | None = None,
    progress: list[str] | None = None,
) -> Enrolment:
    """Join as `newcomer`."""
    told = [] if progress is None else progress
    return await JoinService(links, told.append).join(
        addresses or (HERE,), token, key("newcomer"), network=network, host="newcomer"
    )


async def test_a_machine_with_a_token_gets_its_certificate() -> None:
    lane, told = CaLane(), list[str]()
    links = FakeLinks(lanes={HERE: lane})
    enrolment = await joined(links, progress=told)

    assert enrolment.certificate == CA.certificate("newcomer")
    assert enrolment.authorities == (CA.authority.der,)
    assert links.joins == [(HERE, True)]
    assert parse_request(lane.requests[0]).host == "newcomer"
    assert told[0].startswith(f"reached {HERE} (quic, ")


async def test_the_token_never_leaves_the_machine() -> None:
    lane = CaLane()
    await joined(FakeLinks(lanes={HERE: lane}))

    assert TOKEN.secret.encode() not in lane.requests[0]


async def test_a_token_without_a_ca_hash_joins_unpinned() -> None:
    links = FakeLinks(lanes={HERE: CaLane()})
    await joined(links, token=BARE)

    assert links.joins == [(HERE, False)]


async def test_two_joins_do_not_say_the_same() -> None:
    lane = CaLane()
    for _ in range(2):
        await joined(FakeLinks(lanes={HERE: lane}))

    assert lane.requests[0] != lane.requests[1]


async def test_an_address_where_nobody_answers_is_passed_over() -> None:
    links = FakeLinks(lanes={THERE: CaLane()})
    await joined(links, HERE, THERE)

    assert [address for address, _ in links.joins] == [HERE, THERE]


async def test_a_lane_that_breaks_is_passed_over() -> None:
    await joined(
        FakeLinks(lanes={HERE: FakeLane(CA.leaf("relay"), build_showing([CA.authority.der])), THERE: CaLane()}),
        HERE,
        THERE,
    )


async def test_a_lane_that_stays_silent_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joiner, "ATTEMPT_SECONDS", 0.05)
    silent = SilentLane(CA.leaf("relay"), build_showing([CA.authority.der]))

    await joined(FakeLinks(lanes={HERE: silent, THERE: CaLane()}), HERE, THERE)


async def test_nobody_anywhere_is_an_error_that_another_try_may_help() -> None:
    with pytest.raises(LinkError, match=f"could not join at {THERE}"):
        await joined(FakeLinks(), HERE, THERE)


async def test_a_name_that_does_not_resolve_is_an_error_that_another_try_may_help(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def resolve(address: str) -> list[str]:
        raise OSError(f"cannot resolve {address}")

    monkeypatch.setattr(lanes, "resolve", resolve)
    with pytest.raises(LinkError, match="cannot resolve vm-01:443"):
        await joined(FakeLinks(), "vm-01:443")


async def test_each_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(address: str) -> list[str]:
        return [HERE, THERE]

    monkeypatch.setattr(lanes, "resolve", resolve)
    links = FakeLinks(lanes={THERE: CaLane()})
    await joined(links, "vm-01:443")

    assert [address for address, _ in links.joins] == [HERE, THERE]


async def test_nothing_is_sent_to_a_node_of_another_ca() -> None:
    lane = CaLane(FOREIGN)
    with pytest.raises(Refused, match="Nothing was sent"):
        await joined(FakeLinks(lanes={HERE: lane}))

    assert lane.requests == []


async def test_a_certificate_for_another_key_is_refused() -> None:
    with pytest.raises(Refused, match="another key"):
        await joined(FakeLinks(lanes={HERE: CaLane(machine="somebody else")}))


async def test_another_network_than_the_named_one_is_refused() -> None:
    with pytest.raises(Refused, match="network mynet, not other"):
        await joined(FakeLinks(lanes={HERE: CaLane()}), network="other")


async def test_an_unknown_token_is_refused_for_good() -> None:
    lane = FakeLane(CA.leaf("relay"), build_showing([CA.authority.der]))
    lane.answer = build_general_refusal(Refusal.UNKNOWN_TOKEN, NOW)

    with pytest.raises(Refused, match="token unknown or wrong"):
        await joined(FakeLinks(lanes={HERE: lane}))


async def test_a_ca_out_of_reach_is_an_error_that_another_try_may_help() -> None:
    lane = FakeLane(CA.leaf("relay"), build_showing([CA.authority.der]))
    lane.answer = build_general_refusal(Refusal.CA_UNREACHABLE, NOW)

    with pytest.raises(LinkError, match="cannot reach the CA"):
        await joined(FakeLinks(lanes={HERE: lane}))


async def test_a_clock_off_by_a_year_is_named_and_no_identity_comes_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "wall", lambda: NOW - 365 * 86400)

    with pytest.raises(Refused, match="clock"):
        await joined(FakeLinks(lanes={HERE: CaLane()}))


async def test_no_address_at_all_is_told_with_what_to_type() -> None:
    service = JoinService(FakeLinks(), list[str]().append)
    with pytest.raises(Refused, match="pulse join <host:port>"):
        await service.join((), TOKEN, key("newcomer"), network=None, host="")
