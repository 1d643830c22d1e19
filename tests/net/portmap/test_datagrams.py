"""One question to the gateway: what counts as its answer, and what does not."""

import pytest

from pulse.core.paths.portmap import Gateway, PortRefused
from pulse.errors import LinkError, ProtocolError
from pulse.net.portmap import datagrams
from pulse.net.portmap.datagrams import MOST_NONSENSE, PAUSES, exchange
from tests.net.portmap.cable import HOME, STRANGER, Cable

PORT = 5351


def read(data: bytes) -> str:
    match data:
        case b"yes":
            return "yes"
        case b"no":
            raise PortRefused("no", 30.0)
        case _:
            raise ProtocolError(f"nonsense: {data!r}")


async def ask(gateway: Gateway = HOME) -> str:
    return await exchange(gateway, PORT, b"may we?", read)


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer to the first question is waited for, however busy the machine."""
    monkeypatch.setattr(datagrams, "PAUSES", (20.0,))


@pytest.mark.usefixtures("once")
async def test_an_answer_is_read(cable: Cable) -> None:
    with cable.says(PORT, lambda _: [b"yes"]) as router:
        assert await ask() == "yes"
    assert router.heard == [b"may we?"]


async def test_it_is_asked_again_until_an_answer_comes(cable: Cable) -> None:
    answers = iter([[], [], [b"yes"]])
    with cable.says(PORT, lambda _: next(answers)) as router:
        assert await ask() == "yes"
    assert len(router.heard) == 3


async def test_silence_is_no_answer(cable: Cable) -> None:
    with cable.says(PORT, lambda _: []) as router, pytest.raises(LinkError, match="no answer from the router"):
        await ask()
    assert len(router.heard) == len(PAUSES)


async def test_where_nobody_listens_it_is_not_waited_for(cable: Cable) -> None:
    assert cable.home
    with pytest.raises(LinkError, match="the router does not take it: Connection refused"):
        await ask()


async def test_the_answer_of_another_address_is_none(cable: Cable) -> None:
    with cable.says(PORT, lambda _: [(STRANGER, b"yes")]), pytest.raises(LinkError, match="no answer"):
        await ask()
    with cable.says(PORT, lambda _: [(STRANGER, b"no"), b"yes"]):
        assert await ask() == "yes"


async def test_nonsense_is_passed_over_and_told_if_nothing_else_comes(cable: Cable) -> None:
    with cable.says(PORT, lambda _: [b"", b"?", b"yes"]):
        assert await ask() == "yes"
    with cable.says(PORT, lambda _: [b"?"]), pytest.raises(ProtocolError, match="nonsense"):
        await ask()


@pytest.mark.usefixtures("once")
async def test_a_flood_of_nonsense_ends_it(cable: Cable) -> None:
    flood = [b"?"] * 10 * MOST_NONSENSE
    with cable.says(PORT, lambda _: flood) as router, pytest.raises(ProtocolError, match="nonsense"):
        await ask()
    assert len(router.heard) == 1


async def test_a_refusal_is_an_answer(cable: Cable) -> None:
    with cable.says(PORT, lambda _: [b"no"]), pytest.raises(PortRefused) as refusal:
        await ask()
    assert refusal.value.wait == 30.0


@pytest.fixture(params=["an interface that is gone", "an address that is not ours"])
def elsewhere(request: pytest.FixtureRequest) -> Gateway:
    gone = request.param == "an interface that is gone"
    return Gateway(HOME.address, HOME.source if gone else HOME.address, "eth9" if gone else "eth0")


@pytest.mark.usefixtures("cable")
async def test_a_network_that_changed_meanwhile_is_no_answer(elsewhere: Gateway) -> None:
    with pytest.raises(LinkError, match="the router does not take it"):
        await ask(elsewhere)
