"""The joiner: address after address, and nothing sent to a lane that is not the pinned CA's."""

import pytest

from pulse.core.trust.join import (
    Denied,
    Floors,
    Granted,
    Refusal,
    build_answer,
    build_csr,
    build_general_refusal,
    build_showing,
)
from pulse.core.trust.joiner import (
    ATTEMPT_SECONDS,
    Applicant,
    CloseLane,
    Effect,
    Joined,
    Joiner,
    JoinRefused,
    OpenLane,
    SendRequest,
)
from pulse.core.trust.tokens import Token
from tests.authority import NONCE, NOW, Ca, key, node, secret, token

CA = Ca()
KEYS = token("t").keys
SHOWING = build_showing([CA.authority.der])


def joiner(*addresses: str, pin: str | None = CA.network.ca_hash) -> Joiner:
    applicant = Applicant(build_csr(key("a")), NONCE, "box")
    return Joiner(addresses, Token(secret("t"), pin), applicant, None, now=0.0)


def asked(join: Joiner) -> bytes:
    """Bring a joiner to where its request is out."""
    join.tick(0.0)
    effects = join.lane_opened(CA.leaf("relay"), SHOWING, 1.0)
    assert isinstance(effects[0], SendRequest)
    return effects[0].request


def grant(request: bytes, machine: str = "a") -> bytes:
    return build_answer(request, Granted(CA.leaf(machine), [CA.authority.der], [], Floors(), NOW), KEYS)


def final(effects: list[Effect]) -> JoinRefused:
    assert isinstance(effects[-1], JoinRefused)
    return effects[-1]


def test_a_join_opens_a_lane_asks_and_ends_with_an_identity() -> None:
    join = joiner("relay:443")
    assert join.deadline() == 0.0
    assert join.tick(0.0) == [OpenLane("relay:443", pinned=True)]
    assert join.deadline() == ATTEMPT_SECONDS
    request = asked(joiner("relay:443"))
    assert join.lane_opened(CA.leaf("relay"), SHOWING, 1.0) == [SendRequest(request)]
    close, joined = join.answer_received(grant(request), 2.0, NOW)
    assert close == CloseLane()
    assert isinstance(joined, Joined)
    assert joined.enrolment.certificate.node_id == node("a")
    assert join.deadline() is None
    assert join.tick(99.0) == join.lane_failed("late", 99.0) == join.answer_received(b"", 99.0, NOW) == []


def test_a_bare_token_trusts_on_first_use() -> None:
    join = joiner("relay:443", pin=None)
    assert join.tick(0.0) == [OpenLane("relay:443", pinned=False)]
    assert isinstance(join.lane_opened(b"throw-away", b"", 1.0)[0], SendRequest)


def test_nothing_is_sent_to_a_lane_of_another_ca() -> None:
    other = Ca("other")
    join = joiner("evil:443", "relay:443")
    join.tick(0.0)
    effects = join.lane_opened(other.leaf("evil"), build_showing([other.authority.der]), 1.0)
    assert effects == [CloseLane(), OpenLane("relay:443", pinned=True)]
    ended = final(join.lane_opened(b"\x00", b"", 2.0))
    assert not ended.retryable
    assert "Nothing was sent to it" in ended.text


def test_an_address_that_does_not_answer_gives_way_to_the_next() -> None:
    join = joiner("a:1", "b:1", "c:1")
    join.tick(0.0)
    assert join.tick(ATTEMPT_SECONDS - 0.1) == []
    assert join.tick(ATTEMPT_SECONDS) == [CloseLane(), OpenLane("b:1", pinned=True)]
    assert join.lane_failed("refused", 20.0) == [CloseLane(), OpenLane("c:1", pinned=True)]
    ended = final(join.lane_failed("no route", 21.0))
    assert ended.retryable
    assert ended.text.splitlines() == [
        "could not join at a:1: no answer in 15 s",
        "could not join at b:1: refused",
        "could not join at c:1: no route",
        "Is the node up, and can UDP reach it? Then run the same command again.",
    ]


def test_without_an_address_it_says_how_to_name_one() -> None:
    assert "pulse join <host:port>" in final(joiner().tick(0.0)).text


def test_a_refusal_under_the_tokens_key_is_final() -> None:
    join = joiner("a:1", "b:1")
    request = asked(join)
    ended = final(join.answer_received(build_answer(request, Denied(Refusal.USED_UP, NOW), KEYS), 2.0, NOW))
    assert not ended.retryable
    assert ended.text.startswith("this token is used up")


@pytest.mark.parametrize("refusal", [Refusal.BUSY, Refusal.CA_UNREACHABLE, Refusal.CA_BROKEN])
def test_a_refusal_that_may_pass_asks_the_next_address(refusal: Refusal) -> None:
    join = joiner("a:1", "b:1")
    asked(join)
    assert join.answer_received(build_general_refusal(refusal, NOW), 2.0, NOW)[1] == OpenLane("b:1", pinned=True)
    join.lane_opened(CA.leaf("relay"), SHOWING, 3.0)
    assert final(join.answer_received(build_general_refusal(refusal, NOW), 4.0, NOW)).retryable


def test_a_relay_that_lies_about_the_token_does_not_end_the_join() -> None:
    join = joiner("evil:1", "b:1")
    asked(join)
    unknown = build_general_refusal(Refusal.UNKNOWN_TOKEN, NOW)
    assert join.answer_received(unknown, 2.0, NOW)[1] == OpenLane("b:1", pinned=True)
    join.lane_opened(CA.leaf("relay"), SHOWING, 3.0)
    ended = final(join.answer_received(unknown, 4.0, NOW))
    assert not ended.retryable
    assert ended.text.startswith("token unknown or wrong")


def test_an_answer_by_somebody_else_is_not_believed() -> None:
    join = joiner("evil:1")
    asked(join)
    ended = final(join.answer_received(b"\x00" * 100, 2.0, NOW))
    assert not ended.retryable


def test_a_certificate_for_another_key_or_a_wrong_clock_is_final() -> None:
    for machine, wall, words in (("b", NOW, "another key"), ("a", 0.0, "clock says 1970")):
        join = joiner("a:1", "b:1")
        ended = final(join.answer_received(grant(asked(join), machine), 2.0, wall))
        assert words in ended.text
        assert not ended.retryable


def test_facts_out_of_turn_change_nothing() -> None:
    join = joiner("a:1")
    join.tick(0.0)
    assert join.answer_received(b"", 1.0, NOW) == []
    asked_twice = joiner("a:1")
    asked(asked_twice)
    assert asked_twice.lane_opened(CA.leaf("relay"), SHOWING, 2.0) == []
