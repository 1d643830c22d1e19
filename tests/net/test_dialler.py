"""Dialler: however many addresses a name has, each attempt of the core ends in exactly one fact."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.effects import Dial
from pulse.core.facts import AddressesChanged, DialFailed, Fact, LinkUp
from pulse.core.types import LinkId
from pulse.net import dialler as module
from pulse.net.dialler import Dialler
from tests.authority import node
from tests.fakes import FakeLinks
from tests.mint import link_up

ALICE = node("alice")
NAMES = {
    "one:443": ["192.0.2.1:443"],
    "both:443": ["[2001:db8::1]:443", "192.0.2.1:443"],
    "seeds:443": ["192.0.2.1:443", "192.0.2.2:443", "192.0.2.3:443"],
}


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names resolve as in `NAMES`; others don't."""

    async def resolve(address: str) -> list[str]:
        if address not in NAMES:
            raise OSError(f"cannot resolve {address}")
        return NAMES[address]

    monkeypatch.setattr(module, "resolve", resolve)


def failed(dial: int, code: str = "timeout") -> DialFailed:
    return DialFailed(dial, code, f"{code} of {dial}")


async def until(links: FakeLinks, dials: int) -> list[int]:
    """Let the dialler work until so many dials were made; their numbers."""
    async with asyncio.timeout(10):
        while len(links.dials) < dials:
            await asyncio.sleep(0)
    return [each.dial for each in links.dials]


@asynccontextmanager
async def running(links: FakeLinks) -> AsyncIterator[Dialler]:
    dialler = Dialler(links)
    task = asyncio.ensure_future(dialler.run())
    yield dialler
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_literal_address_is_dialled_at_once() -> None:
    links = FakeLinks()
    Dialler(links).dial(Dial(1, "[2001:db8::1]:443", ALICE))

    assert [(each.address, each.expect) for each in links.dials] == [("[2001:db8::1]:443", ALICE)]


async def test_transports_and_what_is_replaced_are_passed_on() -> None:
    links = FakeLinks()
    Dialler(links).dial(Dial(1, "192.0.2.1:443", ALICE, LinkId(7), websocket_after=None, hole=9))

    assert [(each.replaces, each.websocket_after, each.hole) for each in links.dials] == [(7, None, 9)]


async def test_all_addresses_of_a_name_are_dialled_at_once() -> None:
    links = FakeLinks()
    async with running(links) as dialler:
        dialler.dial(Dial(1, "both:443", None))
        await until(links, 2)

    assert [each.address for each in links.dials] == NAMES["both:443"]


async def test_the_first_link_of_a_race_is_the_attempts_and_a_second_is_nobodys() -> None:
    links = FakeLinks()
    async with running(links) as dialler:
        dialler.dial(Dial(7, "both:443", None))
        first, second = await until(links, 2)

    won, too = link_up(ALICE, 1, dial=second), link_up(ALICE, 2, dial=first)
    assert dialler.translate(won) == replace(won, dial=7)
    assert dialler.translate(too) == replace(too, dial=0)


async def test_a_race_fails_once_when_its_last_dial_did() -> None:
    links = FakeLinks()
    async with running(links) as dialler:
        dialler.dial(Dial(7, "both:443", None))
        first, second = await until(links, 2)

    assert dialler.translate(failed(first)) is None
    assert dialler.translate(failed(second, "refused")) == DialFailed(7, "refused", f"refused of {second}")


async def test_a_dial_that_fails_after_another_won_tells_nothing() -> None:
    links = FakeLinks()
    async with running(links) as dialler:
        dialler.dial(Dial(7, "both:443", None))
        first, second = await until(links, 2)

    dialler.translate(link_up(ALICE, 1, dial=first))
    assert dialler.translate(failed(second)) is None


async def test_that_the_neighbours_own_link_won_settles_the_whole_race() -> None:
    links = FakeLinks()
    async with running(links) as dialler:
        dialler.dial(Dial(7, "both:443", None))
        first, second = await until(links, 2)

    assert dialler.translate(DialFailed(first, "duplicate", ALICE)) == DialFailed(7, "duplicate", ALICE)
    assert dialler.translate(failed(second)) is None


@pytest.mark.parametrize("order", [("self", "refused"), ("refused", "self")])
async def test_a_name_that_leads_to_us_among_others_does_not_count_as_ours(order: tuple[str, str]) -> None:
    links = FakeLinks()
    async with running(links) as dialler:
        dialler.dial(Dial(7, "both:443", None))
        dials = await until(links, 2)

    told = [dialler.translate(failed(dial, code)) for dial, code in zip(dials, order, strict=True)]
    assert [each.code for each in told if isinstance(each, DialFailed)] == ["refused"]


async def test_a_name_that_leads_only_to_us_counts_as_ours() -> None:
    links = FakeLinks()
    async with running(links) as dialler:
        dialler.dial(Dial(7, "both:443", None))
        first, second = await until(links, 2)

    assert dialler.translate(failed(first, "self")) is None
    assert dialler.translate(failed(second, "self")) == DialFailed(7, "self", f"self of {first}")


async def test_a_name_that_cannot_be_resolved_fails_the_attempt() -> None:
    links = FakeLinks()
    async with running(links) as dialler:
        dialler.dial(Dial(7, "nowhere:443", None))
        dialler.dial(Dial(8, "nowhere either:443", None))
        told: list[DialFailed] = []
        while len(told) < 2:
            told += await dialler.wait_failed()

    assert {(each.dial, each.code) for each in told} == {(7, "name"), (8, "name")}
    assert links.dials == []


async def test_facts_that_are_no_ends_of_dials_pass_as_they_are() -> None:
    dialler = Dialler(FakeLinks())
    facts: list[Fact] = [AddressesChanged(), link_up(ALICE, 1), failed(99), link_up(ALICE, 2, dial=99)]

    assert [dialler.translate(fact) for fact in facts] == facts


@given(ends=st.lists(st.sampled_from(["up", "timeout", "refused", "self", "duplicate"]), min_size=3, max_size=3))
def test_whatever_the_order_an_attempt_ends_in_exactly_one_fact(ends: list[str]) -> None:
    async def race() -> None:
        links = FakeLinks()
        async with running(links) as dialler:
            dialler.dial(Dial(7, "seeds:443", None))
            dials = await until(links, 3)
        told: list[Fact | None] = []
        for dial, end in zip(dials, ends, strict=True):
            told.append(dialler.translate(link_up(ALICE, dial, dial=dial) if end == "up" else failed(dial, end)))
        of_attempt = [each for each in told if isinstance(each, LinkUp | DialFailed) and each.dial == 7]
        links_up = [each for each in told if isinstance(each, LinkUp)]
        assert len(of_attempt) == 1
        assert len(links_up) == ends.count("up")

    asyncio.run(race())


async def test_an_address_that_nobody_can_read_is_a_dial_that_failed_and_ends_nothing() -> None:
    links = FakeLinks(unreadable_addresses={"192.0.2.9:443", "[2001:db8::1]:443"})
    async with running(links) as dialler:
        dialler.dial(Dial(7, "192.0.2.9:443", None))
        (told,) = await dialler.wait_failed()
        dialler.dial(Dial(8, "both:443", None))
        await until(links, 1)

    assert told == DialFailed(7, "name", "the data plane cannot read the address 192.0.2.9:443")
    assert [each.address for each in links.dials] == ["192.0.2.1:443"], "its other address is dialled all the same"
